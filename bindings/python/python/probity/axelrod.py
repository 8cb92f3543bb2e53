"""Axelrod's tournaments: our agents and scripted players as its players, its players as opponents of ours.

>>> import axelrod, probity
>>> from probity.axelrod import ScriptedPlayer
>>> match = axelrod.Match([ScriptedPlayer("tit-for-tat"), axelrod.Alternator()], turns=4)
>>> [(str(ours), str(theirs)) for ours, theirs in match.play()]
[('C', 'C'), ('C', 'D'), ('D', 'C'), ('C', 'D')]
"""

from __future__ import annotations

from typing import Any

import axelrod
from axelrod.action import Action

from ._probity import Agent, Game, Strategy

C, D = Action.C, Action.D


def _of(action: int) -> Action:
    return D if action else C


def _last(player: axelrod.Player, opponent: axelrod.Player) -> tuple[int, int] | None:
    """The last round as the player sees it."""
    if not player.history:
        return None
    return int(player.history[-1] == D), int(opponent.history[-1] == D)


class _MemoryOne(axelrod.Player):
    """A player who knows the last round: draws from the probability of cooperation by its own seeded stream."""

    classifier = {
        "memory_depth": 1,
        "stochastic": True,
        "long_run_time": False,
        "inspects_source": False,
        "manipulates_source": False,
        "manipulates_state": False,
    }

    def _cooperates(self, last: tuple[int, int] | None) -> float:
        raise NotImplementedError

    def strategy(self, opponent: axelrod.Player) -> Action:
        cooperates = self._cooperates(_last(self, opponent))
        # A player who is certain has no stream.
        if cooperates in (0.0, 1.0):
            return C if cooperates else D
        return self._random.random_choice(cooperates)


class AgentPlayer(_MemoryOne):
    """A Probity agent of two actions; action 0 is cooperation. Its history is the match's, not the agent's."""

    name = "Probity"

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        if len(agent.actions) != 2:
            raise ValueError(f"agent: {len(agent.actions)} actions, expected 2")
        self.agent = agent

    def __repr__(self) -> str:
        return self.name

    def _cooperates(self, last: tuple[int, int] | None) -> float:
        return float(self.agent.policy(last).probabilities[0])


class ScriptedPlayer(_MemoryOne):
    """A scripted player of Probity, by its name."""

    name = "Probity's scripted player"

    def __init__(self, strategy: str = "tit-for-tat") -> None:
        super().__init__()
        self.scripted = Strategy.named(strategy)
        self.name = strategy
        lasts = [None, *((own, other) for own in (0, 1) for other in (0, 1))]
        certain = all(self._cooperates(last) in (0.0, 1.0) for last in lasts)
        self.classifier = self.classifier | {"stochastic": not certain}

    def __repr__(self) -> str:
        return self.name

    def _cooperates(self, last: tuple[int, int] | None) -> float:
        return float(self.scripted.policy(Game.named("ipd"), last)[0])


class Opponent:
    """A player of Axelrod as the other player of an agent.

    `act` says what it plays next, and `observe` tells it what was played.
    """

    def __init__(self, player: axelrod.Player, seed: int = 0) -> None:
        self.player, self._us = player, axelrod.MockPlayer([C])
        player.reset()
        player.set_seed(seed)

    def act(self) -> int:
        """Its next action: 0 cooperates, 1 defects."""
        return int(self.player.strategy(self._us) == D)

    def observe(self, theirs: int, ours: int) -> None:
        """Tells it a round: its own action and the agent's."""
        self.player.update_history(_of(theirs), _of(ours))
        self._us.update_history(_of(ours), _of(theirs))


def play(agent: Agent, player: axelrod.Player, rounds: int, seed: int = 0) -> list[dict[str, Any]]:
    """Plays some rounds: a row for each, with both actions and the probability of ours."""
    opponent, rows = Opponent(player, seed), []
    for number in range(1, rounds + 1):
        decision, theirs = agent.decide(), opponent.act()
        agent.observe(decision.action, theirs)
        opponent.observe(theirs, decision.action)
        probability = float(decision.probabilities[decision.action])
        rows.append({"round": number, "own": decision.action, "other": theirs, "probability": probability})
    return rows
