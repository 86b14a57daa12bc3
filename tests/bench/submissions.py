"""Durable submissions: our store, and what one would take instead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter

import cattrs
import trio

from nessus_sched.core.ids import new_task_id
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.daemon.lifecycle import tune_interpreter
from nessus_sched.store.tasks.store import TaskStore
from support.stored import START, a_request, submitted
from tests.bench.figures import Figure, Rate, medians, rate
from tests.bench.peers import (
    PEERS,
    REDIS,
    Peer,
    Submit,
    hop_rate,
    sync_rate,
    usual_redis_rate,
)

OURS = "nessus-sched"
CALLERS = (1, 16, 256, 2000)
WHAT = "durable submissions"
SLOW_SYNC = 8000
"""Microseconds."""


def new_tasks() -> Iterator[Task]:
    """As the daemon makes them when ten thousand come in a second."""
    request = a_request(targets=("192.0.2.0/24", "198.51.100.7"), description="every Monday")
    random = Random(1)
    for order in count(1):
        at = START + order / 10_000
        yield Task(
            task_id=new_task_id(random, at), trace_id=f"{order:032x}", request=request,
            actor="cli:alice", created_at=at, order=order, entered={TaskState.QUEUED: at},
        )  # fmt: skip


@asynccontextmanager
async def ours(directory: Path) -> AsyncIterator[Submit]:
    tune_interpreter()  # as the daemon does; the peers below profit from it, too
    async with TaskStore.open(directory, now=lambda: START) as store:
        yield lambda task: store.submit(task, submitted(task))


async def submission_rate(peer: Peer, directory: Path, callers: int, seconds: float) -> Rate:
    """`callers` tasks, each submitting again as soon as it is answered."""
    tasks = new_tasks()
    latencies: list[float] = []
    async with peer(directory) as submit:
        begun = perf_counter()

        async def caller() -> None:
            while perf_counter() - begun < seconds:
                task = next(tasks)
                start = perf_counter()
                await submit(task)
                latencies.append(perf_counter() - start)

        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(caller)
        return rate(latencies, perf_counter() - begun)


def one_round(root: Path, callers: tuple[int, ...], seconds: float) -> list[Figure]:
    """Everybody once, in turn, so that all meet the same machine."""
    with tempfile.TemporaryDirectory(dir=root.absolute()) as name:
        found = [sync_rate(Path(name), seconds).figure(WHAT, "the disk: one fdatasync each", 1)]
    found.append(trio.run(hop_rate, seconds).figure(WHAT, "a round trip to a thread each", 1))
    for at in callers:
        for who, peer in {OURS: ours, **PEERS}.items():
            with tempfile.TemporaryDirectory(dir=root.absolute()) as name:
                got = trio.run(submission_rate, peer, Path(name), at, seconds)
                found.append(got.figure(WHAT, who, at))
        if REDIS and find_spec("redis"):
            with tempfile.TemporaryDirectory(dir=root.absolute()) as name:
                got = usual_redis_rate(Path(name), new_tasks(), at, seconds)
                found.append(got.figure(WHAT, "Redis, its asyncio client", at))
    return found


def measure(rounds: int = 5) -> list[Figure]:
    return medians([one_round(Path(), CALLERS, 1.0) for _ in range(rounds)])


def measure_slow_disk(rounds: int = 2) -> list[Figure]:
    """The same on a disk like users', by a preloaded delay; for the peers' servers too."""
    if "SLOW_SYNC" in os.environ:
        return medians([one_round(Path(), (16, 256), 1.5) for _ in range(rounds)])
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "slow_sync.so"
        source = Path(__file__).with_name("slow_sync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench", "--in-process", "slow_disk"],
            env={**os.environ, "LD_PRELOAD": str(library), "SLOW_SYNC": str(SLOW_SYNC)},
            stdout=subprocess.PIPE,
            check=True,
        )
        return cattrs.structure(json.loads(done.stdout), list[Figure])
