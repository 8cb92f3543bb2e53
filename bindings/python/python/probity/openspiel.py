"""OpenSpiel: our games as its matrix games and back, our agents and scripted players as its bots.

>>> import probity, pyspiel
>>> from probity.openspiel import matrix_game
>>> game = matrix_game(probity.Game.named("ipd"))
>>> game.row_utilities().tolist(), game.col_utilities().tolist()
([[3.0, 0.0], [4.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]])
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyspiel

from ._probity import Agent, Game, Strategy

Policy = Callable[[tuple[int, int] | None], "np.ndarray[tuple[int], np.dtype[np.float64]]"]


def matrix_game(game: Game) -> pyspiel.MatrixGame:
    """A game of ours as OpenSpiel's."""
    rows, columns = game.labels
    payoffs = game.payoffs
    own, other = payoffs[:, :, 0].tolist(), payoffs[:, :, 1].tolist()
    return pyspiel.create_matrix_game(game.name, game.name, rows, columns, own, other)


def from_matrix_game(game: pyspiel.MatrixGame, cooperative: tuple[int, int] = (0, 0)) -> Game:
    """A matrix game of OpenSpiel as ours; `cooperative` says which action of each player is cooperation."""
    payoffs = np.stack([np.array(game.row_utilities()), np.array(game.col_utilities())], axis=-1)
    rows = [game.row_action_name(row) for row in range(game.num_rows())]
    columns = [game.col_action_name(column) for column in range(game.num_cols())]
    return Game(game.get_type().short_name, payoffs, rows, columns, cooperative)


class MemoryOneBot(pyspiel.Bot):
    """A bot that knows the last round of a matrix game, played once or repeated."""

    def __init__(self, policy: Policy, player: int, seed: int = 0) -> None:
        super().__init__()
        self._policy, self._player, self._seed = policy, player, seed
        self._random = np.random.default_rng(seed)

    def player_id(self) -> int:
        return self._player

    def restart(self) -> None:
        self._random = np.random.default_rng(self._seed)

    def restart_at(self, state: pyspiel.State) -> None:
        self.restart()

    def provides_policy(self) -> bool:
        return True

    def get_policy(self, state: pyspiel.State) -> list[tuple[int, float]]:
        history = state.history()
        pair = history[-2:]
        last = (pair[self._player], pair[1 - self._player]) if pair else None
        return [(action, float(p)) for action, p in enumerate(self._policy(last))]

    def step_with_policy(self, state: pyspiel.State) -> tuple[list[tuple[int, float]], int]:
        policy = self.get_policy(state)
        actions, probabilities = zip(*policy, strict=True)
        return policy, int(self._random.choice(actions, p=np.array(probabilities) / sum(probabilities)))

    def step(self, state: pyspiel.State) -> int:
        return self.step_with_policy(state)[1]


def agent_bot(agent: Agent, player: int, seed: int = 0) -> MemoryOneBot:
    """A Probity agent as a bot; the agent is the row player of its own game, whichever seat the bot has."""
    return MemoryOneBot(lambda last: agent.policy(last).probabilities, player, seed)


def scripted_bot(strategy: str, game: Game, player: int, seed: int = 0) -> MemoryOneBot:
    """A scripted player of Probity as a bot in a game of ours."""
    seen, scripted = game if player == 0 else game.transposed(), Strategy.named(strategy)
    return MemoryOneBot(lambda last: scripted.policy(seen, last), player, seed)
