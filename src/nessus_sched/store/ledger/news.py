"""Reads what the scans of some tasks have changed (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from nessus_sched.results.ledger.news import News, NewsGroup, NewsQuery
from nessus_sched.results.ledger.questions import Change
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.findings.sql_functions import register
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.regions import in_region
from nessus_sched.store.ledger.schema import FIRST_SCAN

_RUNS: Final = """
WITH r AS MATERIALIZED (
  SELECT run FROM runs WHERE task_id IN (SELECT value FROM json_each(:tasks))
),
"""
_BASELINE: Final = """EXISTS (
  SELECT 1 FROM visits v WHERE v.machine = k.machine AND v.run = e.first_run AND v.first)"""
"""Whether the task that first saw an entry was the first that saw its machine."""
_SPAN: Final = """
span AS (
  SELECT machine, plugin, service, audit_check, min(move) AS one, max(move) AS last
  FROM moves WHERE run IN (SELECT run FROM r) GROUP BY 1, 2, 3, 4
),
"""
_CHANGED: Final = f"""{_RUNS} {_SPAN}
born AS (
  SELECT machine, plugin, service, audit_check FROM entries INDEXED BY entries_by_first_run
  WHERE first_run IN (SELECT run FROM r) AND cause <> {FIRST_SCAN}
),
keys AS (
  SELECT machine, plugin, service, audit_check, one, last FROM span
  UNION ALL
  SELECT b.*, NULL, NULL FROM born b LEFT JOIN span s USING (machine, plugin, service, audit_check)
  WHERE s.one IS NULL
),
changed AS (
  SELECT k.machine, k.plugin, k.service, k.audit_check, e.first_seen,
    coalesce(z.severity, e.first_severity) AS severity,
    CASE
      WHEN e.first_run IN (SELECT run FROM r) THEN
        CASE WHEN coalesce(z.state, {State.NEW:d}) < {State.FIXED:d}
          AND e.cause <> {FIRST_SCAN} AND NOT {_BASELINE}
          THEN 'new' END
      WHEN a.was_state < {State.FIXED:d} AND z.state = {State.FIXED:d} THEN 'fixed'
      WHEN a.was_state = {State.FIXED:d} AND z.state < {State.FIXED:d} THEN 'resurfaced'
      WHEN z.state < {State.FIXED:d} AND a.was_reason = 0 AND z.reason <> 0 THEN 'unverified'
    END AS change
  FROM keys k JOIN entries e USING (machine, plugin, service, audit_check)
  LEFT JOIN moves a ON a.move = k.one LEFT JOIN moves z ON z.move = k.last
)
SELECT e.change, coalesce(x.severity, e.severity) AS worth, e.plugin, e.audit_check,
  d.name, c.name, d.solution, coalesce(d.exploited, 0), e.first_seen, m.name,
  coalesce(x.kind, 'severity') <> 'severity'
FROM changed e JOIN machines m ON m.machine = e.machine
LEFT JOIN definitions d ON d.plugin = e.plugin
LEFT JOIN audit_checks c ON c.audit_check = e.audit_check
{{excepted}}
WHERE e.change IN (SELECT value FROM json_each(:changes))
  AND (worth >= :least OR worth = {NO_SEVERITY}) AND {{region}}
ORDER BY e.change, e.plugin, e.audit_check, host_order(m.name), m.machine
"""
_FIRST_HOSTS: Final = f"""{_RUNS}
firsts AS (
  SELECT v.machine, v.run FROM visits v JOIN machines m ON m.machine = v.machine
  WHERE v.first AND v.run IN (SELECT run FROM r) AND {{region}}
)
"""
_COUNT_FIRST: Final = "SELECT count(*) FROM firsts"
_FIRST_FINDINGS: Final = f"""
SELECT coalesce(x.severity, e.severity) AS worth, count(*)
FROM firsts f CROSS JOIN entries e ON e.machine = f.machine AND e.first_run = f.run
{{excepted}}
WHERE e.state < {State.FIXED:d} AND e.audit_check = 0
  AND coalesce(x.kind, 'severity') = 'severity'
  AND (worth >= :least OR worth = {NO_SEVERITY}) GROUP BY 1
"""
_ORDER: Final = (Change.NEW, Change.RESURFACED, Change.UNVERIFIED, Change.FIXED)
_FIRST: Final = (Change.NEW, Change.RESURFACED)
_MAY_BE: Final = 3


@attrs.define
class _Group:
    """A group that is being read."""

    change: Change
    plugin: int
    name: str | None
    check: str | None
    solution: str | None
    exploited: bool
    severity: int
    first_seen: int
    hosts: list[str] = attrs.field(factory=list)
    host_count: int = 0
    last: str | None = None

    @property
    def rank(self) -> tuple[Any, ...]:
        place = 0 if self.change in _FIRST else _ORDER.index(self.change)
        return (place, _rank(self.severity), not self.exploited, -self.host_count,
                _ORDER.index(self.change), self.plugin, self.check or "")  # fmt: skip

    def add(self, host: str, severity: int, first_seen: int, most: int) -> None:
        self.severity = min(self.severity, severity, key=_rank)
        self.first_seen = min(self.first_seen, first_seen)
        if host == self.last:
            return
        self.last = host
        self.host_count += 1
        if len(self.hosts) < most:
            self.hosts.append(host)


def read_news(connection: sqlite3.Connection, query: NewsQuery) -> News:
    register(connection)
    values = {
        "tasks": json.dumps(query.task_ids),
        "changes": json.dumps(query.changes),
        "least": query.least_severity,
    }
    place = {
        "excepted": EXCEPTED.format(now=query.now),
        "region": in_region(connection, query.region, query.labelled),
    }
    counts: dict[Change, dict[int, int]] = {change: {} for change in query.changes}
    groups: dict[tuple[str, int, int], _Group] = {}
    checks: dict[str, int] = {}
    covered = 0
    for row in connection.execute(_CHANGED.format(**place), values):
        (word, severity, plugin, number, name, check, solution, exploited, first_seen, host,
         excepted) = row  # fmt: skip
        if excepted:
            covered += 1
            continue
        change = Change(word)
        if number:
            checks[change.value] = checks.get(change.value, 0) + 1
        else:
            count = counts[change]
            count[severity] = count.get(severity, 0) + 1
        group = groups.setdefault(
            (word, plugin, number),
            _Group(change, plugin, name, check, solution, bool(exploited), severity, first_seen),
        )
        group.add(host, severity, first_seen, query.hosts)
    worst = sorted(groups.values(), key=lambda group: group.rank)
    hosts, found = _baseline(connection, place, values) if Change.NEW in query.changes else (0, {})
    return News(
        counts={
            change.value: dict(_worst_first(count.items()))
            for change, count in counts.items()
            if count
        },
        groups=tuple(map(_finished, worst[: query.groups])),
        left_out=max(0, len(worst) - query.groups),
        baseline_hosts=hosts,
        baseline_counts=found,
        excepted=covered,
        checks=checks,
    )


def _baseline(
    connection: sqlite3.Connection, place: dict[str, str], values: dict[str, Any]
) -> tuple[int, dict[str, int]]:
    firsts = _FIRST_HOSTS.format(**place)
    (hosts,) = connection.execute(firsts + _COUNT_FIRST, values).fetchone()
    if not hosts:
        return 0, {}
    rows = connection.execute(firsts + _FIRST_FINDINGS.format(**place), values).fetchall()
    return hosts, dict(_worst_first(rows))


def _worst_first(rows: Iterable[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    for severity, count in sorted(rows, key=lambda row: _rank(row[0])):
        yield _word(severity), count


def _rank(severity: int) -> int:
    """The worst first; a finding without a readable severity may be serious."""
    return -_MAY_BE if severity == NO_SEVERITY else -severity


def _word(severity: int) -> str:
    return severity_name(None if severity == NO_SEVERITY else severity)


def _finished(group: _Group) -> NewsGroup:
    return NewsGroup(
        change=group.change, plugin_id=group.plugin, name=group.name, check=group.check,
        severity=_word(group.severity), solution=group.solution, exploited=group.exploited,
        hosts=tuple(group.hosts), host_count=group.host_count, first_seen=group.first_seen,
    )  # fmt: skip
