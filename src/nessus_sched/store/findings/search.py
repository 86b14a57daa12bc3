"""Selects the scans to search, for a query across scans."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from nessus_sched.results.query.model import Match, Query, SearchScope
from nessus_sched.store.findings.read import ScanQuery, scans_between
from nessus_sched.store.findings.schema import TABLE_OF, Table
from nessus_sched.store.findings.sql import Clause, ScanRow, join, predicate, select

_MANY_PLUGINS: Final = 5000


def scans_of(connection: sqlite3.Connection, scope: SearchScope) -> list[ScanRow]:
    """The scans in scope, latest first."""
    scans = scans_between(connection, scope.since, scope.until)
    if scope.task_ids is not None:
        scans = [scan for scan in scans if scan.task_id in scope.task_ids]
    return scans


def build_scan_queries(
    connection: sqlite3.Connection, query: Query, scans: Sequence[ScanRow]
) -> list[ScanQuery]:
    """The query for every scan that may have matches."""
    rows = _matching_plugins(connection, query)
    if rows is None:
        return [_scan_query(scan, query, None) for scan in scans]
    plugins = Clause("plugin_row IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
    having = _scans_having(connection, plugins)
    return [_scan_query(scan, query, plugins) for scan in scans if scan.scan in having]


def _scan_query(scan: ScanRow, query: Query, plugins: Clause | None) -> ScanQuery:
    selection = select(scan, query.conditions, query.match, plugins)
    return ScanQuery(scan=scan, query=query, selection=selection)


def _matching_plugins(connection: sqlite3.Connection, query: Query) -> list[int] | None:
    """The plugins that findings must have, looked up once for all scans; None if any plugin
    matches or there are too many."""
    clauses = [
        predicate(condition)
        for condition in query.conditions
        if TABLE_OF[condition.field] is Table.PLUGINS
    ]
    if not clauses or query.match is not Match.ALL:
        return None
    where = join("AND", clauses)
    found = connection.execute(
        f"SELECT plugin_row FROM plugins WHERE {where.sql} LIMIT ?",
        (*where.values, _MANY_PLUGINS + 1),
    ).fetchall()
    return None if len(found) > _MANY_PLUGINS else [row for (row,) in found]


def _scans_having(connection: sqlite3.Connection, plugins: Clause) -> Collection[int]:
    found = connection.execute(
        f"SELECT DISTINCT scan FROM plugin_tally WHERE {plugins.sql}", plugins.values
    )
    return {scan for (scan,) in found}
