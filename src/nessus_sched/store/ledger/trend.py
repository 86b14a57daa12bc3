"""Reads how many findings were open at the end of each of some stretches of time, and what changed
in them (synchronous, within one snapshot).

What was open at a time is what is open now, without what was first seen later, and with all later
changes undone. So only changes since the first stretch are read.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from typing import Final

import attrs

from nessus_sched.results.ledger.states import State
from nessus_sched.results.ledger.trend import TrendPoint, TrendQuery
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.ledger.regions import machines_of
from nessus_sched.store.ledger.schema import FIRST_SCAN

_HOUR: Final = 3600
_OPEN: Final = (
    "SELECT {sums} FROM entries WHERE state < {fixed:d} AND audit_check = 0 AND {machines}"
)
_BORN: Final = f"""
SELECT {{time}} AS time, first_severity, cause = {FIRST_SCAN}, count(*), sum(first_seen)
FROM entries WHERE first_seen >= :first AND audit_check = 0 AND {{machines}} GROUP BY 1, 2, 3
"""
_MOVED: Final = f"""
SELECT {{time}} AS time, m.was_severity, m.severity, m.was_state < {State.FIXED:d},
  m.state < {State.FIXED:d}, count(*), sum(e.first_seen)
FROM moves m CROSS JOIN entries e USING (machine, plugin, service, audit_check)
WHERE m.at >= :first AND m.audit_check = 0 AND {{machines}} AND (m.was_severity <> m.severity
  OR (m.was_state < {State.FIXED:d}) <> (m.state < {State.FIXED:d}))
GROUP BY 1, 2, 3, 4, 5
"""
_HOSTS: Final = """
SELECT machine, at FROM visits WHERE answered AND at >= :first AND at < :last AND {machines}
"""


@attrs.define
class _Tally:
    """What changes in a stretch of time, and by how much what is open grows in it. Sums are of the
    times of first sightings."""

    open: Counter[int] = attrs.field(factory=Counter)
    first_seen: int = 0
    new: int = 0
    baseline: int = 0
    fixed: int = 0
    resurfaced: int = 0

    def add(self, severity: int, count: int, first_seen: int) -> None:
        self.open[severity] += count
        self.first_seen += first_seen


class _Tallies:
    """One for each stretch of time, and one for the time after the last."""

    def __init__(self, query: TrendQuery) -> None:
        self.bounds = query.bounds
        self._least = query.least_severity
        self._all = [_Tally() for _ in self.bounds]
        self.unit = gcd(_HOUR, *self.bounds[1:-1])
        """Seconds that all bounds but the first and the last are multiples of."""

    def __getitem__(self, stretch: int) -> _Tally:
        return self._all[stretch]

    def at(self, time: int) -> _Tally:
        return self._all[bisect_right(self.bounds, time) - 1]

    def time(self, column: str) -> str:
        """SQL for a time in the same stretch, of which there are few."""
        return (
            f"CASE WHEN {column} >= {self.bounds[-1]:d} THEN {self.bounds[-1]:d}"
            f" ELSE max({column} / {self.unit} * {self.unit}, {self.bounds[0]:d}) END"
        )

    def counts(self, severity: int) -> bool:
        return severity >= self._least or severity == NO_SEVERITY


def read_trend(connection: sqlite3.Connection, query: TrendQuery) -> list[TrendPoint]:
    machines = machines_of(connection, query.region, query.labelled)
    tallies = _Tallies(query)
    _count_born(connection, machines, tallies)
    _count_moves(connection, machines, tallies)
    standing = _open_now(connection, machines, tallies)
    hosts = _count_hosts(connection, machines, tallies.bounds)
    points = []
    for stretch, (since, until) in reversed([*enumerate(pairwise(tallies.bounds))]):
        later, tally = tallies[stretch + 1], tallies[stretch]
        standing.open.subtract(later.open)
        standing.first_seen -= later.first_seen
        every = standing.open.total()
        points.append(
            TrendPoint(
                since=since, until=until,
                open={_word(severity): standing.open[severity] for severity in STORED_SEVERITIES
                      if standing.open[severity]},
                new=tally.new, baseline=tally.baseline, fixed=tally.fixed,
                resurfaced=tally.resurfaced,
                mean_age=(until * every - standing.first_seen) / every if every else None,
                hosts=hosts[stretch],
            )
        )  # fmt: skip
    return points[::-1]


def _open_now(connection: sqlite3.Connection, machines: str, tallies: _Tallies) -> _Tally:
    wanted = [severity for severity in STORED_SEVERITIES if tallies.counts(severity)]
    sums = ", ".join(
        f"{what} FILTER (WHERE severity = {severity:d})"
        for severity in wanted
        for what in ("count(*)", "sum(first_seen)")
    )
    row = connection.execute(
        _OPEN.format(sums=sums, fixed=State.FIXED, machines=machines)
    ).fetchone()
    found = _Tally()
    for severity, count, seen in zip(wanted, row[::2], row[1::2], strict=True):
        found.add(severity, count, seen or 0)
    return found


def _count_born(connection: sqlite3.Connection, machines: str, tallies: _Tallies) -> None:
    statement = _BORN.format(time=tallies.time("first_seen"), machines=machines)
    rows = connection.execute(statement, {"first": tallies.bounds[0]})
    for time, severity, first_scan, count, seen in rows:
        if not tallies.counts(severity):
            continue
        tally = tallies.at(time)
        tally.add(severity, count, seen)
        if first_scan:
            tally.baseline += count
        else:
            tally.new += count


def _count_moves(connection: sqlite3.Connection, machines: str, tallies: _Tallies) -> None:
    statement = _MOVED.format(time=tallies.time("m.at"), machines=machines)
    rows = connection.execute(statement, {"first": tallies.bounds[0]})
    for time, was, now, was_open, is_open, count, seen in rows:
        tally = tallies.at(time)
        if was_open and tallies.counts(was):
            tally.add(was, -count, -seen)
            tally.fixed += 0 if is_open else count
        if is_open and tallies.counts(now):
            tally.add(now, count, seen)
            tally.resurfaced += 0 if was_open else count


def _count_hosts(connection: sqlite3.Connection, machines: str, bounds: Sequence[int]) -> list[int]:
    """How many hosts answered in each stretch."""
    found: list[set[int]] = [set() for _ in bounds]
    rows = connection.execute(
        _HOSTS.format(machines=machines), {"first": bounds[0], "last": bounds[-1]}
    )
    for machine, at in rows:
        found[bisect_right(bounds, at) - 1].add(machine)
    return [len(each) for each in found]


def _word(severity: int) -> str:
    return severity_name(None if severity == NO_SEVERITY else severity)
