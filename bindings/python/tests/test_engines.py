"""Training and evaluation on existing engines: PyTorch with accelerate, Ray, lm-evaluation-harness, and the notebook.

Packages that are not installed leave their tests out.
"""

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_integrations import chat_of, hugging_face

import probity

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "target/release/probity"

COURSE = """
name = "short"
seed = 1
algorithm = {{ name = "{algorithm}" }}
labels = "pool"
styles = "all"
opponent = "random"
games_per_step = 1
shards = 1
rank = 4
alpha = 8.0
precision = "f32"
rate = 0.002
beta = 0.6
legality = 0.1
arrival = 1.0
{more}

[games]
catalogue = ["ipd", "ish"]
random = 0.3

[[phases]]
steps = 3
reward = {{ framework = "game" }}

[[phases]]
steps = 3
reward = {{ framework = "utilitarian" }}
"""


def in_float32(source: Path, target: Path) -> None:
    """Writes a model with float32 weights: both trainers then compute with the same numbers.

    For other weights the run's own trainer rounds activations as llama.cpp does, to eight bits for eight-bit weights.
    """
    gguf = pytest.importorskip("gguf")
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            within = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], within)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.skipif(not PROGRAM.exists(), reason="the command line is not built")
class TestTrain:
    @pytest.fixture(scope="class")
    @classmethod
    def base(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        for package in ("torch", "transformers", "peft", "accelerate"):
            pytest.importorskip(package)
        base = tmp_path_factory.mktemp("base") / "base.gguf"
        in_float32(probity.shipped("default"), base)
        return base

    def dataset(self, folder: Path, base: Path, algorithm: str, more: str = "", *options: str) -> list[str]:
        """Writes a course and its dataset; the arguments of a training."""
        (folder / "course.toml").write_text(COURSE.format(algorithm=algorithm, more=more))
        run(PROGRAM, "train", "--config", folder / "course.toml", "--model", base, "--dataset", folder / "run", *options)
        return [str(folder / "run"), "--base", str(base), "--at-a-time", "2"]

    def pairs(self, folder: Path) -> dict[str, Any]:
        load = pytest.importorskip("safetensors.numpy").load_file
        return dict(load(folder / "adapter_model.safetensors"))

    def apart(self, one: Path, other: Path) -> float:
        """The largest difference of any two weights of two adapters."""
        a, b = self.pairs(one), self.pairs(other)
        assert sorted(a) == sorted(b) and any(np.abs(v).max() > 1e-3 for k, v in a.items() if "lora_B" in k)
        return max(float(np.abs(a[name] - b[name]).max()) for name in a)

    def test_two_processes_train_what_one_trains_and_what_probity_trains(self, tmp_path: Path, base: Path) -> None:
        arguments = self.dataset(tmp_path, base, "optimum")
        python = Path(sys.executable)
        run(python, "-m", "probity.train", *arguments, "--out", tmp_path / "one")
        launch = [str(python.parent / "accelerate"), "launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
        launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "probity.train"]
        run(*launch, *arguments, "--out", tmp_path / "two", OMP_NUM_THREADS="1")
        assert self.apart(tmp_path / "one", tmp_path / "two") <= 1e-4
        own = ["train", "--config", str(tmp_path / "course.toml"), "--model", str(base), "--out", str(tmp_path / "own.gguf")]
        run(PROGRAM, *own)
        run(PROGRAM, "export", tmp_path / "own.gguf", "--model", base, "--out", tmp_path / "own")
        assert self.apart(tmp_path / "two", tmp_path / "own") <= 1e-3

        # The adapter comes back with the manifest of its run, and proves itself.
        run(PROGRAM, "import", tmp_path / "two", "--model", base, "--out", tmp_path / "back.gguf")
        back = probity.Adapter(probity.Model(base), tmp_path / "back.gguf")
        back.verify()
        manifest = back.info()["manifest"]
        assert manifest["steps"] == 6 and manifest["algorithm"] == "optimum" and "PyTorch" in manifest["trainer"]
        assert [share["framework"] for share in manifest["rewards"]] == ["game", "utilitarian"]
        # Not with another base's, nor other weights under the run's name.
        wrong = subprocess.run([PROGRAM, "import", tmp_path / "two", "--out", tmp_path / "no.gguf"], capture_output=True, text=True)
        assert wrong.returncode != 0 and "another base" in wrong.stderr and not (tmp_path / "no.gguf").exists()

        trained = json.loads((tmp_path / "two/trained.json").read_text())
        (tmp_path / "two/trained.json").write_text(json.dumps(trained | {"weights": "0" * 64}))
        other = [str(PROGRAM), "import", str(tmp_path / "two"), "--model", str(base), "--out", str(tmp_path / "no.gguf")]
        done = subprocess.run(other, capture_output=True, text=True)
        assert done.returncode == 2 and "other weights than trained.json" in done.stderr, done.stderr

    def test_a_trainer_of_trl_takes_the_loss(self, tmp_path: Path, base: Path) -> None:
        """With our collator and loss, the objective rises."""
        trl, peft, datasets = (pytest.importorskip(name) for name in ("trl", "peft", "datasets"))
        from probity.train import Collator, Run, exact_loss, load_base

        self.dataset(tmp_path, base, "optimum")
        run = Run(tmp_path / "run")
        decisions = next(run.steps()).decisions

        class Exact(trl.SFTTrainer):  # type: ignore[misc,name-defined]
            def compute_loss(self, *arguments: Any, **options: Any) -> Any:
                return exact_loss(*arguments, **options)

        options = trl.SFTConfig(
            output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=len(decisions), learning_rate=2e-3, logging_steps=1,
            remove_unused_columns=False, report_to=[], use_cpu=True, bf16=False, dataset_kwargs={"skip_prepare_dataset": True},
        )
        model = peft.PeftModel.from_pretrained(load_base(str(base)), tmp_path / "run/start", is_trainable=True)
        _, tokenizer = hugging_face()
        collator = Collator(run.terms)
        # Rows of a table cannot be decisions: they are their numbers.
        rows = datasets.Dataset.from_dict({"decision": list(range(len(decisions)))})
        trainer = Exact(
            model, options, train_dataset=rows, processing_class=tokenizer,
            data_collator=lambda rows: collator([decisions[row["decision"]] for row in rows]),
        )
        trainer.train()
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        assert len(losses) == 4 and losses[-1] < losses[0]

    def test_a_precision_that_nobody_asked_for_is_refused(self, tmp_path: Path, base: Path) -> None:
        """A trainer of transformers or TRL, by default of 16 bits, leaves its precision to the whole process."""
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from probity.train import Run, Training, load_base

        self.dataset(tmp_path, base, "exact")
        AcceleratorState._reset_state(reset_partial_state=True)
        try:
            Accelerator(cpu=True, mixed_precision="bf16")
            with pytest.raises(ValueError, match="restart your runtime completely and pass `mixed_precision='no'`"):
                Training(Run(tmp_path / "run"), load_base(str(base)), tmp_path / "out")
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)

    def test_the_command_that_the_pages_give_writes_a_run(self, tmp_path: Path) -> None:
        page = (ROOT / "docs/scale.md").read_text()
        begin = page.index("probity train --recipe")
        command = page[begin : page.index("\n", begin)]
        assert command in (ROOT / "bindings/python/python/probity/train.py").read_text()
        words = {"probity": str(PROGRAM), "gemma-2-27b-it.gguf": "default", "run": str(tmp_path / "run")}
        run(*[words.get(word, word) for word in command.split()])
        assert (tmp_path / "run").is_dir()

    @pytest.mark.parametrize("algorithm", ["exact", "supervised"])
    def test_other_aims_and_validation(self, tmp_path: Path, base: Path, algorithm: str) -> None:
        """References are computed here; validation keeps the nearest parameters, and ends a phase, as the run's own trainer does."""
        from probity.train import main

        more = "validation = { games = 2, every = 1, patience = 1 }"
        arguments = self.dataset(tmp_path, base, algorithm, more, "--no-references")
        main([*arguments, "--out", str(tmp_path / "here")])
        own = ["train", "--config", str(tmp_path / "course.toml"), "--model", str(base), "--out", str(tmp_path / "own.gguf")]
        run(PROGRAM, *own, "--run", tmp_path / "own.run")
        run(PROGRAM, "export", tmp_path / "own.gguf", "--model", base, "--out", tmp_path / "own")
        assert self.apart(tmp_path / "here", tmp_path / "own") <= 1e-3
        reports = [list(map(json.loads, (tmp_path / f / "steps.jsonl").read_text().splitlines())) for f in ("here", "own.run")]
        assert len(reports[0]) == len(reports[1])
        for mine, theirs in zip(*reports):
            assert mine["step"] == theirs["step"] and mine["phase"] == theirs["phase"]
            assert mine["reward"] == pytest.approx(theirs["reward"], abs=1e-3)
            assert mine["divergence"] == pytest.approx(theirs["kl"], abs=1e-3)
            assert mine["distance"] == pytest.approx(theirs["distance"], abs=1e-3)
            free = theirs["validation"]["free_distance"]
            assert mine["validation"]["free_distance"] == pytest.approx(free, abs=1e-3)

    def test_a_run_goes_on_from_its_checkpoint(self, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from probity.train import Run, Training, load_base, main

        arguments = self.dataset(tmp_path, base, "optimum")
        main([*arguments, "--out", str(tmp_path / "whole")])
        part = Training(Run(tmp_path / "run"), load_base(str(base)), tmp_path / "part", at_a_time=2)
        step, taken = part.step, 0

        def killed(asked: Any) -> dict[str, Any]:
            nonlocal taken
            taken += 1
            if taken == 4:
                raise KeyboardInterrupt
            return step(asked)

        monkeypatch.setattr(part, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            part.take(checkpoint_every=2)
        # The last line was being written; what was begun goes on with --resume alone, and with its own dataset.
        with (tmp_path / "part/steps.jsonl").open("a") as log:
            log.write('{"step": 4, "ph')
        with pytest.raises(FileExistsError, match="--resume"):
            main([*arguments, "--out", str(tmp_path / "part")])
        with pytest.raises(FileNotFoundError, match="begins without --resume"):
            main([*arguments, "--out", str(tmp_path / "none"), "--resume"])
        main([*arguments, "--out", str(tmp_path / "part"), "--resume"])
        assert self.apart(tmp_path / "whole", tmp_path / "part") == 0
        # A run that stops before its first checkpoint goes on, too.
        early = Training(Run(tmp_path / "run"), load_base(str(base)), tmp_path / "early", at_a_time=2)
        taken = 3
        step = early.step
        monkeypatch.setattr(early, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            early.take()
        main([*arguments, "--out", str(tmp_path / "early"), "--resume"])
        assert self.apart(tmp_path / "whole", tmp_path / "early") == 0
        steps = [json.loads(line)["step"] for line in (tmp_path / "part/steps.jsonl").read_text().splitlines()]
        assert steps == [1, 2, 3, 4, 5, 6]

    def test_what_is_no_dataset_is_refused(self, tmp_path: Path, base: Path) -> None:
        from probity.train import Run

        with pytest.raises(FileNotFoundError, match="expected a folder of"):
            Run(tmp_path)
        for recipe, reason in [("paper-ppo", "ppo"), ("game-repeated", "single rounds")]:
            command = [str(PROGRAM), "train", "--recipe", recipe, "--dataset", str(tmp_path / recipe)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 2 and reason in done.stderr, done.stderr
            assert not (tmp_path / recipe / "run.json").exists()


class TestRay:
    def jobs(self) -> list[Any]:
        from probity.ray import grid

        return grid(policies=["bare", "utilitarian"], games=["ipd", "ish"], labels=[("share", "keep")], seeds=[1], rounds=3)

    def test_the_example(self) -> None:
        import probity.ray

        failed, tried = doctest.testmod(probity.ray)
        assert tried >= 4 and failed == 0

    def test_a_killed_worker_loses_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Results equal those of one process to the bit, though workers die, and a sweep that was stopped goes on."""
        ray = pytest.importorskip("ray")
        from probity.ray import Job, measure, run

        dead, out = tmp_path / "dead", tmp_path / "results.jsonl"

        def deadly(job: Job) -> dict[str, Any]:
            # The first worker of every second job dies.
            mark = dead / str(hash(job.policy + job.game) % 1000)
            if job.policy == "bare" and not mark.exists():
                mark.touch()
                os._exit(1)
            return measure(job)

        dead.mkdir()
        here = {job.key: json.loads(json.dumps(measure(job))) for job in self.jobs()}
        monkeypatch.setenv("PYTHONHASHSEED", "0")
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
        try:
            some = run(self.jobs(), out, task=deadly)
            next(some)
            some.close()
            # The last line was being written when the sweep was stopped.
            with out.open("a") as file:
                file.write('{"job": {"mod')
            there = list(run(self.jobs(), out, task=deadly))
        finally:
            ray.shutdown()
        assert any(dead.iterdir())
        found = {Job(**(r["job"] | {"labels": tuple(r["job"]["labels"])})).key: r for r in there}
        assert found == here
        assert len(out.read_text().splitlines()) == len(here)

    def test_the_simulation(self) -> None:
        from probity.ray import makespan

        assert makespan([1.0] * 10, 1, 0.0, 0.5) == pytest.approx(10.5)
        assert makespan([1.0] * 10, 10, 0.0, 0.5) == pytest.approx(1.5)
        # Many workers wait for the driver.
        assert makespan([1.0] * 100, 1000, 0.1, 0.0) == pytest.approx(11.0)


class TestHarness:
    def test_the_harness_measures_the_runtimes_policy(self) -> None:
        lm_eval = pytest.importorskip("lm_eval")
        from lm_eval.models.huggingface import HFLM

        import probity.lm_eval
        from probity.lm_eval import Protocol

        failed, tried = doctest.testmod(probity.lm_eval)
        assert tried >= 4 and failed == 0
        model, tokenizer = hugging_face()
        task = Protocol(games=["ipd", "bos"], labels=("share", "keep"), chat=chat_of(tokenizer))
        harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, device="cpu")
        results = lm_eval.simple_evaluate(model=harness, tasks=[task], bootstrap_iters=0)["results"]["probity_protocol"]
        regrets = []
        for game in ("ipd", "bos"):
            agent = probity.Agent(probity.Model(probity.shipped("default")), {"game": game, "labels": ["share", "keep"]})
            told = probity.Game.named(game)
            for last in [None, (0, 0), (0, 1), (1, 0), (1, 1)]:
                policy = agent.policy(last)
                account = told.account(last, [0.5, 0.5])
                regrets.append(sum(p * row["utilitarian_regret"] for p, row in zip(policy.probabilities, account)))
        # The runtime's activations have eight bits.
        assert results["utilitarian_regret,none"] == pytest.approx(np.mean(regrets), abs=0.05)


def test_the_notebook() -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("matplotlib"), pytest.importorskip("ipykernel")
    path = ROOT / "bindings/python/notebooks/tour.ipynb"
    nbclient.NotebookClient(nbformat.read(path, 4), timeout=300, kernel_name="python3").execute()
