"""Says when the queried hosts were last scanned, because no findings does not mean clean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from nessus_sched.core.text import pluralize
from nessus_sched.results.coverage import from_data
from nessus_sched.results.logins.verdict import Login
from nessus_sched.results.presence import TargetList, is_many
from nessus_sched.results.query.model import Condition, Op, Query
from nessus_sched.results.untrusted import clean_line
from nessus_sched.store.findings.coverage import knows_coverage, read_targets
from nessus_sched.store.findings.sql import HOST_NAMES, ScanRow, predicate

_NAMED: Final = 5
_LOGINS: Final = {
    Login.FULL: "with a working login",
    Login.PARTIAL: "with a login that had too few rights or gaps",
    Login.FAILED: "without a login: it failed",
    Login.NOT_PROVIDED: "without a login: none was given",
    Login.NONE: "without a login",
    Login.UNKNOWN: "with an unknown login result",
}


def host_notes(
    connection: sqlite3.Connection, query: Query, scans: Sequence[ScanRow]
) -> Iterator[str]:
    """For each host and network in the query, when it was last scanned in `scans` (latest
    first) and what that scan could see."""
    asked = list(dict.fromkeys(_asked(query)))
    for name in asked[:_NAMED]:
        yield f"{clean_line(name, 80)}: {_told(connection, name, scans)}"
    if len(asked) > _NAMED:
        yield f"{pluralize(len(asked) - _NAMED, 'more host')} of the filters not looked up."


def _asked(query: Query) -> Iterator[str]:
    for condition in query.conditions:
        if condition.field in HOST_NAMES and condition.op in (Op.EQUAL, Op.IN):
            many = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            yield from map(str, many)


def _told(connection: sqlite3.Connection, name: str, scans: Sequence[ScanRow]) -> str:
    where = predicate(Condition(field="host", op=Op.EQUAL, value=name))
    for scan in scans:
        rows = connection.execute(
            f"SELECT host_row FROM hosts WHERE host_row BETWEEN ? AND ? AND {where.sql}",
            (*scan.rows, *where.values),
        ).fetchall()
        if rows:
            about = _many(len(rows)) if is_many(name) else _one(connection, rows[0][0])
            return f"last in the report of task {scan.task_id} ({_day(scan)}), {about}."
    for scan in scans:
        if not is_many(name) and TargetList(read_targets(connection, scan)).include(name):
            return (
                f"a target of task {scan.task_id} ({_day(scan)}) but not in its report: it did not "
                "answer or could not be reached. That does not mean it is clean."
            )
    return (
        f"not found in {pluralize(len(scans), 'report')}: it was not scanned, or did not answer. "
        "That does not mean it is clean."
    )


def _many(hosts: int) -> str:
    return f"which has {pluralize(hosts, 'host')} of it; others did not answer or were not scanned"


def _one(connection: sqlite3.Connection, host_row: int) -> str:
    row = None
    if knows_coverage(connection):
        row = connection.execute(
            "SELECT facts FROM host_coverage WHERE host_row = ?", (host_row,)
        ).fetchone()
    if row is None:
        return "and what that scan could see is unknown"
    host = from_data(json.loads(row[0]))
    if not host.answered:
        return "and did not answer. That does not mean it is clean"
    ended = "" if host.ended else ", not to the end"
    return f"scanned {_LOGINS[host.login]}{ended}"


def _day(scan: ScanRow) -> str:
    return f"imported {datetime.fromtimestamp(scan.imported_at, UTC):%Y-%m-%d %H:%M} UTC"
