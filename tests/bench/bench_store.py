"""Durable submissions through the task store, against the disk's own fdatasync rate.

    python tests/bench/bench_store.py [--seconds 3] [--rounds 3] [--tasks 100000]
                                      [--directory DIR] [--json FILE]

Every round measures the bare disk and each number of callers once, in turn, so that all
meet the same machine; medians over the rounds are shown. `--tasks` adds start-up, listing
and submission on a store with that many queued tasks (0 leaves it out).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import attrs
import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from nessus_sched.core.states import LIVE
from nessus_sched.core.task import Task
from nessus_sched.store.listing import TaskFilter
from nessus_sched.store.tasks import TaskStore
from support.stored import START, a_request, a_task, submitted

CALLERS = (1, 16, 256, 2000)


@attrs.frozen
class Rate:
    """Operations per second, and latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float


def rate(latencies: list[float], seconds: float) -> Rate:
    latencies.sort()
    return Rate(
        per_second=len(latencies) / seconds,
        p50=latencies[len(latencies) // 2] * 1000,
        p99=latencies[len(latencies) * 99 // 100] * 1000,
    )


def fdatasync_rate(directory: Path, seconds: float) -> Rate:
    """One after the other: append 512 bytes and have them on the disk."""
    latencies: list[float] = []
    with tempfile.NamedTemporaryFile(dir=directory, buffering=0) as file:
        begun = perf_counter()
        while perf_counter() - begun < seconds:
            start = perf_counter()
            file.write(b"x" * 512)
            os.fdatasync(file.fileno())
            latencies.append(perf_counter() - start)
        return rate(latencies, perf_counter() - begun)


def new_tasks(first: int = 1) -> Iterator[Task]:
    request = a_request(targets=("192.0.2.0/24", "198.51.100.7"), description="every Monday")
    for order in count(first):
        # Random ids, as the daemon gives them: their index is part of the price.
        yield a_task(order, request=request, task_id=f"t-{uuid4().hex[:12]}")


async def submission_rate(store: TaskStore, callers: int, seconds: float, first: int) -> Rate:
    """`callers` tasks, each submitting again as soon as it is answered."""
    tasks = new_tasks(first)
    latencies: list[float] = []
    begun = perf_counter()

    async def caller() -> None:
        while perf_counter() - begun < seconds:
            task = next(tasks)
            start = perf_counter()
            await store.submit(task, submitted(task))
            latencies.append(perf_counter() - start)

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(caller)
    return rate(latencies, perf_counter() - begun)


async def on_an_empty_store(root: Path, callers: int, seconds: float) -> Rate:
    with tempfile.TemporaryDirectory(dir=root) as directory:
        async with TaskStore.open(Path(directory), now=lambda: START) as store:
            return await submission_rate(store, callers, seconds, 1)


def submissions(root: Path, rounds: int, seconds: float) -> dict[str, Rate]:
    runs: dict[str, list[Rate]] = {}
    for _ in range(rounds):
        runs.setdefault("fdatasync, serial", []).append(fdatasync_rate(root, seconds))
        for callers in CALLERS:
            found = trio.run(on_an_empty_store, root, callers, seconds)
            runs.setdefault(f"{callers} callers", []).append(found)
    return {name: median(found) for name, found in runs.items()}


def median(runs: list[Rate]) -> Rate:
    columns = zip(*map(attrs.astuple, runs), strict=True)
    return Rate(*map(statistics.median, columns))


async def at_scale(root: Path, tasks: int, seconds: float) -> dict[str, float]:
    """A store with that many queued tasks: start-up, memory, reading, submitting."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        directory = Path(name)
        async with TaskStore.open(directory, now=lambda: START) as store:
            await fill(store, tasks)
        start = perf_counter()
        async with TaskStore.open(directory, now=lambda: START) as store:
            some = [task async for task in store.unfinished() if task.order % 1000 == 0]
            started = perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            middle = some[len(some) // 2]
            submitting = await submission_rate(store, 1, seconds, tasks + 1)
            return {
                "start-up, every queued task read (s)": started,
                "largest memory of the process so far (MiB)": peak / 1024,
                "get (ms)": await typical(lambda: store.get(middle.task_id)),
                "list newest 50 (ms)": await typical(store.list),
                "list 50 from the middle, live (ms)": await typical(
                    lambda: store.list(TaskFilter(states=LIVE), cursor=middle.order)
                ),
                "list 50 by actor (ms)": await typical(
                    lambda: store.list(TaskFilter(actor="cli:alice"))
                ),
                "search for a text that is nowhere (ms)": await typical(
                    lambda: store.list(TaskFilter(text="nowhere")), times=3
                ),
                "submit, one caller, p50 (ms)": submitting.p50,
                "submit, one caller, p99 (ms)": submitting.p99,
            }


async def fill(store: TaskStore, tasks: int) -> None:
    source = new_tasks()

    async def caller() -> None:
        for task in source:
            if task.order > tasks:
                return
            await store.submit(task, submitted(task))

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(caller)


async def typical(work: Callable[[], Awaitable[object]], times: int = 51) -> float:
    """The median time in milliseconds."""
    taken = []
    for _ in range(times):
        start = perf_counter()
        await work()
        taken.append(perf_counter() - start)
    return statistics.median(taken) * 1000


def show(rates: dict[str, Rate], scale: dict[str, float], tasks: int) -> None:
    disk = next(iter(rates.values())).per_second
    print(f"{'':20} {'per second':>12} {'p50 ms':>9} {'p99 ms':>9} {'x fdatasync':>12}")
    for name, found in rates.items():
        print(
            f"{name:20} {found.per_second:12,.0f} {found.p50:9.2f} {found.p99:9.2f}"
            f" {found.per_second / disk:12.2f}"
        )
    if scale:
        print(f"\nwith {tasks:,} queued tasks")
        for name, value in scale.items():
            print(f"  {name:42} {value:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rates = submissions(chosen.directory, chosen.rounds, chosen.seconds)
    scale: dict[str, float] = {}
    if chosen.tasks:
        scale = trio.run(at_scale, chosen.directory, chosen.tasks, chosen.seconds)
    show(rates, scale, chosen.tasks)
    if chosen.json:
        document: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "submissions": {name: attrs.asdict(found) for name, found in rates.items()},
            "tasks": chosen.tasks,
            "scale": scale,
        }
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
