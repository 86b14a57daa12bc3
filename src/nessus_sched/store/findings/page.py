"""Pages of findings: of one scan, of a comparison, or across scans."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from nessus_sched.results.query.cursor import Cursor, decode_cursor, encode_cursor, fingerprint
from nessus_sched.results.query.model import BadQuery, Query
from nessus_sched.results.query.page import Page, fit, notes, result_counts, severity_counts
from nessus_sched.store.findings.checks import CheckCounts, count_checks
from nessus_sched.store.findings.read import Counts, ScanQuery, count, page_rows, read_rows
from nessus_sched.store.findings.schema import STORED_SEVERITIES

_STALE = "cursor: these results have since been replaced or deleted; start again without a cursor"


@attrs.frozen(kw_only=True)
class Hit:
    """The location of a row of a page."""

    scan_query: ScanQuery
    row: int


def read_page(
    connection: sqlite3.Connection,
    scan_queries: Sequence[ScanQuery],
    query: Query,
    *,
    context: Sequence[object],
    max_bytes: int | None,
    name_task: bool = False,
    annotate: Callable[[int], Mapping[str, Any]] | None = None,
) -> Page:
    """The page of `query` over these scans, one after another. `name_task` puts the task and
    its time of import in front of every row, `annotate` adds more fields. `context`
    distinguishes cursors of different queries. Raises `BadQuery` for a bad cursor."""
    asked = fingerprint(query, *context)
    cursor = decode_cursor(query.cursor, asked) if query.cursor else None
    totals, counted = _totals(connection, scan_queries, cursor)
    checks = cursor.checks if cursor is not None else count_checks(connection, scan_queries)
    hits = list(_hits(connection, scan_queries, counted, cursor, query.page_size + 1))
    return shown_page(
        connection,
        hits,
        query,
        totals=totals,
        checks=checks,
        asked=asked,
        max_bytes=max_bytes,
        name_task=name_task,
        annotate=annotate,
    )


def shown_page(
    connection: sqlite3.Connection,
    hits: Sequence[Hit],
    query: Query,
    *,
    totals: Counts,
    checks: CheckCounts,
    asked: str,
    max_bytes: int | None,
    name_task: bool = False,
    annotate: Callable[[int], Mapping[str, Any]] | None = None,
) -> Page:
    """The page of these hits, which include one extra if there are more."""
    wanted = hits[: query.page_size]
    fitted = fit(_full_rows(connection, wanted, name_task, annotate), max_bytes)
    shown = len(fitted.rows)
    at_end = shown == len(hits)
    severities, results = told_apart(totals, checks)
    page = Page(
        rows=fitted.rows,
        total=sum(totals),
        severities=severities,
        checks=results,
        next_cursor=None if at_end else _next(wanted[shown - 1], asked, totals, checks),
        left_out=len(wanted) - shown,
        shortened=fitted.shortened,
    )
    return attrs.evolve(page, notes=notes(page, max_bytes=max_bytes))


def told_apart(totals: Counts, checks: CheckCounts) -> tuple[dict[str, int], dict[str, int]]:
    """Findings by severity without the checks among them, and these by result."""
    of_checks = checks[: len(totals)]
    return (
        severity_counts(a - b for a, b in zip(totals, of_checks, strict=True)),
        result_counts(checks[len(totals) :]),
    )


def _totals(
    connection: sqlite3.Connection, scan_queries: Sequence[ScanQuery], cursor: Cursor | None
) -> tuple[Counts, dict[int, Counts]]:
    """The total over all scans, and the counts of the scans that had to be counted."""
    if cursor is not None:
        return cursor.counts, {cursor.scan: cursor.counts} if len(scan_queries) == 1 else {}
    counted = {scan_query.scan.scan: count(connection, scan_query) for scan_query in scan_queries}
    columns = zip(*counted.values(), strict=True)
    return tuple(map(sum, columns)) or (0,) * len(STORED_SEVERITIES), counted


def _hits(
    connection: sqlite3.Connection,
    scan_queries: Sequence[ScanQuery],
    counted: Mapping[int, Counts],
    cursor: Cursor | None,
    limit: int,
) -> Iterator[Hit]:
    begun = cursor is None
    for scan_query in scan_queries:
        scan = scan_query.scan
        here = cursor is not None and cursor.scan == scan.scan
        begun = begun or here
        if not begun or not limit:
            continue
        counts = counted.get(scan.scan) or count(connection, scan_query)
        last = cursor.after if cursor is not None and here else 0
        rows = page_rows(connection, scan_query, counts, last=last, limit=limit)
        limit -= len(rows)
        for row in rows:
            yield Hit(scan_query=scan_query, row=row)
    if not begun:
        raise BadQuery(_STALE)


def _full_rows(
    connection: sqlite3.Connection,
    hits: Sequence[Hit],
    name_task: bool,
    annotate: Callable[[int], Mapping[str, Any]] | None,
) -> Iterator[dict[str, Any]]:
    for hit in hits:
        scan = hit.scan_query.scan
        prefix = {"task_id": scan.task_id, "imported_at": scan.imported_at} if name_task else {}
        told = annotate(hit.row) if annotate else {}
        for row in read_rows(connection, hit.scan_query.query, [hit.row]):
            yield {**prefix, **told, **row}


def _next(hit: Hit, asked: str, totals: Counts, checks: CheckCounts) -> str:
    return encode_cursor(
        Cursor(
            question=asked, scan=hit.scan_query.scan.scan, after=hit.row, counts=totals,
            checks=checks,
        )
    )  # fmt: skip
