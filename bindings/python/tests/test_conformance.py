"""The calls that every language makes alike: tests/conformance/README.md."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import probity

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tests/conformance").glob("*.json"))


class LeftOut(Exception):
    """Python cannot write the call: the object is gone, or the type forbids it."""


class Runner:
    def __init__(self) -> None:
        self.things: dict[str, Any] = {}

    def the(self, with_: dict[str, Any], kind: str) -> Any:
        try:
            return self.things[with_[kind]]
        except KeyError:
            raise LeftOut from None

    def text(self, argument: Any) -> Any:
        """A text as it stands, an earlier call's, or a document."""
        if isinstance(argument, dict) and list(argument) == ["text"]:
            return self.things[argument["text"]]
        return argument

    def bytes(self, argument: dict[str, Any]) -> bytes:
        given = bytearray(self.things[argument["bytes"]])
        if "flip" in argument:
            given[argument["flip"]] ^= 4
        return bytes(given[: len(given) - argument.get("cut", 0)])

    def adapters(self, with_: dict[str, Any]) -> list[probity.Adapter]:
        return [self.the({"adapter": name}, "adapter") for name in with_["adapters"]]

    def call(self, name: str, with_: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Makes a call: what it made, and its outputs."""
        if name.endswith("_free"):
            if self.things.pop(with_[name.removesuffix("_free")], None) is None:
                raise LeftOut
            return None, {}
        made = getattr(self, name)(with_)
        return made if isinstance(made, tuple) else (made, {})

    # Games.
    def game_named(self, w: dict[str, Any]) -> Any:
        return probity.Game.named(w["name"])

    def game_parse(self, w: dict[str, Any]) -> Any:
        return probity.Game.parse(self.text(w["json"]))

    def game_new(self, w: dict[str, Any]) -> Any:
        return probity.Game(w["name"], w["payoffs"], w["row_labels"], w["column_labels"])

    def game_json(self, w: dict[str, Any]) -> Any:
        document = self.the(w, "game").document()
        return document, {"json": document}

    def game_account(self, w: dict[str, Any]) -> Any:
        last = tuple(w["last"]) if "last" in w else None
        return None, {"json": self.the(w, "game").account(last, w.get("belief"), nested=True)}

    # Models and adapters.
    def model_open(self, w: dict[str, Any]) -> Any:
        options = w.get("options", {})
        if not {"mmap", "gpu_layers"}.issuperset(options):
            raise LeftOut  # Options are keywords.
        return probity.Model(ROOT / w["path"], **options)

    def source(self, w: dict[str, Any], use: Callable[..., Any]) -> Any:
        source = w["source"]
        path = ROOT / source.get("path", "")
        offset, length = source.get("offset", 0), source.get("length")
        match source["kind"]:
            case "memory":
                given = bytes.fromhex(source["hex"]) if "hex" in source else path.read_bytes()
                return use(given, offset=offset, length=length)
            case "descriptor":
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    return use(descriptor, offset=offset, length=length)
                finally:
                    os.close(descriptor)
            case _:
                return use(path, offset=offset, length=length)

    def progress(self, w: dict[str, Any]) -> Callable[[float], bool]:
        return lambda share: w.get("progress") != "stop"

    def model_open_source(self, w: dict[str, Any]) -> Any:
        return self.source(w, lambda source, **o: probity.Model(source, progress=self.progress(w), **o))

    def model_plan(self, w: dict[str, Any]) -> Any:
        plan = self.source(w, lambda source, **o: probity.plan(source, **o, **w.get("session_options", {})))
        return None, {"plan": plan}

    def model_info(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "model").info()}

    def adapter_load(self, w: dict[str, Any]) -> Any:
        return probity.Adapter(self.the(w, "model"), ROOT / w["path"])

    def adapter_load_source(self, w: dict[str, Any]) -> Any:
        return self.source(w, lambda source, **o: probity.Adapter(self.the(w, "model"), source, **o))

    def adapter_info(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "adapter").info()}

    def adapter_verify(self, w: dict[str, Any]) -> Any:
        self.the(w, "adapter").verify(self.progress(w))

    # Sessions.
    def session_new(self, w: dict[str, Any]) -> Any:
        options = dict(w.get("options", {}))
        if "seeds" in options:
            names = ["scenario", "numbered"]
            options["seeds"] = names[options["seeds"]] if options["seeds"] < 2 else str(options["seeds"])
        if "exact_cache" in options:
            options["exact_cache"] = options["exact_cache"] == 1
        return probity.Session(self.the(w, "model"), **options)

    def session_plan(self, w: dict[str, Any]) -> Any:
        return None, {"plan": self.the(w, "model").plan(**w.get("options", {}))}

    def session_retake(self, w: dict[str, Any]) -> Any:
        session, adapters = self.the(w, "session"), self.adapters(w)
        record, same = session.retake(self.text(w["record"]), adapters)
        return record, {"same": same}

    def session_cancel(self, w: dict[str, Any]) -> Any:
        self.the(w, "session").cancel()

    # Agents.
    def agent_new(self, w: dict[str, Any]) -> Any:
        return probity.Agent(self.the(w, "model"), w["scenario"])

    def agent_join(self, w: dict[str, Any]) -> Any:
        return self.the(w, "session").agent(w["scenario"])

    def agent_play(self, w: dict[str, Any]) -> Any:
        return self.the(w, "session").play(self.the(w, "game"), w["seed"])

    def agent_set_adapters(self, w: dict[str, Any]) -> Any:
        self.the(w, "agent").set_adapters(self.adapters(w), w.get("scales"))

    def agent_action_count(self, w: dict[str, Any]) -> Any:
        return None, {"count": len(self.the(w, "agent").actions)}

    def agent_decide(self, w: dict[str, Any]) -> Any:
        decision = self.the(w, "agent").decide()
        return decision, {"action": decision.action, "probabilities": decision.probabilities.tolist()}

    def agent_legality(self, w: dict[str, Any]) -> Any:
        return None, {"legality_mass": self.the(w, "agent").legality_mass}

    def agent_policy(self, w: dict[str, Any]) -> Any:
        policy = self.the(w, "agent").policy(tuple(w["last"]) if "last" in w else None)
        return policy, {"probabilities": policy.probabilities.tolist(), "legality_mass": policy.legality_mass}

    def agent_observe(self, w: dict[str, Any]) -> Any:
        self.the(w, "agent").observe(w["own"], w["other"])

    def agent_history(self, w: dict[str, Any]) -> Any:
        return None, {"rounds": self.the(w, "agent").history.tolist()}

    def agent_forget(self, w: dict[str, Any]) -> Any:
        self.the(w, "agent").forget()

    def agent_explain(self, w: dict[str, Any]) -> Any:
        return None, {"words": self.the(w, "agent").explain()}

    def agent_record(self, w: dict[str, Any]) -> Any:
        record = self.the(w, "agent").record()
        return record, {"json": record}

    def agent_cancel(self, w: dict[str, Any]) -> Any:
        self.the(w, "agent").cancel()

    def agent_snapshot(self, w: dict[str, Any]) -> Any:
        return self.the(w, "agent").snapshot()

    def agent_restore(self, w: dict[str, Any]) -> Any:
        return probity.Agent.restore(self.the(w, "model"), self.bytes(w["bytes"]), self.adapters(w))

    def agent_rejoin(self, w: dict[str, Any]) -> Any:
        return self.the(w, "session").restore(self.bytes(w["bytes"]), self.adapters(w))

    # Graphs.
    def graph_open(self, w: dict[str, Any]) -> Any:
        return probity.Graph.open(ROOT / w["path"])

    def graph_parse(self, w: dict[str, Any]) -> Any:
        return probity.Graph.parse(w["json"])

    def graph_rank(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "graph").rank(w.get("method", "robust"), w.get("context"))}

    def graph_explain(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "graph").explain(w["card"], w.get("context"))}

    def graph_vote(self, w: dict[str, Any]) -> Any:
        self.the(w, "graph").vote(w["vote"])

    def graph_situate(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "graph").situate(self.the(w, "model"), w["situation"])}

    def graph_score(self, w: dict[str, Any]) -> Any:
        return None, {"json": self.the(w, "graph").score(self.the(w, "model"), w["situation"])}


def matches(expected: Any, found: Any, within: float) -> bool:
    """Whether an output is as the file says."""
    if isinstance(expected, dict) and "contains" in expected and isinstance(found, str):
        return expected["contains"] in found
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(k in found and matches(v, found[k], within) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(matches(e, f, within) for e, f in zip(expected, found))
    if isinstance(expected, bool) or not isinstance(expected, (int, float)):
        return bool(expected == found)
    return isinstance(found, (int, float)) and abs(expected - found) <= within


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_python_gives_what_the_file_says(file: Path) -> None:
    runner = Runner()
    left_out: list[int] = []
    gives: dict[str, Any]
    document = json.loads(file.read_text())
    for number, line in enumerate(document["calls"], start=1):
        status, message, made, gives = "OK", "", None, {}
        try:
            made, gives = runner.call(line["call"], line["with"])
        except LeftOut:
            left_out.append(number)
            continue
        except probity.ProbityError as error:
            status, message = error.name, str(error)
        # What C says with a status is a field in Python.
        if isinstance(made, probity.Policy) and not made.reliable:
            status, message = "UNRELIABLE", str(made.doubt)
        told = f"call {number}: {line}\n    gave {status} ({message}) {gives}"
        assert status == line.get("fails", "OK"), told
        assert line.get("says", "") in message, told
        assert matches(line.get("gives", {}), gives, document.get("within", 1e-3)), told
        if "as" in line and made is not None:
            runner.things[line["as"]] = made
    # Calls on objects that were let go, and options as a document.
    assert len(left_out) <= 2, left_out


def test_there_are_files() -> None:
    assert len(FILES) >= 5
