"""Reads findings as they stood at a time in the past (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from nessus_sched.results.ledger.as_of import AsOfPage, AsOfPlace, AsOfQuery, PastFinding
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY
from nessus_sched.store.ledger.regions import in_region
from nessus_sched.store.ledger.schema import REASONS

_ENTRY: Final = (
    "{0}.machine = {1}.machine AND {0}.plugin = {1}.plugin AND {0}.service = {1}.service"
    " AND {0}.audit_check = {1}.audit_check"
)
_THEN: Final = f"""
SELECT m.identity, e.machine, e.plugin, e.service, e.audit_check, e.first_seen, e.first_run,
  e.last_run, coalesce(n.was_state, e.state) AS state,
  coalesce(n.was_reason, e.reason) AS reason, coalesce(n.was_severity, e.severity) AS severity,
  coalesce(n.was_since, e.since) AS since,
  iif(n.move IS NULL, e.unverified_since, n.was_unverified_since) AS unverified_since,
  coalesce(n.was_resurfaced, e.resurfaced) AS resurfaced,
  coalesce(n.was_last_seen, e.last_seen) AS last_seen
FROM machines m CROSS JOIN entries e ON e.machine = m.machine LEFT JOIN moves n ON n.move = (
  SELECT min(move) FROM moves a WHERE {_ENTRY.format("a", "e")} AND a.at > :at)
WHERE e.first_seen <= :at AND {{region}} AND {{after}}
"""
"""Until the first change after a time, an entry was as it was before that change."""
_PAGE: Final = f"""
SELECT t.*, v.name, v.ip, v.fqdn, m.name, m.ip, m.fqdn, s.at,
  (SELECT name FROM protocols WHERE protocol = t.service >> 16), c.name,
  iif(p.plugin IS NULL, d.name, p.name), iif(p.plugin IS NULL, d.exploited, p.exploited),
  iif(p.plugin IS NULL, d.cves, p.cves), iif(p.plugin IS NULL, d.solution, p.solution),
  f.task_id, l.task_id,
  (SELECT r.task_id FROM moves b JOIN runs r ON r.run = b.run
   WHERE {_ENTRY.format("b", "t")} AND b.at <= :at AND b.state = {State.FIXED:d}
   ORDER BY b.move DESC LIMIT 1)
FROM ({_THEN}) t
JOIN machines m ON m.machine = t.machine
JOIN runs f ON f.run = t.first_run JOIN runs l ON l.run = t.last_run
LEFT JOIN visits s ON s.machine = t.machine AND (s.at, s.run) = (
  SELECT at, run FROM visits w WHERE w.machine = t.machine AND w.at <= :at
  ORDER BY at DESC, run DESC LIMIT 1)
LEFT JOIN views v ON v.view = s.view
LEFT JOIN definitions d ON d.plugin = t.plugin
LEFT JOIN audit_checks c ON c.audit_check = t.audit_check
LEFT JOIN past_definitions p ON p.rowid = (
  SELECT min(rowid) FROM past_definitions o WHERE o.plugin = t.plugin AND o.until > :at)
WHERE (t.state < {State.FIXED:d} OR t.since >= :fixed_since)
  AND (t.severity >= :least OR t.severity = {NO_SEVERITY})
ORDER BY t.identity, t.plugin, t.service, t.audit_check LIMIT :limit
"""
_NEVER: Final = 1 << 62


def read_as_of(connection: sqlite3.Connection, query: AsOfQuery) -> AsOfPage:
    after = "1"
    values: dict[str, Any] = {
        "at": query.at,
        "fixed_since": _NEVER if query.fixed_since is None else query.fixed_since,
        "least": query.least_severity,
        "limit": query.limit + 1,
    }
    if query.after is not None:
        after = (
            "m.identity >= :k0 AND (m.identity, e.plugin, e.service, e.audit_check)"
            " > (:k0, :k1, :k2, :k3)"
        )
        values |= {f"k{number}": part for number, part in enumerate(query.after)}
    region = in_region(connection, query.region, query.labelled)
    statement = _PAGE.format(region=region, after=after)
    rows = connection.execute(statement, values).fetchall()
    shown = rows[: query.limit]
    place: AsOfPlace | None = None
    if len(rows) > query.limit:
        identity, _, plugin, service, check = shown[-1][:5]
        place = (identity, plugin, service, check)
    return AsOfPage(findings=tuple(map(_finding, shown)), after=place)


def _finding(row: Sequence[Any]) -> PastFinding:
    (_, _, plugin, service, _, first_seen, _, _, state, reason, severity, since,
     unverified_since, resurfaced, last_seen, name, ip, fqdn, now_name, now_ip, now_fqdn, scanned,
     protocol, check, title, exploited, cves, solution, first_task, last_task,
     fixed_task) = row  # fmt: skip
    fixed = state == State.FIXED
    return PastFinding(
        host=now_name if name is None else name,
        ip=now_ip if name is None else ip,
        fqdn=now_fqdn if name is None else fqdn,
        port=service & 0xFFFF, protocol=protocol or "", plugin_id=plugin, name=title, check=check,
        severity=severity, cves=tuple(json.loads(cves)) if cves else (),
        exploited=bool(exploited), solution=solution,
        state=State.ACTIVE if state == State.NEW else State(state), reason=REASONS.get(reason),
        first_seen=first_seen, last_seen=last_seen if fixed or reason else None, since=since,
        unverified_since=unverified_since, resurfaced=resurfaced, host_scanned=scanned,
        first_task_id=first_task,
        fixed_task_id=(fixed_task or last_task) if fixed else None,
    )  # fmt: skip
