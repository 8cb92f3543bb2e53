"""Every game as a PettingZoo parallel environment.

>>> from probity.pettingzoo import MatrixGame
>>> env = MatrixGame("ipd", rounds=10, reward="deontological")
>>> observations, infos = env.reset()
>>> observations, rewards, terminations, truncations, infos = env.step({"row": 1, "column": 0})
>>> rewards
{'row': 0.0, 'column': 0.0}
>>> observations, rewards, terminations, truncations, infos = env.step({"row": 1, "column": 1})
>>> rewards
{'row': -3.0, 'column': 0.0}
>>> infos["row"]["account"]["utilitarian"]
2.0
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv

from ._probity import Game

if TYPE_CHECKING:
    from ._probity import Row

ROW, COLUMN = "row", "column"


class MatrixGame(ParallelEnv[str, int, int]):
    """A matrix game that is played for some rounds.

    Observations: 0 in the first round, and then `1 + own * n + other` of the last round, where `n` is the number of the
    other player's actions. Rewards are those of a framework, "game" (the own points), "deontological", "utilitarian" and
    so on, for what was played. `infos` has every framework's reward.
    """

    metadata = {"name": "probity_matrix_game_v0", "render_modes": ["ansi"], "is_parallelizable": True}

    def __init__(
        self, game: Game | str, *, rounds: int = 20, reward: str = "game", render_mode: str | None = None
    ) -> None:
        if rounds < 1:
            raise ValueError(f"rounds: {rounds}, expected at least 1")
        game = Game.named(game) if isinstance(game, str) else game
        self.game, self.rounds, self.reward, self.render_mode = game, rounds, reward, render_mode
        self._seen = {ROW: game, COLUMN: game.transposed()}
        counts = {agent: [len(labels) for labels in seen.labels] for agent, seen in self._seen.items()}
        self._others = {agent: other for agent, (_, other) in counts.items()}
        self.action_spaces = {agent: Discrete(own) for agent, (own, _) in counts.items()}
        self.observation_spaces = {agent: Discrete(1 + own * other) for agent, (own, other) in counts.items()}
        self.possible_agents = [ROW, COLUMN]
        self.agents: list[str] = []
        self._last: dict[str, tuple[int, int]] = {}
        self._round = 0
        self._account = cache(self._account_of)
        row = self._account(ROW, None, 0)[0]
        frameworks = [name for name in row if f"{name}_regret" in row]
        if reward not in frameworks:
            raise ValueError(f"reward: {reward!r}, expected one of {', '.join(frameworks)}")

    def _account_of(self, agent: str, last: tuple[int, int] | None, other: int) -> list[Row]:
        """The account of every own action where the other's is known."""
        belief = [0.0] * self._others[agent]
        belief[other] = 1.0
        return self._seen[agent].account(last, belief)

    def observation_space(self, agent: str) -> Discrete:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
        self.agents, self._last, self._round = list(self.possible_agents), {}, 0
        return dict.fromkeys(self.agents, 0), {agent: {"last": None} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, int], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        if not self.agents:
            raise RuntimeError("the game is over, or was never begun: call reset")
        for agent, space in self.action_spaces.items():
            if not space.contains(actions[agent]):
                raise ValueError(f"{agent}: action {actions[agent]!r}, expected 0 to {space.n - 1}")
        played = {agent: int(actions[agent]) for agent in self.agents}
        now = {ROW: (played[ROW], played[COLUMN]), COLUMN: (played[COLUMN], played[ROW])}
        accounts = {a: self._account(a, self._last.get(a), other)[own] for a, (own, other) in now.items()}
        self._last, self._round = now, self._round + 1
        over = self._round >= self.rounds
        observations = {agent: 1 + own * self._others[agent] + other for agent, (own, other) in now.items()}
        rewards = {agent: float(account[self.reward]) for agent, account in accounts.items()}
        infos = {agent: {"last": now[agent], "account": accounts[agent]} for agent in self.agents}
        terminations, truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, over)
        if over:
            self.agents = []
        return observations, rewards, terminations, truncations, infos

    def render(self) -> str | None:
        """What was played last, in words."""
        if self.render_mode != "ansi":
            return None
        if not self._last:
            return f"{self.game.name}: not begun"
        rows, columns = self.game.labels
        own, other = self._last[ROW]
        return f"{self.game.name}, round {self._round} of {self.rounds}: {rows[own]}, {columns[other]}"

    def close(self) -> None:
        """Nothing is held."""
