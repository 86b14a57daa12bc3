"""What scans have finished with, and how their logins went: written with each scan, and read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from nessus_sched.core.targets.ranges import Range, Ranges, difference, intersection, merged
from nessus_sched.core.targets.targets import TargetSet, targets_from
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reached, ReachedStretch, Tries, stretches
from nessus_sched.results.logins.verdict import Login
from nessus_sched.results.reached import target_of
from nessus_sched.store.findings.sql import ScanRow
from nessus_sched.store.ledger.addresses import address_key, within

_OF_LATEST: Final = "SELECT 1 FROM tries t WHERE t.run = m.tried_run"
_HOSTS: Final = f"""
SELECT m.name,
  CASE WHEN m.last_answered < m.tried_at AND EXISTS ({_OF_LATEST}) AND NOT EXISTS (
      {_OF_LATEST} AND (m.address BETWEEN t.first AND t.last OR t.name = m.name))
    THEN m.last_answered ELSE m.tried_at END,
  m.last_answered, m.last_whole, m.last_login, m.login, m.scanner
FROM machines m
"""
"""A scan that ended before it got to a host says nothing about it: its latest answer counts."""
_LOGINS: Final = f"""
INSERT INTO run_logins
SELECT :run, :credentials, count(*), count(*) FILTER (WHERE host_login = '{Login.FULL}'),
  count(*) FILTER (WHERE host_login = '{Login.PARTIAL}'),
  count(*) FILTER (WHERE host_login = '{Login.FAILED}')
FROM scanned.hosts WHERE host_row BETWEEN :first AND :last AND host_login IS NOT NULL
"""
_LATEST: Final = """
SELECT r.task_id, r.at, l.credentials, l.hosts, l.full, l.partial, l.failed
FROM run_logins l JOIN runs r USING (run)
WHERE r.at IS NOT NULL AND l.hosts > 0
  AND ? IN (SELECT value FROM json_each(l.credentials))
ORDER BY r.at DESC, r.run DESC LIMIT ?
"""


def store_tries(connection: sqlite3.Connection, run: int, origin: ScanOrigin) -> None:
    """Replaces those of an earlier application of the task."""
    connection.execute("DELETE FROM tries WHERE run = ?", (run,))
    if origin.targets is None or origin.began is None or origin.only is not None:
        return
    asked, left = targets_from(origin.targets), targets_from(origin.left)
    at = int(origin.began)
    connection.executemany(
        "INSERT INTO tries VALUES (?, ?, ?, ?, NULL)",
        (
            (run, at, address_key(first), address_key(last))
            for first, last in difference(asked.ranges, left.ranges)
        ),
    )
    connection.executemany(
        "INSERT INTO tries VALUES (?, ?, NULL, NULL, ?)",
        ((run, at, name) for name in asked.names if name not in left.names),
    )


def store_logins(
    connection: sqlite3.Connection, run: int, origin: ScanOrigin, scan: ScanRow
) -> None:
    """Likewise."""
    connection.execute("DELETE FROM run_logins WHERE run = ?", (run,))
    if origin.credentials:
        connection.execute(
            _LOGINS,
            {
                "run": run,
                "credentials": json.dumps(origin.credentials),
                "first": scan.first_row,
                "last": scan.last_row,
            },
        )


def read_logins(connection: sqlite3.Connection, credential: str, limit: int) -> list[LoginRun]:
    """The latest scans with a credential, latest first."""
    rows = connection.execute(_LATEST, (credential, limit)).fetchall()
    return [
        LoginRun(
            task_id=task_id, at=at, hosts=hosts, full=full, partial=partial, failed=failed,
            others=tuple(each for each in json.loads(names) if each != credential),
        )
        for task_id, at, names, hosts, full, partial, failed in rows
    ]  # fmt: skip


def read_reach(
    connection: sqlite3.Connection, asked: TargetSet, since: float
) -> list[ReachedStretch]:
    """How well each target was reached, in their order."""
    return list(
        stretches(asked, _tries(connection, asked, since), _hosts(connection, asked), since)
    )


def _tries(connection: sqlite3.Connection, asked: TargetSet, since: float) -> Tries:
    every: list[Range] = []
    lately: list[Range] = []
    names: set[str] = set()
    names_lately: set[str] = set()
    for at, first, last, name in connection.execute("SELECT at, first, last, name FROM tries"):
        if name is not None:
            names.add(name)
            names_lately.update((name,) if at >= since else ())
            continue
        ends = int.from_bytes(first), int.from_bytes(last)
        every.append(ends)
        if at >= since:
            lately.append(ends)

    def within(ranges: Ranges, some: set[str]) -> TargetSet:
        wanted = tuple(name for name in asked.names if name in some)
        return TargetSet(ranges=intersection(asked.ranges, ranges), names=wanted)

    return Tries(ever=within(merged(every), names), lately=within(merged(lately), names_lately))


def _hosts(connection: sqlite3.Connection, asked: TargetSet) -> Iterator[Reached]:
    rows = connection.execute(f"{_HOSTS} WHERE {within('m.address', asked.ranges)}")
    yield from map(_reached, rows)
    rows = connection.execute(
        f"{_HOSTS} WHERE m.name IN (SELECT value FROM json_each(?))", (json.dumps(asked.names),)
    )
    yield from map(_reached, rows)


def _reached(row: tuple[Any, ...]) -> Reached:
    name, tried_at, answered, whole, entered, login, scanner = row
    target = target_of(name)
    return Reached(
        target=name if target is None else target, tried_at=tried_at, answered_at=answered,
        whole_at=whole, login_at=entered, login=login, scanner=scanner,
    )  # fmt: skip
