"""A store with very many queued tasks, and what a daemon on it costs, seen from outside."""

from __future__ import annotations

import os
import statistics
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from random import Random
from time import perf_counter

import attrs

from nessus_sched.core.ids import new_task_id
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Priority, ScanKind, Task
from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.lock import prepare_directory
from nessus_sched.store.tasks.committer import BatchCommitter, Request
from nessus_sched.store.tasks.engine import SqliteEngine
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.submission import Submit
from support.processes import client, daemon, scanner_yaml, simulators, site
from support.stored import START, a_request, a_task, submitted

BATCH = 20_000
MIB = 1024
LONG = 300.0
"""Seconds for a start on a machine that is busy with other things."""


@attrs.frozen(kw_only=True)
class Cost:
    """Seconds, MiB, and median and 99th percentile latencies in milliseconds, each as the
    official client sees them through the relay. `ready` is from the start of the process
    until it accepts connections, `worked` the processor time in it, which other work on the
    machine does not change; `peak` the most memory until the end."""

    tasks: int
    ready: float
    worked: float
    memory: float
    peak: float
    submit_p50: float
    submit_p99: float
    status: float
    list_tasks: float
    queue_status: float
    list_scanners: float
    stop: float


def crowd(seed: int = 1) -> Iterator[Task]:
    """Queued tasks of every priority, of one to four targets, one in ten for scanner `a`."""
    random = Random(seed)
    for order in count(1):
        targets = tuple(
            f"10.{random.randrange(256)}.{random.randrange(256)}.{16 * random.randrange(16)}/28"
            for _ in range(random.randint(1, 4))
        )
        request = a_request(
            kind=random.choice([ScanKind.BASIC, ScanKind.QUICK]),
            targets=targets,
            priority=random.choice(list(Priority)),
            name=f"host {order}",
            description="every Monday, before the shift begins",
            scanner_instance="a" if random.random() < 0.1 else None,
        )
        yield a_task(order, request=request, task_id=new_task_id(random, START + order))


def completed() -> Iterator[Task]:
    """The same some time after they have ended."""
    for task in crowd():
        entered = {TaskState.QUEUED: task.created_at, TaskState.COMPLETED: task.created_at + 600}
        yield attrs.evolve(
            task,
            state=TaskState.COMPLETED,
            attempt=1,
            scanner_instance="a",
            launched_at=task.created_at,
            entered=entered,
        )


def fill(directory: Path, tasks: Iterable[Task]) -> None:
    """A state directory with those tasks, each with the one journal row that made it; in
    large transactions through the store's own writer."""
    prepare_directory(directory)
    committer, source = BatchCommitter(SqliteEngine(directory / FILE_NAME)), iter(tasks)
    committer.open()
    while batch := list(islice(source, BATCH)):
        requests = [Request(Submit.encode(task, submitted(task), 0.0)) for task in batch]
        committer.commit(requests)
        assert all(request.error is None for request in requests)
    committer.close()


async def cost(directory: Path, tasks: int, times: int = 100) -> Cost:
    """Fills a store and starts a daemon on it, with two scanners that are full for ever."""
    fill(directory / "state", islice(crowd(), tasks))
    full = SimOptions(seed=1, scans_take=30 * 86400.0)
    async with simulators(full, full) as (a, b):
        place = site(
            directory,
            [scanner_yaml("a", a), scanner_yaml("b", b)],
            targets={"allow": ["10.0.0.0/8", "192.0.2.0/24"]},
            polling={"fastest": "2s", "slowest": "60s"},
            limits={"queued_tasks": 10_000_000, "queued_targets": 100_000_000},
        )
        begun = perf_counter()
        async with daemon(place, within=LONG) as process:
            ready, worked = perf_counter() - begun, processor_time(process.pid)
            async with client(place, "--no-start") as tools:
                memory = resident(process.pid, "VmRSS")
                submits = await submissions(tools, times)
                ask = questions(tools)
                seen = {name: await typical(call) for name, call in ask.items()}
                peak = resident(process.pid, "VmHWM")
            begun = perf_counter()
            process.terminate()
            await process.wait()
            stop = perf_counter() - begun
    return Cost(
        tasks=tasks,
        ready=ready,
        worked=worked,
        memory=memory,
        peak=peak,
        submit_p50=1000 * statistics.median(submits),
        submit_p99=1000 * sorted(submits)[len(submits) * 99 // 100],
        stop=stop,
        **seen,
    )


def questions(tools: Tools) -> dict[str, Callable[[], Awaitable[object]]]:
    async def status() -> object:
        listed = await tools.call("list_tasks", limit=1)
        return await tools.call("get_scan_status", task_id=listed["tasks"][0]["task_id"])

    return {
        "status": status,
        "list_tasks": lambda: tools.call("list_tasks", limit=50),
        "queue_status": lambda: tools.call("get_queue_status"),
        "list_scanners": lambda: tools.call("list_scanners"),
    }


async def submissions(tools: Tools, times: int) -> list[float]:
    """How long each of so many submissions took, one after the other."""
    taken = []
    for number in range(times):
        begun = perf_counter()
        await tools.call("submit_scan", targets=[f"192.0.2.{number % 250 + 1}"], name="new")
        taken.append(perf_counter() - begun)
    return taken


async def typical(call: Callable[[], Awaitable[object]], times: int = 21) -> float:
    """The median time in milliseconds."""
    taken = []
    for _ in range(times):
        begun = perf_counter()
        await call()
        taken.append(perf_counter() - begun)
    return 1000 * statistics.median(taken)


def resident(pid: int, field: str) -> float:
    """`VmRSS` or `VmHWM` of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / MIB
    raise AssertionError(f"no {field}")


def processor_time(pid: int) -> float:
    """What a process has used so far, in seconds."""
    _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
