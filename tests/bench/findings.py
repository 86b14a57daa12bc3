"""Importing findings, and pages of them through MCP, from ten thousand to ten million."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.results.model import Finding, HostEnd, HostReport, Plugin
from nessus_sched.results.parser.reader import Event
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.findings.schema import SCAN_PARTS, columns_of, prepare
from nessus_sched.store.findings.store import open_findings
from support.crowd import completed, fill
from support.mcp_wire import call, opened
from support.processes import daemon, scanner_yaml, simulators, site
from tests.bench.figures import Figure
from tests.bench.protocol import call_rate, over_socket
from tests.bench.submissions import OURS

IMPORTED = (10_000, 100_000, 1_000_000)
TIMES = 10
"""The largest scan is a copy of the largest imported one, each finding so many times: an
import of ten million takes five minutes."""
SECONDS = 1.0

QUESTIONS: dict[str, dict[str, Any]] = {
    "first page": {},
    "severity>=high": {"filters": ["severity>=high"]},
    "one CVE": {"filters": ["cve=CVE-2021-1234"]},
    "text in the output": {"filters": ["plugin_output~host 10.0.0.7 "]},
    "sorted by host": {"sort": ["host", "port"]},
}
_PLUGINS = 4000
_PER_HOST = 200


def plugins(chance: random.Random) -> list[Plugin]:
    words = [f"word{number} " for number in range(500)]
    made = []
    for number in range(_PLUGINS):
        severity = number % 5
        made.append(
            Plugin(
                plugin_id=10_000 + number,
                plugin_name=f"Check {number}",
                plugin_family=f"family {number % 40}",
                synopsis="".join(chance.choices(words, k=10)),
                description="".join(chance.choices(words, k=200)),
                solution="".join(chance.choices(words, k=30)),
                cvss3_base_score=None if severity == 0 else chance.randint(severity * 20, 99) / 10,
                exploit_available=number % 7 == 0,
                cve=(f"CVE-2021-{number}",) if severity else (),
            )
        )
    return made


def report(findings: int, chance: random.Random) -> Iterator[Event]:
    known = plugins(chance)
    for index in range(findings // _PER_HOST):
        name = f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
        host = HostReport(index=index, name=name, ip=name)
        yield host
        for place in range(_PER_HOST):
            # Mostly information, as in real reports.
            number = chance.randrange(_PLUGINS)
            number -= number % 5 if chance.randrange(3) else 0
            port = chance.choice((0, 22, 80, 443, 445, 3389, 8080, 8443))
            yield Finding(
                index=index * _PER_HOST + place,
                host_index=index,
                host=name,
                port=port,
                protocol="tcp",
                svc_name="service",
                severity=number % 5,
                plugin=known[number],
                plugin_output=f"Seen on host {name} port {port} by check {number}.",
            )
        yield HostEnd(host=host, findings=_PER_HOST)


async def imported(path: Path, tasks: list[str]) -> list[Figure]:
    """A scan of each size, of the tasks in order."""
    store, found = await open_findings(path), []
    for task_id, size in zip(tasks, IMPORTED, strict=False):
        begun = perf_counter()
        await store.put(task_id, report(size, random.Random(1)), at=system_now())
        found.append(
            Figure(what="import", who=OURS, at=size, of="findings", unit="s",
                   value=perf_counter() - begun)
        )  # fmt: skip
    await store.aclose()
    return found


def multiply(path: Path, task_id: str, copy_id: str) -> None:
    """Stores a scan anew with each of its findings `TIMES` times, in their order."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        prepare(connection)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        scan, first, last = connection.execute(
            "SELECT scan, first_row, last_row FROM scans WHERE task_id = ? AND ready", (task_id,)
        ).fetchone()
        (end,) = connection.execute("SELECT max(last_row) FROM scans").fetchone()
        numbers = {"first": first, "last": last, "by": end + 1 - first, "times": TIMES}
        copy = connection.execute(
            """INSERT INTO scans (task_id, imported_at, first_row, last_row, counts)
               SELECT ?, imported_at, ?, ?, (SELECT json_group_array(value * ?)
                                             FROM json_each(counts)) FROM scans WHERE scan = ?""",
            (copy_id, end + 1, end + 1 + TIMES * (last + 1 - first), TIMES, scan),
        ).lastrowid
        for part in SCAN_PARTS:
            names = ", ".join(f'"{name}"' for name in columns_of(part))
            connection.execute(
                f"""INSERT INTO {part} ({part.reference}, {names})
                    SELECT {part.reference} + :by, {names} FROM {part}
                    WHERE {part.reference} BETWEEN :first AND :last""",  # noqa: S608 - our names
                numbers,
            )
        connection.execute(
            """WITH RECURSIVE time(number) AS (
                 SELECT 0 UNION ALL SELECT number + 1 FROM time WHERE number + 1 < :times)
               INSERT INTO findings
               SELECT (finding_row - :first) * :times + number + :first + :by,
                      "index" * :times + number, severity, plugin_row, host_row + :by,
                      service_row + :by, output_row + :by, compliance_row + :by, same
               FROM findings CROSS JOIN time WHERE finding_row BETWEEN :first AND :last
               ORDER BY 1""",
            numbers,
        )
        connection.execute(
            """INSERT INTO plugin_tally SELECT ?, plugin_row, severity, n * ?
               FROM plugin_tally WHERE scan = ?""",
            (copy, TIMES, scan),
        )
        connection.execute(
            """INSERT INTO host_tally SELECT host_row + :by, severity, n * :times
               FROM host_tally WHERE host_row BETWEEN :first AND :last""",
            numbers,
        )
        connection.execute("COMMIT")


async def pages(directory: Path, tasks: dict[int, str]) -> list[Figure]:
    """How long the daemon takes to answer, by number of findings."""
    found, numbers = [], count(1)
    async with simulators(SimOptions()) as (sim,):
        place = site(
            directory, [scanner_yaml("a", sim)], log={"level": "warning"},
            limits={"calls_per_second": 10_000},
            retention=dict.fromkeys(("completed", "findings", "exports"), "3650d"),
        )  # fmt: skip
        async with daemon(place), over_socket(place) as stream:
            await opened(stream)
            for size, task_id in tasks.items():
                for what, asked in QUESTIONS.items():

                    def ask(number: int, task_id: str = task_id, asked: Any = asked) -> bytes:
                        return call(number, "get_scan_results", task_id=task_id, **asked)

                    got = await call_rate(stream, ask, numbers, 1, SECONDS)
                    found.append(
                        Figure(what=f"get_scan_results, {what}", who=OURS, at=size,
                               of="findings", unit="ms", value=got.p50, p50=got.p50, p99=got.p99)
                    )  # fmt: skip
    return found


async def _measure(directory: Path) -> list[Figure]:
    state = directory / "state"
    scanned = [attrs.evolve(each, summary={}) for each in islice(completed(), len(IMPORTED) + 1)]
    fill(state, scanned)
    tasks = [task.task_id for task in scanned]
    path = state / "findings.db"
    found = await imported(path, tasks)
    multiply(path, tasks[-2], tasks[-1])
    sizes = (*IMPORTED, IMPORTED[-1] * TIMES)
    return found + await pages(directory, dict(zip(sizes, tasks, strict=True)))


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        return trio.run(_measure, Path(name))
