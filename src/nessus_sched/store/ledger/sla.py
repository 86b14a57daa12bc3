"""Counts the findings that are or were fixed in time (synchronous, within one snapshot)."""

from __future__ import annotations

import sqlite3
from typing import Final

from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.results.ledger.sla import SlaCounts, SlaQuery, SlaState, limit_of
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.regions import machines_of

_SEVERITIES: Final = (NO_SEVERITY, 1, 2, 3, 4)
_STATES: Final = f"""
SELECT worth, excepted, CASE
  WHEN seconds IS NULL THEN NULL
  WHEN fixed AND since <= first_seen + seconds THEN '{SlaState.MET}'
  WHEN fixed THEN '{SlaState.MET_LATE}'
  WHEN :now > first_seen + seconds THEN '{SlaState.BREACHED}'
  WHEN :now > first_seen + seconds - :soon THEN '{SlaState.DUE}'
  ELSE '{SlaState.ON_TIME}' END AS sla, count(*)
FROM (
  SELECT worth, excepted, fixed, since, first_seen, {{seconds}} AS seconds FROM (
    SELECT CASE WHEN x.kind = '{ExceptionKind.SEVERITY}' THEN coalesce(x.severity, e.severity)
        ELSE e.severity END AS worth,
      x.kind IS NOT NULL AND x.kind <> '{ExceptionKind.SEVERITY}' AS excepted,
      e.state = {State.FIXED:d} AS fixed, e.since, e.first_seen,
      coalesce(d.exploited, 0) AS exploited
    FROM entries e LEFT JOIN definitions d ON d.plugin = e.plugin
    {EXCEPTED}
    WHERE (e.state < {State.FIXED:d} OR e.since >= :since) AND e.audit_check = 0 AND {{machines}}
  ) WHERE worth <> 0
)
GROUP BY 1, 2, 3
"""
"""Made for one pass over the entries."""


def read_sla(connection: sqlite3.Connection, query: SlaQuery) -> SlaCounts:
    machines = machines_of(connection, query.region, query.labelled)
    rows = connection.execute(
        _STATES.format(
            now=query.now,
            seconds=_seconds(query),
            machines=machines if machines == "1" else f"e.{machines}",
        ),
        {"now": query.now, "soon": query.limits.due_soon, "since": query.since},
    ).fetchall()
    counts: dict[SlaState, dict[str, int]] = {state: {} for state in SlaState}
    excepted: dict[str, int] = {}
    unlimited = 0
    for severity, covered, state, count in sorted(rows, key=lambda row: -row[0]):
        word = severity_name(None if severity == NO_SEVERITY else severity)
        if covered:
            excepted[word] = excepted.get(word, 0) + count
        elif state is None:
            unlimited += count
        else:
            counts[SlaState(state)][word] = count
    return SlaCounts(counts=counts, excepted=excepted, unlimited=unlimited)


def _seconds(query: SlaQuery) -> str:
    """SQL for the limit of a finding."""
    cases = []
    for severity in _SEVERITIES:
        for exploited in (True, False):
            limit = limit_of(query.limits, severity, exploited=exploited)
            if limit is not None:
                cases.append(
                    f"WHEN worth = {severity} AND exploited = {exploited:d} THEN {limit:f}"
                )
    return f"(CASE {' '.join(cases)} END)" if cases else "NULL"
