"""The current state across scans: each finding once, from the latest scan with it, except those
that a later scan proves fixed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from nessus_sched.results.model import host_key
from nessus_sched.results.query.cursor import Cursor, decode_cursor, fingerprint
from nessus_sched.results.query.model import BadQuery, Query, SortKey
from nessus_sched.results.query.page import Page
from nessus_sched.store.findings.checks import count_checks_among
from nessus_sched.store.findings.page import Hit, shown_page
from nessus_sched.store.findings.pairing import ABSENCE, paired
from nessus_sched.store.findings.read import ScanQuery, sort_values, source_of, where_of
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import Clause, ScanRow, after, join, join_parts, order_by

_MOST: Final = 300_000
"""Findings that a query may match in all scans together; they are held in memory."""
_DEFAULT: Final = (
    SortKey(field="severity", descending=True),
    SortKey(field="cvss_score", descending=True),
    SortKey(field="plugin_id"),
    SortKey(field="host"),
    SortKey(field="port"),
)
_STALE: Final = "cursor: these results have since been replaced or deleted; start again without one"


def read_present(
    connection: sqlite3.Connection,
    scan_queries: Sequence[ScanQuery],
    scans: Sequence[ScanRow],
    query: Query,
    *,
    context: Sequence[object],
    max_bytes: int | None,
) -> Page:
    """A page of the findings matched by `scan_queries` (one per scan, latest first) that no
    later one of `scans` supersedes. Rows begin with `task_id` and `imported_at`. Raises
    `BadQuery`."""
    rows = _current(connection, scan_queries, scans)
    asked = fingerprint(query, *context)
    cursor = decode_cursor(query.cursor, asked) if query.cursor else None
    of_rows = Clause("finding_row IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
    found = dict(
        connection.execute(
            f"SELECT severity, count(*) FROM findings WHERE {of_rows.sql} GROUP BY severity",
            of_rows.values,
        ).fetchall()
    )
    totals = tuple(found.get(severity, 0) for severity in STORED_SEVERITIES)
    picked = _pick(connection, of_rows, query, cursor)
    return shown_page(
        connection,
        [Hit(scan_query=_scan_query_of(row, scan_queries), row=row) for row in picked],
        query,
        totals=totals,
        checks=count_checks_among(connection, of_rows) if cursor is None else cursor.checks,
        asked=asked,
        max_bytes=max_bytes,
        name_task=True,
    )


def _scan_query_of(row: int, scan_queries: Sequence[ScanQuery]) -> ScanQuery:
    return next(
        scan_query
        for scan_query in scan_queries
        if scan_query.scan.first_row <= row <= scan_query.scan.last_row
    )


def _pick(
    connection: sqlite3.Connection, of_rows: Clause, query: Query, cursor: Cursor | None
) -> list[int]:
    """The rows of the page in order, plus one if there are more."""
    order = query.sort or _DEFAULT
    where = [of_rows]
    if cursor is not None:
        values = sort_values(connection, order, cursor.after)
        if values is None:
            raise BadQuery(_STALE)
        where.append(after(order, values, cursor.after))
    clause = join("AND", where)
    found = connection.execute(
        f"SELECT finding_row FROM findings{join_parts(key.field for key in order)}"
        f" WHERE {clause.sql} ORDER BY {order_by(order)} LIMIT ?",
        (*clause.values, query.page_size + 1),
    )
    return [row for (row,) in found]


# -- what is current


def _current(
    connection: sqlite3.Connection, scan_queries: Sequence[ScanQuery], scans: Sequence[ScanRow]
) -> list[int]:
    names: dict[int, frozenset[str]] = {}
    current: list[int] = []
    matched = 0
    for scan_query in scan_queries:
        left = _matching(connection, scan_query)
        matched += len(left)
        if matched > _MOST:
            raise BadQuery(
                f"more than {_MOST} findings match in all scans together: add filters such as "
                "'severity>=medium', or name the tasks"
            )
        for later in scans:
            if later.scan == scan_query.scan.scan or not left:
                break
            if not _share_hosts(connection, names, scan_query.scan, later):
                continue
            left = _not_superseded(connection, scan_query.scan, later, left)
        current += left
    return current


def _matching(connection: sqlite3.Connection, scan_query: ScanQuery) -> list[int]:
    where = where_of(scan_query, scan_query.scan.rows)
    found = connection.execute(
        f"SELECT finding_row FROM {source_of(connection, scan_query)} WHERE {where.sql} LIMIT ?",
        (*where.values, _MOST + 1),
    )
    return [row for (row,) in found]


def _not_superseded(
    connection: sqlite3.Connection, scan: ScanRow, later: ScanRow, rows: list[int]
) -> list[int]:
    """The rows that the later scan neither has nor proves fixed."""
    with paired(connection, scan, later) as pairing:
        known = pairing.known()
        found = connection.execute(
            "SELECT finding_row FROM findings WHERE finding_row IN"
            f" (SELECT value FROM json_each(?)) AND NOT ({known.sql}) AND {ABSENCE} <> ''",
            (json.dumps(rows), *known.values),
        )
        return [row for (row,) in found]


def _share_hosts(
    connection: sqlite3.Connection, names: dict[int, frozenset[str]], one: ScanRow, other: ScanRow
) -> bool:
    for scan in (one, other):
        if scan.scan not in names:
            found = connection.execute(
                "SELECT host, host_ip FROM hosts WHERE host_row BETWEEN ? AND ?", scan.rows
            )
            names[scan.scan] = frozenset(host_key(name) for pair in found for name in pair if name)
    return not names[one.scan].isdisjoint(names[other.scan])
