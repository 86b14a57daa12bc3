"""Whether a scan that carries our marker also scans what its task asked for."""

from __future__ import annotations

from nessus_sched.core.scanner import RemoteScan
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import other_targets
from nessus_sched.core.task import Task
from nessus_sched.scheduler.driver.connection import Connection

CLOCKS_DIFFER = 60.0
"""Seconds by which a scan may seem older than the intent to create it."""


async def has_our_targets(
    task: Task, connection: Connection, row: RemoteScan, *, sealed: bool
) -> bool:
    """Asks the scanner. What its answer does not show claims nothing, unless the marker
    is not `sealed` and so proves nothing: then the targets must be shown, and the scan must
    not be older than the attempt. Raises `ScannerError`."""
    shown = (await connection.scanner.details(row.scan_id)).targets
    # All that was asked for: what remains of it may be less by now, or nothing.
    if other_targets(task.request.targets, shown):
        return False
    if sealed:
        return True
    begun = task.entered.get(TaskState.LAUNCHING, 0.0) + (connection.scanner.clock_ahead or 0.0)
    return bool(shown) and (row.created_at is None or row.created_at >= begun - CLOCKS_DIFFER)
