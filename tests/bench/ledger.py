"""Entering scans in the ledger, next to importing them, and its answers from a hundred thousand
to ten million findings."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs
import trio

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.targets.ranges import V4
from nessus_sched.results.coverage import ScanCoverage
from nessus_sched.results.ledger.fields import LEDGER
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.questions import ChangeQuery, Shown
from nessus_sched.results.ledger.search import LedgerSearch
from nessus_sched.results.model import HostEnd
from nessus_sched.results.parser.reader import Event
from nessus_sched.results.query.input import read_query
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.ledger.addresses import address_key
from nessus_sched.store.ledger.store import LedgerStore, open_ledger
from tests.bench.figures import Figure
from tests.bench.findings import report
from tests.bench.submissions import OURS

ENTERED = (100_000, 1_000_000)
KEPT = (100_000, 1_000_000, 10_000_000)
PER_HOST = 100
ASKED = 200
DAY = 86_400
NOW = 1_800_000_000


def dated(size: int, at: int) -> Iterator[Event]:
    for event in report(size, random.Random(1)):
        if isinstance(event, HostEnd):
            event = attrs.evolve(event, host=attrs.evolve(event.host, ended_at=float(at)))
        yield event


async def entered(directory: Path) -> list[Figure]:
    """A first scan and its repetition, of each size."""
    found = []
    for size in ENTERED:
        place = directory / str(size)
        place.mkdir()
        findings = await open_findings(place / "findings.db")
        ledger = await open_ledger(place / "ledger.db", place / "findings.db")
        for number, what in enumerate(("first scan", "next scan")):
            task_id, at = f"t-{number}", NOW + number * DAY
            begun = perf_counter()
            await findings.put(
                task_id, dated(size, at), at=at + 60.0,
                coverage=lambda: ScanCoverage(whole=True, targets="10.0.0.0/8"),
            )  # fmt: skip
            imported = perf_counter()
            await ledger.apply(
                ScanOrigin(task_id=task_id, series="weekly", began=at),
                identity=HostIdentity.ADDRESS, now=at,
            )  # fmt: skip
            ended = perf_counter()
            for name, unit, value in (
                ("import", "s", imported - begun),
                ("entered in the ledger", "s", ended - imported),
                ("entered, of its import", "%", 100 * (ended - imported) / (imported - begun)),
            ):
                found.append(
                    Figure(what=f"{what}, {name}", who=OURS, at=size, of="findings", unit=unit,
                           value=value)
                )  # fmt: skip
        await ledger.aclose()
        await findings.aclose()
    return found


def fill(path: Path, size: int) -> None:
    """Makes up a ledger: hosts with `PER_HOST` findings each, seen over three years."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "cache_size = -600000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO runs (task_id, source, at, applied_at, series)"
            " VALUES ('t-1', 1, ?1, ?1, '')",
            (NOW,),
        )
        connection.executemany(
            "INSERT INTO definitions VALUES (?, x'', ?, 'General', 'remote', 0, 9.8, 0, NULL, ?,"
            " 'Update it.')",
            (
                (plugin, f"Check {plugin}", f'["CVE-2021-{plugin}"]')
                for plugin in range(10_000, 14_000)
            ),
        )
        connection.executemany(
            "INSERT INTO definition_cves VALUES (?, ?)",
            ((f"CVE-2021-{plugin}", plugin) for plugin in range(10_000, 14_000)),
        )
        hosts = size // PER_HOST
        tallies = [
            sum(severity_of(place) == severity for place in range(PER_HOST) if is_open(place))
            for severity in (4, 3, 2, 1, 0)
        ]
        connection.executemany(
            "INSERT INTO machines (machine, identity, name, ip, address, at, run, tried_at,"
            " tried_run, critical, high, medium, low, info)"
            " VALUES (?1, ?2, ?2, ?2, ?3, ?4, 1, ?4, 1, ?5, ?6, ?7, ?8, ?9)",
            (
                (number, name_of(number), address_key(V4 + (10 << 24) + number), NOW, *tallies)
                for number in range(1, hosts + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO entries VALUES"
            " (?, ?, 443, 0, ?, 0, ?, 3, ?, ?, ?, NULL, ?, 0, 0, 1, 1, 1)",
            entries(hosts),
        )
        connection.execute("COMMIT")


def is_open(place: int) -> bool:
    return place % 3 != 0


def severity_of(place: int) -> int:
    return place % 5


def name_of(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def entries(hosts: int) -> Iterator[tuple[int, ...]]:
    chance = random.Random(1)
    for machine in range(1, hosts + 1):
        start = chance.randrange(3000)
        for place in range(PER_HOST):
            at = NOW - int(chance.random() * 3 * 365 * DAY)
            state = 1 if is_open(place) else 3
            plugin = 10_000 + start + place
            yield machine, plugin, state, severity_of(place), at, NOW, at, at


async def read(directory: Path) -> list[Figure]:
    found = []
    for size in KEPT:
        path = directory / f"kept-{size}.db"
        (directory / "none.db").touch()
        ledger = await open_ledger(path, directory / "none.db")
        await trio.to_thread.run_sync(fill, path, size)
        for what, ask in questions(ledger, size // PER_HOST).items():
            times = []
            chance = random.Random(2)
            for _ in range(ASKED):
                begun = perf_counter()
                await ask(chance)
                times.append(1000 * (perf_counter() - begun))
            times.sort()
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            found.append(
                Figure(what=what, who=OURS, at=size, of="findings in the ledger", unit="ms",
                       value=p50, p50=p50, p99=p99)
            )  # fmt: skip
        await ledger.aclose()
        path.unlink()
    return found


def questions(
    ledger: LedgerStore, hosts: int
) -> dict[str, Callable[[random.Random], Awaitable[Any]]]:
    async def host(chance: random.Random) -> None:
        name = name_of(chance.randint(1, hosts))
        (page,) = await ledger.hosts(name, shown=Shown.OPEN, least_severity=1, limit=20, offset=0)
        assert page.total

    async def changes(chance: random.Random) -> None:
        first = V4 + (10 << 24) + (chance.randint(0, hosts) & ~255)
        since = NOW - 3 * 365 * DAY * 1000 // (hosts * PER_HOST)
        await ledger.changes(ChangeQuery(since=since, ranges=((first, first + 255),), limit=20))

    async def latest(_chance: random.Random) -> None:
        since = NOW - 3 * 365 * DAY * 1000 // (hosts * PER_HOST)
        page = await ledger.changes(ChangeQuery(since=since, limit=20))
        assert page.entries

    async def search(**asked: Any) -> None:
        query = read_query({"page_size": 20, **asked}, LEDGER)
        page = await ledger.search(
            LedgerSearch(query=query, now=NOW, stale_after=30.0 * DAY), max_bytes=16_000
        )
        assert page.total

    async def cve(chance: random.Random) -> None:
        await search(filters=[f"cve=CVE-2021-{chance.randrange(10_500, 13_000)}"])

    async def plugin(chance: random.Random) -> None:
        await search(filters=[f"plugin_id={chance.randrange(10_500, 13_000)}"])

    async def network(chance: random.Random) -> None:
        first = name_of((chance.randint(0, hosts - 1) & ~255) + 1)
        await search(filters=[f"host={first}/24"])

    async def worst(_chance: random.Random) -> None:
        await search(filters=["severity>=high"])

    return {
        "one host": host,
        "what is open now, by CVE": cve,
        "what is open now, by plugin": plugin,
        "what is open now, of a /24": network,
        "what is open now, high and critical": worst,
        "the latest thousand changes": latest,
        "the same, of a /24": changes,
    }


async def _measure(directory: Path) -> list[Figure]:
    return await entered(directory) + await read(directory)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        return trio.run(_measure, Path(name))
