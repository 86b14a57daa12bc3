"""Reads how many findings were open at the end of each of some stretches of time, and what changed
in them (synchronous, within one snapshot).

What was open at a time is the sum of what was first seen until then and of all changes until then:
an entry counts by the severity that it was first seen with, a move takes away what it was before
and adds what it is then.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import attrs

from nessus_sched.results.ledger.states import State
from nessus_sched.results.ledger.trend import TrendPoint, TrendQuery
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.ledger.regions import machines_of
from nessus_sched.store.ledger.schema import FIRST_SCAN

_BORN: Final = f"""
SELECT {{stretch}} AS stretch, first_severity, cause = {FIRST_SCAN}, count(*), sum(first_seen)
FROM entries WHERE {{least}} AND {{machines}} GROUP BY 1, 2, 3
"""
_MOVED: Final = f"""
SELECT {{stretch}} AS stretch, m.was_severity, m.severity,
  m.was_state < {State.FIXED:d}, m.state < {State.FIXED:d}, count(*), sum(e.first_seen)
FROM moves m JOIN entries e USING (machine, plugin, service, audit_check)
WHERE (m.was_severity <> m.severity OR m.was_state / {State.FIXED:d} <> m.state / {State.FIXED:d})
  AND {{machines}}
GROUP BY 1, 2, 3, 4, 5
"""
_HOSTS: Final = """
SELECT {stretch} AS stretch, count(DISTINCT machine) FROM visits
WHERE answered AND at >= :first AND at < :last AND {machines} GROUP BY 1
"""


@attrs.define
class _Tally:
    """What changes in a stretch of time; sums are of the times of first sightings."""

    open: Counter[int] = attrs.field(factory=Counter)
    first_seen: int = 0
    new: int = 0
    baseline: int = 0
    fixed: int = 0
    resurfaced: int = 0


def read_trend(connection: sqlite3.Connection, query: TrendQuery) -> list[TrendPoint]:
    bounds = query.bounds
    machines = machines_of(connection, query.region, query.labelled)
    tallies = [_Tally() for _ in bounds]
    _count_born(connection, query, bounds, machines, tallies)
    _count_moves(connection, query, bounds, machines, tallies)
    hosts = dict(
        connection.execute(
            _HOSTS.format(stretch=_stretch("at", bounds), machines=machines),
            {"first": bounds[0], "last": bounds[-1]},
        ).fetchall()
    )
    points = []
    standing, first_seen = tallies[0].open, tallies[0].first_seen
    for number, (since, until) in enumerate(pairwise(bounds), 1):
        tally = tallies[number]
        standing, first_seen = Counter(standing), first_seen + tally.first_seen
        standing.update(tally.open)
        every = standing.total()
        points.append(
            TrendPoint(
                since=since, until=until,
                open={_word(severity): standing[severity] for severity in sorted(standing)
                      if standing[severity]},
                new=tally.new, baseline=tally.baseline, fixed=tally.fixed,
                resurfaced=tally.resurfaced,
                mean_age=(until * every - first_seen) / every if every else None,
                hosts=hosts.get(number, 0),
            )
        )  # fmt: skip
    return points


def _count_born(
    connection: sqlite3.Connection,
    query: TrendQuery,
    bounds: Sequence[int],
    machines: str,
    tallies: Sequence[_Tally],
) -> None:
    statement = _BORN.format(
        stretch=_stretch("first_seen", bounds), least=_counted("first_severity", query),
        machines=machines,
    )  # fmt: skip
    for stretch, severity, first_scan, count, seen in connection.execute(statement):
        if stretch == len(bounds):
            continue
        tally = tallies[stretch]
        tally.open[severity] += count
        tally.first_seen += seen
        if first_scan:
            tally.baseline += count
        else:
            tally.new += count


def _count_moves(
    connection: sqlite3.Connection,
    query: TrendQuery,
    bounds: Sequence[int],
    machines: str,
    tallies: Sequence[_Tally],
) -> None:
    statement = _MOVED.format(stretch=_stretch("m.at", bounds), machines=machines)
    rows = connection.execute(statement)
    for stretch, was, now, was_open, is_open, count, seen in rows:
        if stretch == len(bounds):
            continue
        tally = tallies[stretch]
        if was_open and _counts(was, query):
            tally.open[was] -= count
            tally.first_seen -= seen
        if is_open and _counts(now, query):
            tally.open[now] += count
            tally.first_seen += seen
        tally.fixed += count if was_open and not is_open and _counts(was, query) else 0
        tally.resurfaced += count if is_open and not was_open and _counts(now, query) else 0


def _stretch(column: str, bounds: Sequence[int]) -> str:
    """SQL for the stretch of time that a time is in: 0 before the first, one more for each bound
    that it is not before."""
    cases = " ".join(f"WHEN {column} < {bound:d} THEN {n}" for n, bound in enumerate(bounds))
    return f"CASE {cases} ELSE {len(bounds)} END"


def _counted(column: str, query: TrendQuery) -> str:
    return f"({column} >= {query.least_severity:d} OR {column} = {NO_SEVERITY})"


def _counts(severity: int, query: TrendQuery) -> bool:
    return severity >= query.least_severity or severity == NO_SEVERITY


def _word(severity: int) -> str:
    return severity_name(None if severity == NO_SEVERITY else severity)
