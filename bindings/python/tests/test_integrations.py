"""What researchers plug in, with the real packages from PyPI. A package that is not installed leaves its tests out."""

import doctest
from collections import Counter
from typing import Any

import numpy as np
import pytest

import probity

SCENARIO = {"game": "ipd", "labels": ["share", "keep"], "seed": 7}


@pytest.fixture(scope="module")
def agent() -> probity.Agent:
    model = probity.Model(probity.shipped("default"))
    agent = probity.Agent(model, SCENARIO)
    agent.set_adapters([probity.Adapter(model, probity.shipped("deontological"))])
    return agent


class TestPettingZoo:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("pettingzoo")

    @pytest.mark.parametrize("name", probity.Game.names())
    def test_every_game_is_a_parallel_environment(self, name: str) -> None:
        from pettingzoo.test import parallel_api_test

        from probity.pettingzoo import MatrixGame

        parallel_api_test(MatrixGame(name, rounds=20), num_cycles=100)

    def test_an_action_outside_the_game_is_refused(self) -> None:
        from probity.pettingzoo import MatrixGame

        game = MatrixGame("ipd")
        game.reset()
        for action in (-1, 2):
            with pytest.raises(ValueError, match=f"row: action {action}, expected 0 to 1"):
                game.step({"row": action, "column": 0})

    def test_the_example(self) -> None:
        import probity.pettingzoo

        failed, tried = doctest.testmod(probity.pettingzoo)
        assert tried >= 5 and failed == 0

    def test_rewards_are_the_papers(self) -> None:
        """A defection on a cooperator costs 3 (arXiv 2410.01639, xi = 3); points are the game's, in both seats."""
        from probity.pettingzoo import MatrixGame

        points = MatrixGame("bos", rounds=3)
        points.reset()
        _, rewards, _, truncations, infos = points.step({"row": 0, "column": 1})
        payoffs = probity.Game.named("bos").payoffs
        assert rewards == {"row": payoffs[0, 1, 0], "column": payoffs[0, 1, 1]}
        assert infos["column"]["last"] == (1, 0) and not any(truncations.values())
        points.step({"row": 0, "column": 0})
        *_, truncations, _ = points.step({"row": 0, "column": 0})
        assert all(truncations.values()) and points.agents == []
        with pytest.raises(RuntimeError, match="reset"):
            points.step({"row": 0, "column": 0})
        with pytest.raises(ValueError, match="expected one of deontological, game"):
            MatrixGame("ipd", reward="virtue")


class TestAxelrod:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("axelrod")

    def test_the_example(self) -> None:
        import probity.axelrod

        failed, tried = doctest.testmod(probity.axelrod)
        assert tried >= 4 and failed == 0

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [("tit-for-tat", "TitForTat"), ("always-cooperate", "Cooperator"), ("always-defect", "Defector")],
    )
    def test_a_scripted_player_plays_as_axelrods(self, ours: str, theirs: str) -> None:
        import axelrod

        from probity.axelrod import ScriptedPlayer

        for opponent in [axelrod.Random(0.5), axelrod.Grudger(), axelrod.WinStayLoseShift()]:
            games = [
                axelrod.Match([player, opponent], turns=50, seed=3).play()
                for player in [ScriptedPlayer(ours), getattr(axelrod, theirs)()]
            ]
            assert games[0] == games[1]

    def test_an_agent_plays_a_tournament(self, agent: probity.Agent) -> None:
        import axelrod

        from probity.axelrod import AgentPlayer

        players = [AgentPlayer(agent), axelrod.TitForTat(), axelrod.Defector()]
        first, again = [
            axelrod.Tournament(players, turns=20, repetitions=2, seed=5).play(progress_bar=False) for _ in range(2)
        ]
        assert first.ranked_names == again.ranked_names and "Probity" in first.ranked_names
        assert first.scores == again.scores

    def test_a_player_of_axelrod_is_an_opponent(self, agent: probity.Agent) -> None:
        import axelrod

        from probity.axelrod import play

        agent.forget()
        rows = play(agent, axelrod.TitForTat(), rounds=10)
        assert [row["other"] for row in rows] == [0] + [row["own"] for row in rows[:-1]]
        assert agent.history.tolist() == [[row["own"], row["other"]] for row in rows]
        agent.forget()


class TestOpenSpiel:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("pyspiel")

    def test_the_example(self) -> None:
        import probity.openspiel

        failed, tried = doctest.testmod(probity.openspiel)
        assert tried >= 4 and failed == 0

    @pytest.mark.parametrize("name", probity.Game.names())
    def test_games_go_out_and_in(self, name: str) -> None:
        from probity.openspiel import from_matrix_game, matrix_game

        game = probity.Game.named(name)
        cooperative: Any = tuple(game.document()["cooperative"])
        back = from_matrix_game(matrix_game(game), cooperative)
        np.testing.assert_array_equal(back.payoffs, game.payoffs)
        assert back.labels == game.labels

    def test_bots_play_a_repeated_game(self, agent: probity.Agent) -> None:
        import pyspiel

        from probity.openspiel import agent_bot, matrix_game, scripted_bot

        game = probity.Game.named("ipd")
        repeated = pyspiel.create_repeated_game(matrix_game(game), {"num_repetitions": 50})
        bots = [agent_bot(agent, 0, seed=1), scripted_bot("tit-for-tat", game, 1)]
        state = repeated.new_initial_state()
        while not state.is_terminal():
            state.apply_actions([bot.step(state) for bot in bots])
        rounds = np.array(state.history()).reshape(-1, 2)
        assert rounds.shape == (50, 2)
        assert rounds[1:, 1].tolist() == rounds[:-1, 0].tolist(), "tit for tat"
        # The deontological agent does not defect on a cooperator.
        after_cooperation = Counter(rounds[1:, 0][rounds[:-1, 1] == 0].tolist())
        assert after_cooperation[1] == 0, after_cooperation


def hugging_face() -> tuple[Any, Any]:
    """The built-in model and its tokenizer in transformers, which reads GGUF."""
    transformers = pytest.importorskip("transformers")
    file = probity.shipped("default").resolve()
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    read = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    # A model from GGUF counts as quantised, and may not be trained; its weights are float32.
    del read.config.quantization_config
    model = transformers.AutoModelForCausalLM.from_config(read.config)
    model.load_state_dict(read.state_dict())
    tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def chat_of(tokenizer: Any) -> Any:
    def chat(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    return chat


class TestTrl:
    def test_the_example(self) -> None:
        import probity.trl

        failed, tried = doctest.testmod(probity.trl)
        assert tried >= 6 and failed == 0

    @pytest.mark.parametrize(
        ("completion", "expected"),
        [
            ('share"', 0),
            ('keep" and', 1),
            ("This round, you pick \"keep\"", 1),
            ("keeper", None),
            ("", None),
            ('"share"', 0),
            ("share it", 2),
        ],
    )
    def test_an_answer_names_an_action(self, completion: str, expected: int | None) -> None:
        from probity.trl import action

        assert action(completion, ["share", "keep", "share it"]) == expected

    def test_transformers_gives_the_policy_of_the_runtime(self) -> None:
        """The prompts are the runtime's, token by token: the same model gives the same policy."""
        torch, blake3 = pytest.importorskip("torch"), pytest.importorskip("blake3")
        model, tokenizer = hugging_face()
        from probity.trl import rows

        agent = probity.Agent(probity.Model(probity.shipped("default")), SCENARIO)
        agent.decide()
        tokens = np.array(tokenizer(rows(["ipd"], [("share", "keep")], chat=chat_of(tokenizer))[0]["prompt"]).input_ids)
        assert blake3.blake3(tokens.astype("<i4").tobytes()).hexdigest() == agent.record()["prompt"]
        for row in rows(["ipd"], [("share", "keep")], chat=chat_of(tokenizer)):
            scores = []
            for label in agent.actions:
                prompt, whole = (tokenizer(text, return_tensors="pt").input_ids for text in [row["prompt"], row["prompt"] + label + '"'])
                assert whole[0, : prompt.shape[1]].tolist() == prompt[0].tolist()
                with torch.no_grad():
                    log_probs = model(whole).logits.log_softmax(-1)[0, prompt.shape[1] - 1 : -1]
                scores.append(log_probs.gather(1, whole[0, prompt.shape[1] :, None]).sum().item())
            found = np.exp(scores) / np.exp(scores).sum()
            policy = agent.policy(tuple(row["last"]) or None).probabilities
            # The runtime's activations have eight bits.
            np.testing.assert_allclose(found, policy, atol=0.05)

    def test_grpo_trains_on_our_rewards(self, tmp_path: Any) -> None:
        trl, peft = pytest.importorskip("trl"), pytest.importorskip("peft")
        model, tokenizer = hugging_face()
        from probity.trl import dataset, reward

        data = dataset(["ipd", "ish"], [("share", "keep"), ("pull", "wait")], chat=chat_of(tokenizer))
        options = trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=8,
            num_generations=4,
            max_completion_length=6,
            learning_rate=1e-2,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            seed=1,
        )
        rewards = [reward("utilitarian"), reward("deontological")]
        adapter = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        trainer = trl.GRPOTrainer(model, rewards, options, data, processing_class=tokenizer, peft_config=adapter)
        trainer.train()
        logs = [log for log in trainer.state.log_history if "reward" in log]
        assert len(logs) == 3
        for log in logs:
            # Sums of points lie between 0 and 8, a betrayal costs 3, and an illegal answer 6.
            assert -6 <= log["rewards/utilitarian/mean"] <= 8 and -6 <= log["rewards/deontological/mean"] <= 0
        assert any(log["grad_norm"] > 0 for log in logs)


class TestPeft:
    def test_an_adapter_goes_out_and_in(self, tmp_path: Any) -> None:
        peft, safetensors = pytest.importorskip("peft"), pytest.importorskip("safetensors.numpy")
        base, _ = hugging_face()
        model = probity.Model(probity.shipped("default"))
        probity.export_peft(probity.shipped("deontological"), model, tmp_path / "peft", base="probity-default")
        adapted = peft.PeftModel.from_pretrained(base, str(tmp_path / "peft"))
        adapted.save_pretrained(str(tmp_path / "again"))
        probity.import_peft(tmp_path / "again", model, tmp_path / "back.gguf", name="back")
        back = probity.Adapter(model, tmp_path / "back.gguf")
        back.verify()
        assert back.info()["manifest"]["name"] == "back"
        probity.export_peft(tmp_path / "back.gguf", model, tmp_path / "out")
        first, second = (safetensors.load_file(tmp_path / f / "adapter_model.safetensors") for f in ("peft", "out"))
        assert set(first) == set(second) and len(first) == 2 * 7 * 8
        for name, pair in first.items():
            np.testing.assert_allclose(pair, second[name], rtol=1e-6, err_msg=name)

    def test_another_models_folder_is_refused(self, tmp_path: Any) -> None:
        model = probity.Model(probity.shipped("default"))
        with pytest.raises(probity.ProbityError) as caught:
            probity.import_peft(tmp_path / "nothing", model, tmp_path / "out.gguf")
        assert caught.value.name == "IO"
        with pytest.raises(probity.ProbityError, match="expected f32, f16 or q8_0"):
            probity.import_peft(tmp_path, model, tmp_path / "out.gguf", precision="q2")  # type: ignore[arg-type]
