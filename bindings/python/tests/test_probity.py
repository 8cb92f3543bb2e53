"""What Python people expect: arrays, tables, exceptions, threads, Ctrl-C."""

import doctest
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import probity

SCENARIO = {"game": "ipd", "labels": ["share", "keep"], "seed": 7}


@pytest.fixture(scope="module")
def model() -> probity.Model:
    return probity.Model(probity.shipped("default"))


def test_the_example_of_the_package() -> None:
    failed, tried = doctest.testmod(probity)
    assert tried >= 5 and failed == 0


def test_ten_rounds_against_tit_for_tat(model: probity.Model) -> None:
    """The rounds of examples/c/decide.c."""
    agent = probity.Agent(model, SCENARIO)
    agent.set_adapters([probity.Adapter(model, probity.shipped("deontological"))])
    theirs = 0
    for _ in range(10):
        decision = agent.decide()
        assert decision.reliable and decision.doubt is None
        assert decision.probabilities.dtype == np.float64
        assert decision.probabilities.sum() == pytest.approx(1, abs=1e-12)
        agent.observe(decision.action, theirs)
        theirs = decision.action
    assert agent.history.shape == (10, 2) and agent.history.dtype == np.int64
    assert agent.history[1:, 1].tolist() == agent.history[:-1, 0].tolist()
    agent.forget()
    assert agent.history.shape == (0, 2)


def test_tables_are_for_pandas(model: probity.Model) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(probity.Agent(model, SCENARIO).decide().table()).set_index("label")
    assert list(table.index) == ["share", "keep"]
    assert table.probability.sum() == pytest.approx(1)
    account = pandas.DataFrame(probity.Game.named("ipd").account(last=(0, 0)))
    # Defecting on a cooperator costs 3, and cooperating nothing (arXiv 2410.01639, xi = 3).
    assert account.deontological.tolist() == [0.0, -3.0]
    assert account.deontological_regret.tolist() == [0.0, 3.0]
    assert account.utilitarian.tolist() == [5.0, 3.0]


def test_games_go_in_and_out_as_arrays() -> None:
    payoffs = np.array([[[3, 3], [0, 4]], [[4, 0], [1, 1]], [[2, 2], [2, 0.5]]])
    game = probity.Game("three by two", payoffs, ["share", "keep", "wait"], ["up", "down"])
    np.testing.assert_array_equal(game.payoffs, payoffs)
    np.testing.assert_array_equal(game.transposed().payoffs, payoffs.transpose(1, 0, 2)[:, :, ::-1])
    assert probity.Game.parse(game.document()).document() == game.document()
    assert set(probity.Game.names()) >= {"ipd", "ish", "icn", "bos", "icd"}


def test_an_error_has_a_code_and_a_name(model: probity.Model) -> None:
    with pytest.raises(probity.ProbityError, match="chess.*ipd") as caught:
        probity.Game.named("chess")
    assert (caught.value.code, caught.value.name) == (48, "UNKNOWN_GAME")
    with pytest.raises(TypeError, match="source: float"):
        probity.Model(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="speed: no option"):
        probity.Session(model, speed=9)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="one for each of 0 adapters"):
        probity.Agent(model, SCENARIO).set_adapters([], scales=[1.0])
    with pytest.raises(KeyError, match="expected one of default"):
        probity.shipped("virtue")


def test_a_record_is_taken_again_to_the_bit(model: probity.Model) -> None:
    kind = probity.Adapter(model, probity.shipped("utilitarian"))
    session = probity.Session(model, threads=1)
    agent = session.agent(SCENARIO)
    agent.set_adapters([kind], scales=[0.5])
    agent.decide()
    record, same = session.retake(agent.record(), [kind])
    assert same and record == agent.record()


def test_an_exception_of_a_callback_comes_through() -> None:
    def fail(share: float) -> None:
        raise LookupError(f"at {share}")

    with pytest.raises(LookupError, match="at "):
        probity.Model(probity.shipped("default"), progress=fail)
    shares: list[float] = []
    probity.Model(probity.shipped("default"), progress=shares.append)
    assert shares and shares == sorted(shares) and shares[-1] == pytest.approx(1)
    with pytest.raises(probity.ProbityError) as caught:
        probity.Model(probity.shipped("default"), progress=lambda share: False)
    assert caught.value.name == "CANCELLED"


def busy_agent(model: probity.Model) -> probity.Agent:
    """An agent whose decision takes long: a long preamble, another each time."""
    preamble = "You are asked again and again. " * 100
    return probity.Agent(model, SCENARIO | {"preamble": preamble, "game": "ipd"})


def test_other_threads_run_while_an_agent_decides(model: probity.Model) -> None:
    agent, counted, over = busy_agent(model), 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not over.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.monotonic()
    agent.decide()
    seconds = time.monotonic() - begin
    over.set()
    thread.join()
    # With the lock held, the thread would not have counted at all.
    assert counted > 10 * seconds, (counted, seconds)


def test_a_second_thread_finds_the_agent_busy(model: probity.Model) -> None:
    agent = busy_agent(model)
    thread = threading.Thread(target=agent.decide)
    thread.start()
    names = set()
    while thread.is_alive():
        try:
            agent.forget()
        except probity.ProbityError as error:
            names.add(error.name)
    thread.join()
    assert names == {"BUSY"}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler: a process in the background may have been started to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_a_decision_and_leaves_the_agent_usable(model: probity.Model) -> None:
    agent = busy_agent(model)
    begin = time.monotonic()
    agent.decide()
    whole = time.monotonic() - begin
    agent = busy_agent(model)
    timer = threading.Timer(whole / 4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        agent.decide()
        time.sleep(whole)
    timer.join()
    assert agent.history.shape == (0, 2)
    # Nothing of the request is left over for the next decision.
    assert agent.decide().probabilities.tolist() == busy_agent(model).decide().probabilities.tolist()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_a_retake_and_no_decision_beside_it(model: probity.Model) -> None:
    session = probity.Session(model)
    agent = session.agent(SCENARIO | {"preamble": "You are asked again and again. " * 100})
    # Another preamble, so that its decision takes as long, and the retake waits for it.
    other = session.agent(SCENARIO | {"preamble": "Somebody else asks you, and asks. " * 100})
    agent.decide()
    record, decided = agent.record(), []
    thread = threading.Thread(target=lambda: decided.append(other.policy((1, 0))))
    timer = threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        timer.start()
        session.retake(record)
        time.sleep(60)
    thread.join()
    assert len(decided) == 1, "the decision beside it went on"
    assert session.retake(record)[1]


def test_a_strategy_knows_no_action_outside_the_game() -> None:
    with pytest.raises(probity.ProbityError, match="number 9 is not an action") as raised:
        probity.Strategy.named("tit-for-tat").policy(probity.Game.named("ipd"), (9, 9))
    assert raised.value.name == "UNKNOWN_ACTION"


def test_the_child_of_a_fork_is_told_so(model: probity.Model) -> None:
    agent = probity.Agent(model, SCENARIO)
    agent.decide()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            agent.policy((1, 1))
            said = "decided"
        except probity.ProbityError as error:
            said = error.name
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"FORKED"
    os.close(reading)
    os.close(writing)


def test_a_village_shares_a_session(model: probity.Model) -> None:
    session = probity.Session(model, seeds="numbered")
    village = [session.agent(SCENARIO) for _ in range(100)]
    share = sum(agent.decide().label == "share" for agent in village)
    p = village[0].policy().probabilities[0]
    # Five standard deviations of a binomial count.
    assert abs(share - 100 * p) < 5 * np.sqrt(100 * p * (1 - p))


def test_an_agent_survives_as_bytes(model: probity.Model, tmp_path: Path) -> None:
    agent = probity.Agent(model, SCENARIO)
    agent.observe(0, 1)
    (tmp_path / "agent").write_bytes(agent.snapshot())
    twin = probity.Agent.restore(model, (tmp_path / "agent").read_bytes())
    assert [agent.decide().action for _ in range(20)] == [twin.decide().action for _ in range(20)]


@pytest.mark.parametrize(("folder", "said"), [(1, "probability"), (3, "share")])
def test_the_readmes(folder: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """This package's, and the repository's."""
    readme = (Path(__file__).parents[folder] / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    exec(compile(code, "README.md", "exec"), {})
    assert said in capsys.readouterr().out
