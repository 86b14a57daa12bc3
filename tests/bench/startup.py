"""Start-up and memory of the daemon by the length of its queue and the size of its ledger, and of
the relay."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

import trio

from nessus_sched.sim.options import SimOptions
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.ledger.store import open_ledger
from nessus_sched.store.lock import prepare_directory
from support.crowd import LONG, Cost, cost, processor_time, resident
from support.processes import daemon, scanner_yaml, simulators, site
from tests.bench import ledger, relay
from tests.bench.figures import Figure
from tests.bench.submissions import OURS

QUEUES = (0, 100_000, 1_000_000)
LEDGERS = (100_000, 1_000_000)
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


async def _with_ledger(directory: Path, size: int) -> list[Figure]:
    """A start with an empty queue and so many findings in the ledger."""
    state = directory / "state"
    prepare_directory(state)
    for opened in (
        await open_findings(state / "findings.db"),
        await open_ledger(state / "ledger.db", state / "findings.db"),
    ):
        await opened.aclose()
    ledger.fill(state / "ledger.db", size)
    async with simulators(SimOptions()) as (sim,):
        place = site(directory, [scanner_yaml("a", sim)])
        begun = perf_counter()
        async with daemon(place, within=LONG) as process:
            ready, worked = perf_counter() - begun, processor_time(process.pid)
            memory = resident(process.pid, "VmRSS")
    found = partial(Figure, who=OURS, at=size, of="findings in the ledger")
    return [
        found(what=ROWS["ready"][0], unit="s", value=ready),
        found(what=ROWS["worked"][0], unit="s", value=worked),
        found(what=ROWS["memory"][0], unit="MiB", value=memory),
    ]


def measure() -> list[Figure]:
    found = []
    for size in LEDGERS:
        with tempfile.TemporaryDirectory() as directory:
            found += trio.run(_with_ledger, Path(directory), size)
    for tasks in QUEUES:
        seen = trio.run(_started, tasks)
        place = partial(Figure, who=OURS, at=tasks, of="queued tasks")
        found += [
            place(what=what, unit=unit, value=getattr(seen, name))
            for name, (what, unit) in ROWS.items()
        ]
    return found + relay.measure(rounds=11)
