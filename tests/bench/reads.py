"""Reading through MCP on stores of a thousand to a million tasks."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import count, islice
from pathlib import Path
from random import Random

import trio

from nessus_sched.sim.options import SimOptions
from support.crowd import completed, fill
from support.mcp_wire import call, opened
from support.processes import daemon, scanner_yaml, simulators, site
from tests.bench.figures import Figure
from tests.bench.protocol import Ask, call_rate, over_socket
from tests.bench.submissions import OURS

SIZES = (1_000, 100_000, 1_000_000)
START = 180.0
SECONDS = 1.0


def questions(ids: list[str], middle: int) -> dict[str, Ask]:
    random = Random(1)
    return {
        "get_scan_status": lambda n: call(n, "get_scan_status", task_id=random.choice(ids)),
        "list_tasks": lambda n: call(n, "list_tasks"),
        "list_tasks, from the middle": lambda n: call(n, "list_tasks", cursor=str(middle)),
        "list_tasks, of one scanner": lambda n: call(n, "list_tasks", scanner_instance="a"),
        "submit_scan": lambda n: call(n, "submit_scan", targets=[f"192.0.2.{n % 250 + 1}"]),
    }


async def at_size(size: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        fill(directory / "state", islice(completed(), size))
        ids = [task.task_id for task in islice(completed(), 1000)]
        async with simulators(SimOptions(scans_take=1e6)) as (sim,):
            place = site(
                directory, [scanner_yaml("a", sim, 1)], log={"level": "warning"},
                limits={"calls_per_second": 10_000},
                retention=dict.fromkeys(("completed", "findings", "exports"), "3650d"),
            )  # fmt: skip
            async with daemon(place, within=START), over_socket(place) as stream:
                await opened(stream)
                numbers, found = count(1), []
                for what, ask in questions(ids, size // 2).items():
                    await call_rate(stream, ask, numbers, 1, 0.1)  # caches warm
                    got = await call_rate(stream, ask, numbers, 1, SECONDS)
                    found.append(
                        Figure(
                            what=what, who=OURS, at=size, of="stored tasks", unit="ms",
                            value=got.p50, p50=got.p50, p99=got.p99,
                        )
                    )  # fmt: skip
    return found


def measure() -> list[Figure]:
    return [figure for size in SIZES for figure in trio.run(partial(at_size, size))]
