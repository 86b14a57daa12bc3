"""Applies one stored scan to the ledger, in one transaction.

Sightings, usually nearly all of a scan, are merged in SQL; what a scan does not show any more
is judged entry by entry.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.store_errors import NoFindings
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.port import Applied
from nessus_sched.results.ledger.states import AFTER_SIGHTING, State
from nessus_sched.results.model import NO_SEVERITY
from nessus_sched.store.findings.coverage import read_coverage
from nessus_sched.store.findings.read import scan_of
from nessus_sched.store.findings.sql import ScanRow
from nessus_sched.store.ledger.dimensions import PASSED, SHOWN, store_dimensions
from nessus_sched.store.ledger.excepted import cover_scanned
from nessus_sched.store.ledger.hosts import Matched, match_hosts
from nessus_sched.store.ledger.judge import Judge
from nessus_sched.store.ledger.moves import TEMPORARY, begin, store_visits
from nessus_sched.store.ledger.reach import store_logins, store_tries

_APPLIED: Final = (
    "entries", "machines", "views", "facts", "runs", "plugin_lists", "definitions",
    "definition_cves", "audit_checks", "excepted", "tries", "run_logins", "moves", "visits",
    "past_definitions",
)  # fmt: skip
_TEMPORARY: Final = f"""{TEMPORARY}
DROP TABLE IF EXISTS temp.steps;
DROP TABLE IF EXISTS temp.checks;
CREATE TEMP TABLE steps (
  host_row INTEGER PRIMARY KEY, machine INTEGER NOT NULL, at INTEGER NOT NULL,
  view INTEGER NOT NULL, cause INTEGER NOT NULL
);
CREATE INDEX temp.steps_by_machine ON steps (machine, at);
CREATE TEMP TABLE checks (
  compliance_row INTEGER PRIMARY KEY, audit_check INTEGER NOT NULL, outcome INTEGER NOT NULL
);
"""
_PROTOCOL: Final = (
    "CASE s.protocol WHEN 'tcp' THEN 0 WHEN 'udp' THEN 1"
    " ELSE (SELECT protocol FROM protocols WHERE name = coalesce(s.protocol, '')) END"
)
_KEY: Final = (
    f"t.machine, p.plugin_id AS plugin, s.port + 65536 * {_PROTOCOL} AS service, c.audit_check"
)
_SOURCE: Final = """
FROM scanned.findings f
CROSS JOIN temp.steps t ON t.host_row = f.host_row
CROSS JOIN scanned.plugins p ON p.plugin_row = f.plugin_row
CROSS JOIN scanned.services s ON s.service_row = f.service_row
CROSS JOIN temp.checks c ON c.compliance_row = f.compliance_row
WHERE f.finding_row BETWEEN :first AND :last AND p.plugin_id IS NOT NULL AND s.port IS NOT NULL
"""
"""The scan's findings that can be told apart, on the hosts that are applied."""

_STATE: Final = "CASE state {} END".format(
    " ".join(f"WHEN {before:d} THEN {after:d}" for before, after in AFTER_SIGHTING.items())
)
_SIGHTINGS: Final = f"""
INSERT INTO entries (machine, plugin, service, audit_check, state, reason, severity,
  first_severity, first_seen, last_seen, since, unverified_since, changed, resurfaced, cause,
  first_run, last_run, view)
SELECT {_KEY}, {State.NEW:d}, 0, max(f.severity), max(f.severity), t.at, t.at, t.at, NULL, t.at, 0,
  t.cause, :run, :run, t.view
{_SOURCE} AND c.outcome = {SHOWN}
  AND (:only IS NULL OR p.plugin_id IN (SELECT value FROM json_each(:only)))
GROUP BY 1, 2, 3, 4
ON CONFLICT DO UPDATE SET
  state = {_STATE}, reason = 0, unverified_since = NULL, severity = excluded.severity,
  last_seen = excluded.last_seen, last_run = excluded.last_run, view = excluded.view,
  since = CASE state WHEN {State.FIXED:d} THEN excluded.last_seen ELSE since END,
  changed = CASE state WHEN {State.FIXED:d} THEN excluded.last_seen ELSE changed END,
  resurfaced = resurfaced + (state = {State.FIXED:d})
WHERE (excluded.last_seen > last_seen
    OR excluded.last_seen = last_seen AND excluded.last_run <> last_run)
  AND NOT (state = {State.FIXED:d} AND since > excluded.last_seen)
"""
"""What a scan to verify fixes found out later than this scan remains as it is."""
_PASSED: Final = f"SELECT t.at, :run, {_KEY} {_SOURCE} AND c.outcome = {PASSED}"
_PASS: Final = f"""
UPDATE entries SET state = {State.FIXED:d}, since = ?1, changed = ?1, reason = 0,
  unverified_since = NULL, last_run = ?2
WHERE machine = ?3 AND plugin = ?4 AND service = ?5 AND audit_check = ?6
  AND state < {State.FIXED:d} AND last_seen < ?1
"""
"""A check that passes now is a finding that is fixed."""
_COUNTS: Final = ("critical", "high", "medium", "low", "info", "unknown")
_SEVERITIES: Final = (4, 3, 2, 1, 0, NO_SEVERITY)
_TALLY: Final = f"""
UPDATE machines SET ({", ".join(_COUNTS)}) = (
  SELECT {", ".join(f"count(*) FILTER (WHERE severity = {each})" for each in _SEVERITIES)}
  FROM entries e WHERE e.machine = machines.machine AND e.state < {State.FIXED:d})
WHERE machine IN (SELECT machine FROM temp.steps)
"""


def apply_scan(
    connection: sqlite3.Connection,
    findings: Path,
    origin: ScanOrigin,
    *,
    by: HostIdentity,
    now: int,
    exceptions: Sequence[FindingException] = (),
) -> Applied | None:
    """None if the findings database has no findings of the task, or if what it has was read again
    from the reports of a scan that was applied. `exceptions` are in force."""
    with attached(connection, findings), _transaction(connection):
        try:
            scan = scan_of(connection, origin.task_id)
        except NoFindings:
            return None
        if _read_again(connection, scan, origin):
            return None
        applied, run = _apply(connection, scan, origin, by, now)
        facts = cover_scanned(connection, exceptions, run, scan.scan)
        return attrs.evolve(applied, facts=facts)


def clear(connection: sqlite3.Connection) -> None:
    """Forgets everything that was applied."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in _APPLIED:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _apply(
    connection: sqlite3.Connection, scan: ScanRow, origin: ScanOrigin, by: HostIdentity, now: int
) -> tuple[Applied, int]:
    """What changed, and the number of the run."""
    coverage = read_coverage(connection, scan)
    run = _run(connection, scan, origin, now)
    matched = match_hosts(connection, scan, origin, run, by)
    begin(connection, run, matched.ended(origin) or now)
    store_dimensions(connection, run, scan, coverage)
    _store_steps(connection, matched)
    if origin.only is None:
        store_visits(connection, run, matched.steps.values())
    numbers = {"first": scan.first_row, "last": scan.last_row, "run": run}
    only = None if origin.only is None else json.dumps(sorted(origin.only))
    connection.execute(_SIGHTINGS, {**numbers, "only": only})
    passed = f"SELECT 1 FROM temp.checks WHERE outcome = {PASSED}"
    if only is None and connection.execute(passed).fetchone():
        connection.executemany(_PASS, connection.execute(_PASSED, numbers))
    judge = Judge(connection, scan, origin, run, coverage, by, _series(connection, scan, origin))
    judge.entries(matched)
    judge.hosts_not_in_report(matched)
    connection.execute(_TALLY)
    store_tries(connection, run, origin)
    store_logins(connection, run, origin, scan)
    return _finished(connection, origin, run, matched), run


def _read_again(connection: sqlite3.Connection, scan: ScanRow, origin: ScanOrigin) -> bool:
    """Notes where the findings are now, if the results were applied since the task got them."""
    if origin.settled is None:
        return False
    updated = connection.execute(
        "UPDATE runs SET source = ? WHERE task_id = ? AND applied_at >= ? AND source <> ?",
        (scan.scan, origin.task_id, int(origin.settled), scan.scan),
    )
    return updated.rowcount > 0


def _run(connection: sqlite3.Connection, scan: ScanRow, origin: ScanOrigin, now: int) -> int:
    connection.execute(
        "INSERT INTO runs (task_id, source, applied_at, series) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET source = excluded.source, applied_at = excluded.applied_at,"
        " series = excluded.series",
        (origin.task_id, scan.scan, now, _series(connection, scan, origin)),
    )
    (run,) = connection.execute(
        "SELECT run FROM runs WHERE task_id = ?", (origin.task_id,)
    ).fetchone()
    assert isinstance(run, int)
    return run


def _series(connection: sqlite3.Connection, scan: ScanRow, origin: ScanOrigin) -> str:
    if origin.series:
        return origin.series
    policy = connection.execute(
        "SELECT host_policy FROM hosts WHERE host_row BETWEEN ? AND ? LIMIT 1", scan.rows
    ).fetchone()
    return f"policy {policy[0]}" if policy else "policy"


def _store_steps(connection: sqlite3.Connection, matched: Matched) -> None:
    connection.executemany(
        "INSERT INTO temp.steps VALUES (?, ?, ?, ?, ?)",
        (
            (row, step.machine, step.at, step.view, step.cause)
            for step in matched.steps.values()
            for row in step.rows
        ),
    )


def _finished(
    connection: sqlite3.Connection, origin: ScanOrigin, run: int, matched: Matched
) -> Applied:
    """Counts what happened, and adds it to what an earlier application of the task counted."""
    at = max((step.at for step in matched.steps.values()), default=None)
    counts = connection.execute(
        f"SELECT count(*) FILTER (WHERE e.state = {State.NEW:d} AND e.first_run = :run),"
        f" count(*) FILTER (WHERE e.state = {State.RESURFACED:d} AND e.since = t.at),"
        f" count(*) FILTER (WHERE e.state = {State.FIXED:d} AND e.since = t.at),"
        " count(*) FILTER (WHERE e.unverified_since = t.at)"
        " FROM (SELECT DISTINCT machine, at FROM temp.steps) t JOIN entries e USING (machine)"
        " WHERE e.severity <> 0",
        {"run": run},
    ).fetchone()
    applied = Applied(
        task_id=origin.task_id, at=at, hosts=len(matched.steps), late=matched.late,
        undated=matched.undated, new=counts[0], resurfaced=counts[1], fixed=counts[2],
        unverified=counts[3],
    )  # fmt: skip
    connection.execute(
        "UPDATE runs SET at = max(coalesce(at, ?2), coalesce(?2, at)), hosts = hosts + ?3,"
        " late = late + ?4, undated = ?5, new = new + ?6, resurfaced = resurfaced + ?7,"
        " fixed = fixed + ?8, unverified = unverified + ?9 WHERE run = ?1",
        (run, at, applied.hosts, applied.late, applied.undated, *counts),
    )
    return applied


@contextmanager
def attached(connection: sqlite3.Connection, findings: Path) -> Iterator[None]:
    """The findings database as `scanned`, for reading."""
    if connection.in_transaction:  # an error kept it from being rolled back
        connection.execute("ROLLBACK")
    if "scanned" in (name for _, name, _ in connection.execute("PRAGMA database_list").fetchall()):
        connection.execute("DETACH DATABASE scanned")
    connection.execute("ATTACH DATABASE ? AS scanned", (f"{findings.absolute().as_uri()}?mode=ro",))
    try:
        yield
    finally:
        connection.execute("DETACH DATABASE scanned")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        connection.executescript(_TEMPORARY)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
