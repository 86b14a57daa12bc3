"""Which scans to look in, for a query across scans."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from nessus_sched.results.query.model import Match, Query
from nessus_sched.store.findings.read import Question, scans_between
from nessus_sched.store.findings.schema import TABLE_OF, Table
from nessus_sched.store.findings.sql import Clause, ScanRow, join, predicate, select

_MANY_PLUGINS: Final = 5000


@attrs.frozen(kw_only=True)
class Scope:
    """The scans to search: imported at `since` or later and before `until` (epoch
    seconds), and of these tasks; None stands for no limit. `history` is for every scan
    that ever saw a finding, instead of the present state."""

    since: float | None = None
    until: float | None = None
    task_ids: tuple[str, ...] | None = None
    history: bool = False


def scans_of(connection: sqlite3.Connection, scope: Scope) -> list[ScanRow]:
    """The scans of the scope, the latest first."""
    scans = scans_between(connection, scope.since, scope.until)
    if scope.task_ids is not None:
        scans = [scan for scan in scans if scan.task_id in scope.task_ids]
    return scans


def ask_all(
    connection: sqlite3.Connection, query: Query, scans: Sequence[ScanRow]
) -> list[Question]:
    """The query put to every scan that may have an answer."""
    rows = _matching_plugins(connection, query)
    if rows is None:
        return [_ask(scan, query, None) for scan in scans]
    plugins = Clause("plugin_row IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
    having = _scans_having(connection, plugins)
    return [_ask(scan, query, plugins) for scan in scans if scan.scan in having]


def _ask(scan: ScanRow, query: Query, plugins: Clause | None) -> Question:
    selection = select(scan, query.conditions, query.match, plugins)
    return Question(scan=scan, query=query, selection=selection)


def _matching_plugins(connection: sqlite3.Connection, query: Query) -> list[int] | None:
    """The plugins that a finding must be of, looked up once for all scans; None when any
    will do or when they are many."""
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
