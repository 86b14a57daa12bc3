"""The ledger in a file of its own: it outlives the findings and the tasks.

Scans are applied from the findings database, which is attached for it, so that there is one way
for a scan that just ended, one that a crash kept from being applied, and one that an older
version stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.results.ledger.as_of import AsOfPage, AsOfQuery
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.logins import LoginRun, ScanRun
from nessus_sched.results.ledger.news import News, NewsQuery
from nessus_sched.results.ledger.port import Applied, AppliedScans, Covered, Waiting
from nessus_sched.results.ledger.questions import (
    ChangePage,
    ChangeQuery,
    Entry,
    HostPage,
    Shown,
    Spot,
)
from nessus_sched.results.ledger.reach import ReachedStretch
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.sla import SlaCounts, SlaQuery
from nessus_sched.results.ledger.trend import TrendPoint, TrendQuery
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.findings.reader import RunOnConnection
from nessus_sched.store.findings.schema import SCHEMA as FINDINGS
from nessus_sched.store.ledger.apply import apply_scan, attached, clear
from nessus_sched.store.ledger.as_of import read_as_of
from nessus_sched.store.ledger.excepted import count_covered, cover_all
from nessus_sched.store.ledger.news import read_news
from nessus_sched.store.ledger.reach import read_logins, read_reach
from nessus_sched.store.ledger.read import Wanted, read_changes, read_hosts, read_run_times
from nessus_sched.store.ledger.runs import read_runs
from nessus_sched.store.ledger.schema import SCHEMA
from nessus_sched.store.ledger.search.page import read_search
from nessus_sched.store.ledger.select import read_ever_seen, read_selected
from nessus_sched.store.ledger.sla import read_sla
from nessus_sched.store.ledger.standing import read_standing
from nessus_sched.store.ledger.trend import read_trend
from nessus_sched.store.migrations import Schema, check
from nessus_sched.store.reader import Readers, snapshot
from nessus_sched.store.sqlite import open_offline, open_reader, open_writer

T = TypeVar("T")

_WAITING: Final = """
SELECT s.task_id, s.scan, coalesce(
  (SELECT max(host_ended_at) FROM scanned.hosts
   WHERE host_row BETWEEN s.first_row AND s.last_row AND host_ended_at < s.imported_at + 3600),
  s.imported_at) AS at
FROM scanned.scans s LEFT JOIN runs r ON r.task_id = s.task_id AND r.source = s.scan
WHERE s.ready AND r.run IS NULL ORDER BY at, s.scan
"""
_CACHE: Final = -32_000
"""KiB of the writer's cache, negative as SQLite wants it."""


class Questions:
    """Implements the port of that name on any reading connection."""

    def __init__(self, run: RunOnConnection) -> None:
        self._run = run

    async def hosts(
        self,
        name: str,
        *,
        shown: Shown,
        least_severity: int,
        limit: int,
        offset: int,
        now: float = 0.0,
    ) -> list[HostPage]:
        """The hosts with this address or name, and a page of the findings of each. Exceptions
        count until `now`."""
        wanted = Wanted(shown, least_severity, limit, offset, now)
        return await self._run(lambda connection: read_hosts(connection, name, wanted))

    async def count_covered(self, rule: Rule) -> int:
        """How many open findings a rule covers."""
        return await self._run(lambda connection: count_covered(connection, rule))

    async def changes(self, query: ChangeQuery) -> ChangePage:
        """A page of what changed, the latest first."""
        return await self._run(lambda connection: read_changes(connection, query))

    async def selected(self, wanted: Selection, now: float) -> list[Selected]:
        """The findings of a selection, worst first. Exceptions count until `now`."""
        return await self._run(lambda connection: read_selected(connection, wanted, now))

    async def standing(self, spots: Sequence[Spot], now: float) -> list[Entry | None]:
        """The entry of each of these findings, None if it has none. Exceptions count until `now`
        (epoch seconds)."""
        return await self._run(lambda connection: read_standing(connection, spots, now))

    async def ever_seen(self, ranges: Sequence[tuple[int, int]], names: Sequence[str]) -> list[str]:
        """Which of these addresses and names have ever answered a scan."""
        return await self._run(lambda connection: read_ever_seen(connection, ranges, names))

    async def search(self, search: LedgerSearch, *, max_bytes: int | None = None) -> LedgerPage:
        """A page of findings that match, or of their groups. Raises `BadQuery`."""
        return await self._run(lambda connection: read_search(connection, search, max_bytes))

    async def scan_times(self, task_ids: Sequence[str]) -> list[int]:
        """When the scans of these tasks took place (epoch seconds), latest first."""
        return await self._run(lambda connection: read_run_times(connection, task_ids))

    async def reach(self, asked: TargetSet, since: float) -> list[ReachedStretch]:
        """How well each target was reached since a time (epoch seconds), in their order."""
        return await self._run(lambda connection: read_reach(connection, asked, since))

    async def logins(self, credential: str, limit: int) -> list[LoginRun]:
        """The latest scans with a credential, latest first."""
        return await self._run(lambda connection: read_logins(connection, credential, limit))

    async def news(self, query: NewsQuery) -> News:
        """What the scans of some tasks have changed."""
        return await self._run(lambda connection: read_news(connection, query))

    async def trend(self, query: TrendQuery) -> list[TrendPoint]:
        """How many findings were open over time, the earliest point first."""
        return await self._run(lambda connection: read_trend(connection, query))

    async def sla(self, query: SlaQuery) -> SlaCounts:
        """Which findings are or were fixed in time."""
        return await self._run(lambda connection: read_sla(connection, query))

    async def as_of(self, query: AsOfQuery) -> AsOfPage:
        """A page of findings as they stood at a time in the past."""
        return await self._run(lambda connection: read_as_of(connection, query))

    async def has(self, task_id: str) -> bool:
        """Whether the findings of a task are entered."""
        sql = "SELECT 1 FROM runs WHERE task_id = ?"
        found = await self._run(lambda connection: connection.execute(sql, (task_id,)).fetchone())
        return found is not None


class LedgerStore(Questions):
    """The ledger, open for reading and writing; only one per process. Created by `open_ledger`."""

    def __init__(
        self, path: Path, findings: Path, writer: sqlite3.Connection, executor: Executor
    ) -> None:
        self._findings = findings
        self._writer = writer
        self._executor = executor
        self._exceptions: tuple[FindingException, ...] = ()
        self._readers = Readers(partial(open_reader, path, SCHEMA), executor)
        super().__init__(self._readers.read)

    async def unapplied(self) -> list[Waiting]:
        """The stored scans that were not applied, oldest first."""

        def work() -> list[Waiting]:
            with attached(self._writer, self._findings):
                return [
                    Waiting(task_id=task_id, scan=scan, at=at)
                    for task_id, scan, at in self._writer.execute(_WAITING)
                ]

        return await self._write(work)

    async def apply(
        self, origin: ScanOrigin, *, identity: HostIdentity, now: float
    ) -> Applied | None:
        """Applies the stored findings of a task in one transaction, durable on return; applying
        them again changes nothing. None if there are no findings of it."""
        return await self._write(
            lambda: apply_scan(
                self._writer,
                self._findings,
                origin,
                by=identity,
                now=int(now),
                exceptions=self._exceptions,
            )
        )

    async def scans(self) -> AppliedScans:
        """What was applied and what is stored."""

        def work() -> AppliedScans:
            with attached(self._writer, self._findings):
                applied = self._writer.execute("SELECT task_id FROM runs").fetchall()
                stored = self._writer.execute(
                    "SELECT task_id FROM scanned.scans WHERE ready"
                ).fetchall()
            return AppliedScans(
                applied=frozenset(task_id for (task_id,) in applied),
                stored=frozenset(task_id for (task_id,) in stored),
            )

        return await self._write(work)

    async def cover(self, exceptions: Sequence[FindingException]) -> Mapping[str, Covered]:
        """Covers open findings with these exceptions and no others, from now on."""

        def work() -> Mapping[str, Covered]:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                found = cover_all(self._writer, exceptions)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            self._exceptions = tuple(exceptions)
            return found

        return await self._write(work)

    async def clear(self) -> None:
        """Forgets everything."""

        await self._write(lambda: clear(self._writer))

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):
            self._readers.close()
            await self._executor.write(self._writer.close)

    async def _write(self, work: Callable[[], T]) -> T:
        def in_thread() -> T:
            try:
                return work()
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the ledger cannot be written: {error}") from error

        return await self._executor.write(in_thread)


class OfflineLedger(Questions):
    """A ledger opened read-only, with or without a running daemon."""

    def __init__(self, connection: sqlite3.Connection, executor: Executor, waiting: int) -> None:
        super().__init__(self._run_only)
        self.waiting = waiting
        self._connection = connection
        self._executor = executor

    async def _run_only(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        return await self._executor.read(lambda: snapshot(self._connection, work))

    async def runs(self, since: int, until: int) -> list[ScanRun]:
        """The scans from `since` on and before `until` (epoch seconds), in their order."""
        return await self._run(lambda connection: read_runs(connection, since, until))

    async def aclose(self) -> None:
        await self._executor.read(self._connection.close)


_DAMAGED: Final = ("not a database", "malformed")
"""In what SQLite says about a file that it cannot read."""
_REMEDY: Final = (
    "restore a backup of it, or move it away: it is then made again from the stored findings"
)


async def open_ledger_offline(path: Path, findings: Path) -> OfflineLedger:
    """Opens the file for one question at a time; close it with `aclose`. Raises
    `StoreUnavailable` and `WrongSchema`."""
    executor = InThreads(readers=1)

    def opened() -> tuple[sqlite3.Connection, int]:
        with ExitStack() as stack:
            connection = stack.enter_context(closing(open_current(path, SCHEMA)))
            with closing(open_current(findings, FINDINGS)) as scans:
                stored = snapshot(scans, _rows("SELECT task_id, scan FROM scans WHERE ready"))
            applied = snapshot(connection, _rows("SELECT task_id, source FROM runs"))
            stack.pop_all()
        return connection, len(set(stored) - set(applied))

    connection, waiting = await executor.read(opened)
    return OfflineLedger(connection, executor, waiting)


def open_current(path: Path, schema: Schema) -> sqlite3.Connection:
    """Raises `StoreUnavailable` if an older release wrote the file: only the daemon migrates."""
    connection = open_offline(path, schema)
    if check(connection, schema) < schema.version:
        connection.close()
        raise StoreUnavailable(
            f"an older nessus-sched wrote {path}: start the daemon of this release to upgrade it"
        )
    return connection


def _rows(query: str) -> Callable[[sqlite3.Connection], list[tuple[Any, ...]]]:
    return lambda connection: connection.execute(query).fetchall()


async def open_ledger(path: Path, findings: Path, executor: Executor | None = None) -> LedgerStore:
    """Opens the ledger at `path`, creating or migrating it; `findings` is the findings database
    that its scans come from. Raises `StoreUnavailable` and `WrongSchema`."""
    place = executor or InThreads()

    def connect() -> sqlite3.Connection:
        try:
            connection = open_writer(path, SCHEMA, _connect)
        except StoreUnavailable as error:
            if any(word in str(error) for word in _DAMAGED):
                raise StoreUnavailable(f"{error}; {_REMEDY}") from error
            raise
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute(f"PRAGMA cache_size = {_CACHE}")
        return connection

    return LedgerStore(path, findings, await place.write(connect), place)


def _connect(path: Path) -> sqlite3.Connection:
    """With URIs, to attach the findings read-only."""
    uri = path.absolute().as_uri()
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
