"""Keeps the history of a scan that is applied: what it changes about entries that were there
before, which hosts it reported, and what its plugins said until then.

Whatever changes an entry, temporary triggers write it down, so that no statement can forget to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from nessus_sched.results.ledger.states import State
from nessus_sched.store.ledger.hosts import Step
from nessus_sched.store.ledger.schema import FIRST_SCAN

TEMPORARY: Final = f"""
DROP TRIGGER IF EXISTS temp.moved;
DROP TRIGGER IF EXISTS temp.redefined;
DROP TABLE IF EXISTS temp.applying;
CREATE TEMP TABLE applying (run INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TEMP TRIGGER moved AFTER UPDATE OF state, reason, severity ON main.entries
WHEN (old.state <> new.state AND (old.state <> {State.NEW:d} OR new.state <> {State.ACTIVE:d}))
  OR old.reason <> new.reason OR old.severity <> new.severity
BEGIN
  INSERT INTO moves SELECT NULL, old.machine, old.plugin, old.service, old.audit_check,
    max(coalesce((SELECT t.at FROM steps t WHERE t.machine = old.machine), a.at),
      old.changed, old.last_seen), a.run,
    old.state, old.reason, old.severity, old.since, old.unverified_since, old.resurfaced,
    old.last_seen, new.state, new.reason, new.severity
  FROM applying a;
END;
CREATE TEMP TRIGGER redefined AFTER UPDATE ON main.definitions
WHEN old.name IS NOT new.name OR old.exploited <> new.exploited OR old.cves IS NOT new.cves
  OR old.solution IS NOT new.solution
BEGIN
  INSERT INTO past_definitions SELECT old.plugin, at, old.name, old.exploited, old.cves,
    old.solution FROM applying;
END;
"""
"""A scan that is applied late may tell of a time before the latest change of an entry; it is then
written down as of that change."""


def begin(connection: sqlite3.Connection, run: int, at: int) -> None:
    """Before anything of the scan is applied; `at` is when it ended."""
    connection.execute("INSERT INTO temp.applying VALUES (?, ?)", (run, at))


def store_visits(connection: sqlite3.Connection, run: int, steps: Iterable[Step]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO visits VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                step.machine,
                step.at,
                run,
                step.view,
                step.now.coverage is None or step.now.coverage.answered,
                step.cause == FIRST_SCAN,
            )
            for step in steps
        ),
    )
