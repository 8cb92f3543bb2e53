"""Evaluation on one process, on two of Ray's workers, and on up to 1,000 by simulation: writes its part of docs/scale.md.

    make bench-scale

The times of tasks, of handing one out, and of a worker's start are measured here. The simulation draws tasks from the measured times,
hands them out one after another, and gives each to the first free worker.
"""

import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import ray

from probity.ray import Job, grid, makespan, measure, run

ROOT = Path(__file__).parents[3]
GAMES = ["ipd", "ish", "icn", "bos", "icd"]
POLICIES = ["bare", "deontological", "utilitarian", "game"]
SIMULATED = 100_000


def nothing(job: Job) -> dict[str, Any]:
    """A task that takes no time: what is left is Ray's own."""
    return {"job": vars(job)}


def timed(task: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = task()
    return time.perf_counter() - begin, result


def main() -> None:
    jobs = grid(policies=POLICIES, games=GAMES, labels=[("share", "keep"), ("pull", "wait")], seeds=range(3), rounds=20)
    measure(jobs[0])
    times, here = [], []
    for job in jobs:
        seconds, result = timed(lambda job=job: measure(job))
        times.append(seconds)
        here.append(json.loads(json.dumps(result)))
    alone = sum(times)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    start, _ = timed(lambda: list(run(jobs[:1])))
    list(run(jobs[:8]))
    together, there = timed(lambda: list(run(jobs)))
    dispatch, _ = timed(lambda: list(run(jobs, task=nothing)))
    dispatch /= len(jobs)
    ray.shutdown()
    by_job = {json.dumps(r["job"], sort_keys=True): r for r in there}
    same = all(by_job[json.dumps(r["job"], sort_keys=True)] == r for r in here)
    draw = random.Random(1)
    tasks = draw.choices(times, k=SIMULATED)
    rows = []
    for workers in (1, 2, 10, 100, 1000):
        seconds = makespan(tasks, workers, dispatch, start)
        rows.append((workers, seconds, sum(tasks) / seconds))
    lines = [
        f"{len(jobs)} tasks of {jobs[0].rounds} rounds and five states, {statistics.mean(times):.3f} s each: {alone:.1f} s in one process, "
        f"{together:.1f} s on two workers, {alone / together:.2f} times as fast. Results equal those of one process to the bit: "
        f"{'yes' if same else 'NO'}. Handing out a task takes {1000 * dispatch:.1f} ms, a worker's start {start:.1f} s.",
        "",
        f"By simulation, {SIMULATED:,} such tasks:",
        "",
        "| workers | minutes | times as fast as one |",
        "|---|---|---|",
        *(f"| {workers:,} | {seconds / 60:.1f} | {speed:.1f} |" for workers, seconds, speed in rows),
        "",
        f"One driver hands out {1 / dispatch:.0f} tasks a second: it keeps {1 / dispatch:.0f} workers busy with tasks of a second each.",
    ]
    if not same:
        sys.exit("\n".join(lines))
    page = ROOT / "docs/scale.md"
    before, _, rest = page.read_text().partition("<!-- evaluation: make bench-scale writes this -->\n")
    _, end, after = rest.partition("<!-- end -->")
    page.write_text(f"{before}<!-- evaluation: make bench-scale writes this -->\n" + "\n".join(lines) + f"\n{end}{after}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
