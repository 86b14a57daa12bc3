"""Looks up findings of stored scans in the ledger (synchronous, within one snapshot)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from nessus_sched.results.ledger.questions import Entry, Spot
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.read import ENTRY, entry_of

_MACHINES: Final = """
SELECT DISTINCT m.machine FROM machines m JOIN visits v ON v.machine = m.machine
JOIN runs r ON r.run = v.run JOIN views w ON w.view = v.view
WHERE m.machine IN (SELECT machine FROM machines WHERE name = :host
  UNION SELECT machine FROM machines WHERE ip = :host
  UNION SELECT machine FROM machines WHERE fqdn = :host)
AND w.name = :host AND r.task_id = :task
"""
"""A name may have belonged to several machines: only those that this scan saw under it."""
_AT: Final = (
    " WHERE e.machine = ? AND e.plugin = ? AND e.service = ? AND"
    " CASE WHEN ?4 IS NULL THEN e.audit_check = 0 ELSE c.name = ?4 END LIMIT 2"
)


def read_standing(
    connection: sqlite3.Connection, spots: Sequence[Spot], now: float
) -> list[Entry | None]:
    """The entry of each finding; None if there is none, or more than one that it may be.
    Exceptions count until `now` (epoch seconds)."""
    machines = {
        (task, host): connection.execute(_MACHINES, {"host": host, "task": task}).fetchall()
        for task, host in dict.fromkeys((spot.task_id, spot.host) for spot in spots)
    }
    protocols = dict(connection.execute("SELECT name, protocol FROM protocols").fetchall())
    source = ENTRY.format(source="entries e", excepted=EXCEPTED.format(now=now))
    found: list[Entry | None] = []
    for spot in spots:
        protocol = protocols.get(spot.protocol)
        rows = [
            row
            for (machine,) in machines[spot.task_id, spot.host]
            if protocol is not None
            for row in connection.execute(
                source + _AT, (machine, spot.plugin_id, spot.port + 65536 * protocol, spot.check)
            )
        ]
        found.append(entry_of(rows[0]) if len(rows) == 1 else None)
    return found
