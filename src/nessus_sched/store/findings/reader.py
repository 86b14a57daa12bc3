"""Queries of the findings database, in a daemon or offline."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import attrs

from nessus_sched.core.coverage import Coverage, Unfinished
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.text import pluralize
from nessus_sched.results.comparison import Change, Comparison
from nessus_sched.results.model import NO_SEVERITY, UNKNOWN_SEVERITY
from nessus_sched.results.query.model import BadQuery, Match, Query, SearchScope
from nessus_sched.results.query.page import Page
from nessus_sched.results.reached import ScannedHost, by_target, covered
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.findings.compare import changed, compare
from nessus_sched.store.findings.coverage import read_scanned_hosts
from nessus_sched.store.findings.groups import read_groups, read_matching_hosts
from nessus_sched.store.findings.hosts import host_notes
from nessus_sched.store.findings.page import read_page
from nessus_sched.store.findings.present import read_present
from nessus_sched.store.findings.read import build_scan_query, scan_of
from nessus_sched.store.findings.schema import SCHEMA, STORED_SEVERITIES, stand_in_for_new_fields
from nessus_sched.store.findings.search import build_scan_queries, scans_of
from nessus_sched.store.findings.sql import ScanRow, severities_of
from nessus_sched.store.findings.sql_functions import register
from nessus_sched.store.reader import snapshot
from nessus_sched.store.sqlite import open_offline

T = TypeVar("T")


class RunOnConnection(Protocol):
    """Runs work on a connection, within its own snapshot."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]: ...


@attrs.frozen(kw_only=True)
class FindingsStatistics:
    """The content of the database. `hidden` scans are deleted but still take space."""

    scans: int
    hidden: int
    findings: int
    bytes: int


class FindingsReader:
    """Every method raises `StoreUnavailable` if the file cannot be read; those about a task
    raise `NoFindings` if none of its results are stored."""

    def __init__(self, path: Path, run: RunOnConnection) -> None:
        self.path = path
        self._run = run

    async def page(self, task_id: str, query: Query, *, max_bytes: int | None = None) -> Page:
        """A page of a task's findings, or of their groups; raises `BadQuery` for a
        cursor that does not fit.

        With `max_bytes` the JSON of the rows keeps to that size: rows that do not fit come
        with the next cursor, long values are cut, and the page's notes say so.
        """

        def work(connection: sqlite3.Connection) -> Page:
            scan = scan_of(connection, task_id)
            if query.group_by is None:
                page = read_page(
                    connection, [build_scan_query(scan, query)], query,
                    context=("page", task_id), max_bytes=max_bytes,
                )  # fmt: skip
            else:
                page = read_groups(connection, scan, query, max_bytes=max_bytes)
            page = _with_hosts(connection, page, query, [scan])
            return attrs.evolve(page, notes=(*_unknown_severities(scan, query), *page.notes))

        return await self._read(work)

    async def hosts(self, task_id: str, query: Query) -> list[ScannedHost]:
        """The hosts of a task's report that have a matching finding; with conditions on the host
        alone, or none, also those without findings."""
        return await self._read(
            lambda connection: read_matching_hosts(connection, scan_of(connection, task_id), query)
        )

    async def coverage_as(
        self,
        task_id: str,
        targets: Sequence[str],
        left: Callable[[], Iterable[Unfinished]],
        view: Callable[[Coverage, Mapping[int | str, ScannedHost]], T],
    ) -> T:
        """`view` of what became of a task's `targets`, and of its hosts by the targets that they
        are. `left` gives the targets that no scan has finished. Both run in a reading thread."""

        def work(connection: sqlite3.Connection) -> T:
            hosts = by_target(read_scanned_hosts(connection, scan_of(connection, task_id)))
            return view(covered(parse_targets(targets), left(), hosts), hosts)

        return await self._read(work)

    async def search(
        self, query: Query, scope: SearchScope | None = None, *, max_bytes: int | None = None
    ) -> Page:
        """A page of findings of all tasks in `scope`; rows begin with `task_id` and
        `imported_at` (epoch seconds).

        The present state, in the query's order: each finding once, from the latest scan
        that has it, unless a later one proves it fixed. With `scope.history` every scan's
        findings, the latest import first and each in the default order. Raises `BadQuery`.
        """
        within = scope or SearchScope()

        def work(connection: sqlite3.Connection) -> Page:
            scans = scans_of(connection, within)
            scan_queries = build_scan_queries(connection, query, scans)
            context = ("search", within)
            if within.history:
                _refuse_sort(query)
                page = read_page(
                    connection, scan_queries, query,
                    context=context, max_bytes=max_bytes, name_task=True,
                )  # fmt: skip
            else:
                page = read_present(
                    connection, scan_queries, scans, query, context=context, max_bytes=max_bytes
                )
            return _with_hosts(connection, page, query, scans)

        return await self._read(work)

    async def compare(self, before: str, after: str, query: Query | None = None) -> Comparison:
        """Counts findings that appeared, disappeared or stayed, among those that match the
        conditions of `query`."""
        return await self._read(
            lambda connection: compare(connection, before, after, query or Query())
        )

    async def changed(
        self,
        before: str,
        after: str,
        change: Change,
        query: Query,
        *,
        max_bytes: int | None = None,
    ) -> Page:
        """A page, as by `page`, of the findings with that change. Rows that were not
        checked begin with the reason (`not_checked`), changed ones with what the scan
        before had (`before`: the result of the check or the severity)."""

        def work(connection: sqlite3.Connection) -> Page:
            with changed(connection, before, after, change, query) as (scan_query, annotate):
                return read_page(
                    connection,
                    [scan_query],
                    query,
                    context=("changed", before, after, change),
                    max_bytes=max_bytes,
                    annotate=annotate,
                )

        return await self._read(work)

    async def imports(self) -> dict[str, float]:
        """The tasks with findings, and the time of import (epoch seconds)."""
        return await self._read(
            lambda connection: dict(
                connection.execute(
                    "SELECT task_id, imported_at FROM scans WHERE ready ORDER BY scan"
                )
            )
        )

    async def statistics(self) -> FindingsStatistics:
        return await self._read(_statistics)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def with_functions(connection: sqlite3.Connection) -> T:
            register(connection)
            return work(connection)

        return await self._run(with_functions)


def _unknown_severities(scan: ScanRow, query: Query) -> Iterator[str]:
    """A note about findings that a severity filter cannot match."""
    unknown = scan.counts[STORED_SEVERITIES.index(NO_SEVERITY)]
    asked = [each for each in query.conditions if each.field == "severity"]
    left_out = any(NO_SEVERITY not in severities_of(each) for each in asked)
    if unknown and left_out and query.match is Match.ALL:
        yield (
            f"{pluralize(unknown, 'finding')} of this report without a readable severity are left "
            f"out and may be serious; list them with severity={UNKNOWN_SEVERITY}."
        )


def _refuse_sort(query: Query) -> None:
    if query.sort:
        raise BadQuery(
            "sort: the history comes scan by scan, the latest first; leave out sort or history"
        )


def _with_hosts(
    connection: sqlite3.Connection, page: Page, query: Query, scans: Sequence[ScanRow]
) -> Page:
    told = tuple(host_notes(connection, query, scans))
    if not page.total and not told:
        searched = pluralize(len(scans), "report")
        told = (f"Nothing matches in {searched}; hosts that were not scanned are in none.",)
    return attrs.evolve(page, notes=(*told, *page.notes))


def _statistics(connection: sqlite3.Connection) -> FindingsStatistics:
    scans, hidden, findings = connection.execute(
        "SELECT count(*) FILTER (WHERE ready), count(*) FILTER (WHERE NOT ready),"
        " coalesce(sum((SELECT sum(value) FROM json_each(counts))) FILTER (WHERE ready), 0)"
        " FROM scans"
    ).fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return FindingsStatistics(
        scans=scans, hidden=hidden, findings=findings, bytes=pages * page_size
    )


class OfflineFindings(FindingsReader):
    """A database file opened read-only, with or without a running daemon."""

    def __init__(self, path: Path, connection: sqlite3.Connection, executor: Executor) -> None:
        super().__init__(path, self._run_only)
        self._connection = connection
        self._executor = executor

    async def _run_only(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        return await self._executor.read(lambda: snapshot(self._connection, work))

    async def aclose(self) -> None:
        await self._executor.read(self._connection.close)


async def open_findings_offline(path: Path) -> OfflineFindings:
    """Opens the file for one query at a time; close it with `aclose`. Raises `StoreUnavailable`
    and `WrongSchema`."""
    executor = InThreads(readers=1)

    def opened() -> sqlite3.Connection:
        connection = open_offline(path, SCHEMA)
        stand_in_for_new_fields(connection)
        return connection

    connection = await executor.read(opened)
    return OfflineFindings(path, connection, executor)
