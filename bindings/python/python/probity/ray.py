"""Ray: policies, games and seeds as tasks, on one machine or many.

>>> from probity.ray import grid, measure
>>> jobs = grid(policies=["bare", "deontological"], games=["ipd"], labels=[("share", "keep")], seeds=[1], rounds=4)
>>> len(jobs), jobs[0].policy
(2, 'bare')
>>> sorted(measure(jobs[1]))[:3]
['actions', 'job', 'legality_mass']
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
import random
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import shipped
from ._probity import Adapter, Agent, Game, Model, Session, Strategy

FRAMEWORKS = ("game", "deontological", "utilitarian")
"""The rewards that a measurement sums up."""


@dataclass(frozen=True)
class Job:
    """A policy in a game, against a scripted player, from a seed."""

    model: str
    """A GGUF file, or `default`."""
    policy: str
    """`bare`, the file of an adapter, or the name of a shipped one."""
    game: str
    """A game's name, or its document as JSON."""
    labels: tuple[str, ...]
    seed: int
    opponent: str = "tit-for-tat"
    rounds: int = 20

    @property
    def key(self) -> str:
        """The job as a text, by which its result is found again."""
        return json.dumps(asdict(self), sort_keys=True)


def grid(
    *,
    policies: Iterable[str],
    games: Iterable[str],
    labels: Iterable[Sequence[str]],
    seeds: Iterable[int],
    opponents: Iterable[str] = ("tit-for-tat",),
    model: str = "default",
    rounds: int = 20,
) -> list[Job]:
    """Every policy in every game, with every pair of labels, against every opponent, from every seed."""
    each = itertools.product(policies, games, labels, opponents, seeds)
    return [Job(model, policy, game, tuple(names), seed, other, rounds) for policy, game, names, other, seed in each]


def _file(name: str) -> Path:
    return Path(name) if name.endswith(".gguf") else shipped(name)


@functools.lru_cache(maxsize=2)
def _opened(model: str) -> tuple[Model, Session, dict[str, Adapter]]:
    opened = Model(_file(model))
    # One thread: tasks run side by side, and every machine adds up in the same order.
    return opened, Session(opened, threads=1), {}


def measure(job: Job) -> dict[str, Any]:
    """Plays a job's rounds: the actions, the rewards by framework, and the policy in every state."""
    game = Game.parse(job.game) if job.game.lstrip().startswith("{") else Game.named(job.game)
    document = game.document() | {"actions": [list(job.labels), list(job.labels)]}
    model, session, adapters = _opened(job.model)
    agent: Agent = session.agent({"game": document, "seed": job.seed})
    if job.policy != "bare":
        if job.policy not in adapters:
            adapters[job.policy] = Adapter(model, _file(job.policy))
        agent.set_adapters([adapters[job.policy]])
    told, draw = Game.parse(document), random.Random(job.seed)
    turned, other = told.transposed(), Strategy.named(job.opponent)
    actions: list[tuple[int, int]] = []
    rewards = dict.fromkeys(FRAMEWORKS, 0.0)
    for _ in range(job.rounds):
        last = actions[-1] if actions else None
        own = agent.decide().action
        chances = other.policy(turned, None if last is None else (last[1], last[0]))
        theirs = draw.choices(range(len(chances)), chances.tolist())[0]
        row = told.account(last, [float(a == theirs) for a in range(len(chances))])[own]
        for name in FRAMEWORKS:
            rewards[name] += float(row[name])
        agent.observe(own, theirs)
        actions.append((own, theirs))
    count = range(len(job.labels))
    policies = [agent.policy(last) for last in [None, *((own, other) for own in count for other in count)]]
    return {
        "job": asdict(job),
        "model": model.fingerprint,
        "actions": actions,
        "rewards": {name: total / job.rounds for name, total in rewards.items()},
        "policy": [policy.probabilities.tolist() for policy in policies],
        "legality_mass": [policy.legality_mass for policy in policies],
    }


def run(
    jobs: Iterable[Job],
    out: str | Path | None = None,
    *,
    task: Callable[[Job], dict[str, Any]] = measure,
    retries: int = 10,
) -> Generator[dict[str, Any]]:
    """The results of jobs as they come, by Ray's workers; a worker that dies has its job taken by another, `retries` times.

    With `out`, a file of a line of JSON a result, results are there before they come; jobs that it has already are not run again, so
    that a sweep which was stopped goes on. Name another file where a model or an adapter changed. Connect to a cluster by `ray.init`
    before. An error of a job is raised with the job.
    """
    import ray

    wanted = list(dict.fromkeys(jobs))
    known: dict[str, dict[str, Any]] = {}
    file = Path(out).open("a+b") if out else None
    if file:
        file.seek(0)
        # A line that was cut off is no result.
        whole = file.read().rpartition(b"\n")
        file.truncate(len(whole[0]) + len(whole[1]))
        for line in whole[0].splitlines():
            result = json.loads(line)
            known[Job(**(result["job"] | {"labels": tuple(result["job"]["labels"])})).key] = result
    remote = ray.remote(max_retries=retries, num_cpus=1)(task)
    left = iter([job for job in wanted if job.key not in known])
    # As many as keep every worker busy; more would only wait, and be looked through at every result.
    resources: Any = ray
    window = 4 * max(1, int(resources.cluster_resources().get("CPU", 1)))
    waiting = {remote.remote(job): job for job in itertools.islice(left, window)}
    try:
        yield from (known[job.key] for job in wanted if job.key in known)
        while waiting:
            ready, _ = ray.wait(list(waiting))
            job = waiting.pop(ready[0])
            waiting |= {remote.remote(job): job for job in itertools.islice(left, 1)}
            try:
                # As JSON has it: the same whether it was read back or not.
                text = json.dumps(ray.get(ready[0]))
            except ray.exceptions.RayError as error:
                raise RuntimeError(f"{job.key}: {error}") from error
            if file:
                file.write(text.encode() + b"\n")
                file.flush()
            yield json.loads(text)
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
        if file:
            file.close()


def makespan(times: Sequence[float], workers: int, dispatch: float, start: float) -> float:
    """The seconds that tasks take on so many workers, each taken by the first that is free.

    One driver hands out tasks, `dispatch` seconds each. A worker takes `start` seconds before its first task.
    """
    free = [start] * workers
    end = 0.0
    for number, seconds in enumerate(times, start=1):
        begin = max(heapq.heappop(free), number * dispatch)
        heapq.heappush(free, begin + seconds)
        end = max(end, begin + seconds)
    return end
