"""Deletes scans in small steps and releases the space."""

from __future__ import annotations

import sqlite3
from typing import Final

from nessus_sched.store.findings.coverage import forget_coverage
from nessus_sched.store.findings.schema import SCAN_PARTS, Table

_BATCH: Final = 1000
"""Rows per step and table, which take about ten milliseconds."""
_VACUUM_PAGES: Final = 500


def mark_deleted(connection: sqlite3.Connection, task_id: str) -> bool:
    """Hides the task's findings from readers; returns False if it had none."""
    changed = connection.execute(
        "UPDATE scans SET ready = 0 WHERE task_id = ? AND ready", (task_id,)
    )
    return changed.rowcount > 0


def vacuum_some(connection: sqlite3.Connection) -> bool:
    """Deletes some hidden rows or shrinks the file a little, in its own transaction; returns
    False if nothing is left to do."""
    hidden = connection.execute(
        "SELECT scan, first_row, last_row FROM scans WHERE NOT ready LIMIT 1"
    ).fetchone()
    if hidden is None:
        return _shrink(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _delete_some(connection, *hidden):
            forget_coverage(connection, hidden[0])
            connection.execute("DELETE FROM scans WHERE scan = ?", (hidden[0],))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return True


def _delete_some(connection: sqlite3.Connection, scan: int, first: int, last: int) -> bool:
    for table in (Table.FINDINGS, *SCAN_PARTS):
        column = table.reference
        if _delete(
            connection,
            f"{table} WHERE {column} IN (SELECT {column} FROM {table}"
            f" WHERE {column} BETWEEN ? AND ? LIMIT ?)",
            (first, last, _BATCH),
        ):
            return True
    if _delete(
        connection,
        "host_coverage WHERE host_row IN (SELECT host_row FROM host_coverage"
        " WHERE host_row BETWEEN ? AND ? LIMIT ?)",
        (first, last, _BATCH),
    ):
        return True
    if _delete(
        connection,
        "host_tally WHERE host_row IN (SELECT DISTINCT host_row FROM host_tally"
        " WHERE host_row BETWEEN ? AND ? LIMIT ?)",
        (first, last, _BATCH),
    ):
        return True
    return _delete_plugins(connection, scan)


def _delete(connection: sqlite3.Connection, what: str, values: tuple[int, ...]) -> bool:
    return connection.execute(f"DELETE FROM {what}", values).rowcount > 0


def _delete_plugins(connection: sqlite3.Connection, scan: int) -> bool:
    """Deletes some of the scan's plugins: its tallies, and plugins that no other scan has."""
    rows = connection.execute(
        "SELECT DISTINCT plugin_row FROM plugin_tally WHERE scan = ? LIMIT ?", (scan, _BATCH)
    ).fetchall()
    connection.executemany(
        "DELETE FROM plugin_tally WHERE scan = ? AND plugin_row = ?",
        [(scan, row) for (row,) in rows],
    )
    connection.executemany(
        "DELETE FROM plugins WHERE plugin_row = ? AND NOT EXISTS"
        " (SELECT 1 FROM plugin_tally WHERE plugin_tally.plugin_row = plugins.plugin_row)",
        rows,
    )
    return bool(rows)


def _shrink(connection: sqlite3.Connection) -> bool:
    """Releases some free pages to the file system."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if not free:
        return False
    # Every page is a step without a row; `execute` would stop after the first.
    connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    if not left:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return bool(left < free)
