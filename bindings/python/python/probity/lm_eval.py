"""lm-evaluation-harness: the paper's games as a task, for any model that the harness runs.

>>> from probity.lm_eval import Protocol
>>> task = Protocol()
>>> doc = next(iter(task.validation_docs()))
>>> task.doc_to_text(doc)[-10:], task.doc_to_choice(doc)
('you pick "', ['action3', 'action4'])

::

    lm_eval.simple_evaluate(model="hf", model_args="pretrained=...", tasks=[Protocol()])

Every game of arXiv 2410.01639, section 3.1, in every state of the last round, with the paper's labels for tests (`action3`, `action4`). The
model's policy is that of its log-probabilities, over both labels. A metric is the mean regret of a reward (the paper's figure 4), exact
over the policy and the opponent's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import Task, TaskConfig

from ._probity import Game
from .trl import rows

GAMES = ("ipd", "ish", "icn", "bos", "icd")
"""The games of the paper."""
LABELS = ("action3", "action4")
"""The labels of the paper's tests, which no training draws."""
REGRETS = ("deontological", "utilitarian")


class Protocol(Task):
    """The paper's games, a document a state."""

    VERSION = 1
    OUTPUT_TYPE = "loglikelihood"

    def __init__(
        self,
        games: Sequence[str] = GAMES,
        labels: Sequence[str] = LABELS,
        opponent: str = "random",
        chat: Callable[[str], str] | None = None,
    ) -> None:
        """`chat` applies a model's chat template to a prompt; without it a model continues the text."""
        self._rows = rows(games, [labels], opponent=opponent, chat=chat)
        super().__init__()
        self._config = TaskConfig(task="probity_protocol", output_type="loglikelihood")

    def download(self, *_: Any, **__: Any) -> None:
        """Nothing: the documents are made here."""

    def has_training_docs(self) -> bool:
        return False

    def has_validation_docs(self) -> bool:
        return True

    def has_test_docs(self) -> bool:
        return False

    def validation_docs(self) -> list[dict[str, Any]]:
        return self._rows

    def doc_to_text(self, doc: dict[str, Any]) -> str:
        return str(doc["prompt"])

    def doc_to_choice(self, doc: dict[str, Any]) -> list[str]:
        return Game.parse(doc["game"]).labels[0]

    def doc_to_target(self, doc: dict[str, Any]) -> str:
        """The utilitarian's answer; metrics are regrets, and need none."""
        account = self._account(doc)
        return self.doc_to_choice(doc)[min(range(len(account)), key=lambda a: account[a]["utilitarian_regret"])]

    def construct_requests(self, doc: dict[str, Any], ctx: str, **kwargs: Any) -> list[Instance]:
        kept = {name: value for name, value in kwargs.items() if name in ("metadata", "repeats")}
        return [
            Instance(request_type="loglikelihood", doc=doc, arguments=(ctx, f'{label}"'), idx=number, **kept)
            for number, label in enumerate(self.doc_to_choice(doc))
        ]

    def process_results(self, doc: dict[str, Any], results: Iterable[tuple[float, bool]]) -> dict[str, float]:
        scores = [score for score, _ in results]
        most = max(scores)
        weights = [math.exp(score - most) for score in scores]
        policy = [weight / sum(weights) for weight in weights]
        account = self._account(doc)
        regrets = {f"{name}_regret": sum(p * float(row[f"{name}_regret"]) for p, row in zip(policy, account)) for name in REGRETS}
        return regrets | {"legality_mass": math.exp(most) * sum(weights)}

    def aggregation(self) -> dict[str, Callable[[Sequence[float]], float]]:
        def mean(values: Sequence[float]) -> float:
            return sum(values) / len(values)

        return dict.fromkeys([*(f"{name}_regret" for name in REGRETS), "legality_mass"], mean)

    def higher_is_better(self) -> dict[str, bool]:
        return dict.fromkeys((f"{name}_regret" for name in REGRETS), False) | {"legality_mass": True}

    def _account(self, doc: dict[str, Any]) -> list[Any]:
        last = tuple(doc["last"]) or None
        return Game.parse(json.loads(doc["game"])).account(last, doc["belief"])
