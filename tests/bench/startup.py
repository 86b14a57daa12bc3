"""Start-up and memory of the daemon by the length of its queue, and of the relay."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import trio

from support.crowd import Cost, cost
from tests.bench import relay
from tests.bench.figures import Figure
from tests.bench.submissions import OURS

QUEUES = (0, 100_000, 1_000_000)
ROWS = {
    "ready": ("start until ready", "s"),
    "worked": ("processor time until then", "s"),
    "memory": ("memory", "MiB"),
    "peak": ("most memory", "MiB"),
    "submit_p50": ("submit_scan by the official client, p50", "ms"),
    "queue_status": ("get_queue_status by the official client, p50", "ms"),
    "stop": ("stop", "s"),
}


async def _started(tasks: int) -> Cost:
    with tempfile.TemporaryDirectory() as directory:
        return await cost(Path(directory), tasks, times=50)


def measure() -> list[Figure]:
    found = []
    for tasks in QUEUES:
        seen = trio.run(_started, tasks)
        place = partial(Figure, who=OURS, at=tasks, of="queued tasks")
        found += [
            place(what=what, unit=unit, value=getattr(seen, name))
            for name, (what, unit) in ROWS.items()
        ]
    return found + relay.measure(rounds=11)
