"""TRL: prompts as a dataset, and our rewards as its reward functions.

>>> import probity
>>> from probity.trl import reward, rows
>>> data = rows(["ipd"], [("share", "keep")])
>>> len(data), data[2]["last"]
(5, [0, 1])
>>> utilitarian = reward("utilitarian")
>>> utilitarian(completions=['share"', 'keep".', "I think"], **{key: [data[0][key]] * 3 for key in ("game", "last", "belief")})
[5.0, 3.0, -6.0]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ._probity import OPENING, Game, Strategy, prompt

if TYPE_CHECKING:
    from datasets import Dataset

ILLEGAL = -6.0
"""The reward of an answer that names no legal action (arXiv 2410.01639, R_illegal)."""


def rows(
    games: Iterable[Game | str],
    labels: Iterable[Sequence[str]],
    *,
    opponent: str = "random",
    chat: Callable[[str], str] | None = None,
    opened: bool = True,
) -> list[dict[str, Any]]:
    """A row for each game, pair of labels and state: the prompt, and what a reward needs.

    `chat` applies a chat template to the text. An answer is opened, as the runtime opens it, unless `opened` is false.
    `belief` is the opponent's policy in the state.
    """
    data = []
    other = Strategy.named(opponent)
    for named in games:
        plain = Game.named(named) if isinstance(named, str) else named
        for names in labels:
            document = plain.document() | {"actions": [list(names), list(names)]}
            game = Game.parse(document)
            own_count, other_count = (len(labels) for labels in game.labels)
            lasts = [None, *((own, theirs) for own in range(own_count) for theirs in range(other_count))]
            for last in lasts:
                text = prompt({"game": document}, last)
                text = chat(text) if chat else f"{text}\n"
                seen = None if last is None else (last[1], last[0])
                data.append(
                    {
                        "prompt": text + OPENING if opened else text,
                        "game": json.dumps(document),
                        "last": list(last) if last else [],
                        "belief": other.policy(game.transposed(), seen).tolist(),
                    }
                )
    return data


def dataset(*args: Any, **options: Any) -> Dataset:
    """As `rows`, as a dataset of the package datasets."""
    from datasets import Dataset

    return Dataset.from_list(rows(*args, **options))


def action(completion: str, labels: Sequence[str]) -> int | None:
    """The action that an answer names: its first words, with or without the opening; `None` for none."""
    answer = completion.strip().removeprefix(OPENING).lstrip("\"' ")
    # Of labels that begin alike the longest is meant.
    named = [label for label in labels if answer.startswith(label) and not answer[len(label) :][:1].isalnum()]
    return labels.index(max(named, key=len)) if named else None


def _text(completion: Any) -> str:
    """A completion of TRL: a text, or a list of messages."""
    return completion if isinstance(completion, str) else "".join(message["content"] for message in completion)


def reward(framework: str, illegal: float = ILLEGAL) -> Callable[..., list[float]]:
    """A reward function of TRL: the expected reward of the action that an answer names, under the row's belief."""
    names = [name for name in Game.named("ipd").account()[0] if name.endswith("_regret")]
    if f"{framework}_regret" not in names:
        raise ValueError(f"framework: {framework!r}, expected one of {', '.join(n.removesuffix('_regret') for n in names)}")

    def rewards(
        completions: Sequence[Any],
        game: Sequence[str],
        last: Sequence[Sequence[int]],
        belief: Sequence[Sequence[float]],
        **_: Any,
    ) -> list[float]:
        values = []
        for completion, document, round_, believed in zip(completions, game, last, belief, strict=True):
            played = Game.parse(document)
            named = action(_text(completion), played.labels[0])
            account = played.account((round_[0], round_[1]) if round_ else None, list(believed))
            values.append(illegal if named is None else float(account[named][framework]))
        return values

    rewards.__name__ = framework
    return rewards
