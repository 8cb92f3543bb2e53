from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str

Document = Mapping[str, Any] | str
"""A document: a dictionary, or JSON as text."""
Source = str | PathLike[str] | bytes | bytearray | int
"""Where a file's bytes are: a path, the bytes, or the descriptor of an open file."""
Progress = Callable[[float], object]
"""Told the share done, 0 to 1. `False` or an exception stops the work."""
Row = dict[str, Any]

class Plan(TypedDict):
    """Memory, bytes."""

    weights: int
    cache: int
    buffers: int

class ProbityError(Exception):
    """A call failed."""

    code: int
    """The number of the status in the C ABI."""
    name: str
    """The name of the status in the C ABI, without PROBITY_STATUS_."""

@final
class Model:
    """A GGUF model. May be used by many threads at once."""

    def __new__(
        cls,
        source: Source,
        *,
        offset: int = 0,
        length: int | None = None,
        gpu_layers: int = 0,
        mmap: bool = False,
        progress: Progress | None = None,
    ) -> Model: ...
    def info(self) -> dict[str, Any]:
        """Path, fingerprint, shape, and the presence of a chat template."""

    @property
    def fingerprint(self) -> str: ...
    def plan(self, *, context: int = 0, threads: int = 0, memory: int = 0, exact_cache: bool = False) -> Plan:
        """The memory of the model and a session with these options."""

def plan(
    source: Source,
    *,
    offset: int = 0,
    length: int | None = None,
    context: int = 0,
    threads: int = 0,
    memory: int = 0,
    exact_cache: bool = False,
) -> Plan:
    """The memory of a model and a session on it, before anything takes it."""

@final
class Adapter:
    """A LoRA adapter of a model. May be used by many threads at once."""

    def __new__(cls, model: Model, source: Source, *, offset: int = 0, length: int | None = None) -> Adapter: ...
    def info(self) -> dict[str, Any]:
        """Path, fingerprint, shape and manifest (`None` without a manifest)."""

    @property
    def fingerprint(self) -> str: ...
    def verify(self, progress: Progress | None = None) -> None:
        """Takes the decisions that the manifest records again; UNVERIFIED where a probability differs."""

@final
class Session:
    """A model's context. It takes one decision at a time; agents of other threads wait."""

    def __new__(
        cls,
        model: Model,
        *,
        context: int = 0,
        threads: int = 0,
        memory: int = 0,
        exact_cache: bool = False,
        seeds: Literal["scenario", "numbered"] = "scenario",
        legality_floor: float | Literal["off"] | None = None,
    ) -> Session: ...
    def agent(self, scenario: Document) -> Agent:
        """Makes an agent."""

    def play(self, game: Game, seed: int = 0) -> Agent:
        """Makes an agent for a game, as its row player."""

    def restore(self, snapshot: bytes, adapters: Sequence[Adapter] = ()) -> Agent:
        """Makes an agent from a snapshot; it continues byte for byte."""

    def retake(self, record: Document, adapters: Sequence[Adapter] = ()) -> tuple[dict[str, Any], bool]:
        """Takes a recorded decision again: the new record, and whether it equals the given one."""

    def cancel(self) -> None:
        """Stops the running decision of any of its agents or, where none runs, the next; from any thread."""

class Policy:
    """The probability of each action in a state, with every action's account."""

    @property
    def probabilities(self) -> NDArray[np.float64]: ...
    @property
    def legality_mass(self) -> float: ...
    @property
    def reliable(self) -> bool: ...
    @property
    def doubt(self) -> str | None: ...
    def table(self) -> list[Row]:
        """A row for each action: label, probability, expected points, and each reward with its regret."""

@final
class Decision(Policy):
    """An action taken, with the policy it was drawn from."""

    @property
    def action(self) -> int: ...
    @property
    def label(self) -> str: ...

@final
class Agent:
    """A model with adapters in a game. One thread at a time: a second one gets BUSY."""

    def __new__(cls, host: Session | Model, scenario: Document) -> Agent: ...
    @staticmethod
    def restore(model: Model, snapshot: bytes, adapters: Sequence[Adapter] = ()) -> Agent:
        """Makes an agent from a snapshot; it continues byte for byte."""

    def set_adapters(self, adapters: Sequence[Adapter], scales: Sequence[float] | None = None) -> None:
        """Replaces the whole set of adapters; `scales` has a number for each."""

    @property
    def actions(self) -> list[str]:
        """The labels of its actions, in order of id."""

    def decide(self) -> Decision:
        """Takes a decision. The history is unchanged until `observe` says what was really played."""

    def policy(self, last: tuple[int, int] | None = None) -> Policy:
        """The probability of each action after a last round `(own, other)`, or in the first round."""

    def observe(self, own: int, other: int) -> None:
        """Tells the agent what was played."""

    @property
    def history(self) -> NDArray[np.int64]:
        """What was played so far: `(own, other)`, the oldest round first."""

    def forget(self) -> None:
        """Forgets what was played; the random stream goes on."""

    @property
    def legality_mass(self) -> float:
        """The probability that the model answered the last decision with any legal action."""

    def explain(self) -> str:
        """The last decision in words."""

    def record(self) -> dict[str, Any]:
        """The record of the last decision: enough to take it again."""

    def snapshot(self) -> bytes:
        """The agent as bytes."""

    def cancel(self) -> None:
        """Stops the running decision or, where none runs, the next; from any thread."""

@final
class Game:
    """A matrix game of two players."""

    def __new__(
        cls,
        name: str,
        payoffs: ArrayLike,
        row_labels: Sequence[str],
        column_labels: Sequence[str],
        cooperative: tuple[int, int] = (0, 0),
    ) -> Game: ...
    @staticmethod
    def named(name: str) -> Game:
        """A game of the catalogue, such as "ipd"."""

    @staticmethod
    def names() -> list[str]:
        """The names of the catalogue."""

    @staticmethod
    def parse(document: Document) -> Game: ...
    def document(self) -> dict[str, Any]:
        """The game's JSON form."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> tuple[list[str], list[str]]:
        """The labels of the row player's and of the column player's actions."""

    @property
    def payoffs(self) -> NDArray[np.float64]:
        """(rows, columns, 2): the row player's points before the column player's."""

    def transposed(self) -> Game:
        """The game as its column player sees it."""

    def account(
        self,
        last: tuple[int, int] | None = None,
        belief: Sequence[float] | None = None,
        *,
        nested: bool = False,
    ) -> list[Row]:
        """The moral account of the row player's actions: a row for each."""

OPENING: str
"""The words that an answer begins with, up to the label."""

def prompt(scenario: Document, last: tuple[int, int] | None = None) -> str:
    """The text that a model is asked with, without its chat template. The answer is opened with `OPENING`."""

@final
class Strategy:
    """A scripted player, such as tit-for-tat."""

    @staticmethod
    def named(name: str) -> Strategy: ...
    @staticmethod
    def names() -> list[str]: ...
    @property
    def name(self) -> str: ...
    def policy(self, game: Game, last: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """The probability of each of the row player's actions after a last round `(own, other)`."""

def import_peft(
    folder: str | PathLike[str],
    model: Model,
    out: str | PathLike[str],
    *,
    name: str | None = None,
    precision: Literal["f32", "f16", "q8_0"] = "f32",
) -> None:
    """Writes a PEFT or MLX folder as a GGUF adapter, which records decisions that `Adapter.verify` repeats."""

def export_peft(
    adapter: str | PathLike[str], model: Model, folder: str | PathLike[str], *, base: str = ""
) -> None:
    """Writes a GGUF adapter as a PEFT folder that transformers loads."""

@final
class Graph:
    """A moral graph: a store of values, or one read from JSON. May be used by many threads at once."""

    @staticmethod
    def open(path: str | PathLike[str]) -> Graph: ...
    @staticmethod
    def parse(document: Document) -> Graph: ...
    def rank(self, method: Literal["robust", "compat"] = "robust", context: str | None = None) -> dict[str, Any]:
        """Ranks the values, the wisest first."""

    def explain(self, card: str | int, context: str | None = None) -> dict[str, Any]:
        """Explains the place of a card."""

    def vote(self, vote: Document) -> None:
        """Adds a vote to the graph's store."""

    def prepare(self, model: Model, progress: Progress | None = None) -> None:
        """Measures a model's threshold for the graph now."""

    def situate(self, model: Model, situation: str) -> dict[str, Any]:
        """The contexts of a situation told in words, with the wisest values there."""

    def score(self, model: Model, situation: Document, progress: Progress | None = None) -> dict[str, Any]:
        """What the wisest values make of each action of a situation, and why."""
