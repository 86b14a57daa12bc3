"""Scans of ours that nobody needs any more leave their scanner.

Only those in our own folder with the marker of a task that we have or had are touched, and
of these none that runs or that its task may still come back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nessus_sched.core.scanner import ENDED, NotOurs, Refused, RemoteScan, ScannerError, ScanStatus
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task, marked, marker
from nessus_sched.scheduler.context import Context
from nessus_sched.telemetry import events

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

AT_ONCE = 100
"""Scans deleted on one scanner in one go."""


async def clear(driver: Driver, rows: Sequence[RemoteScan], *, dry_run: bool = False) -> int:
    """Deletes those of the listed scans that are no longer needed, as far as the scanner
    lets us; how many, or with `dry_run` would be."""
    done = 0
    for row in rows:
        found = marked(row.name)
        if done == AT_ONCE:
            break
        if not row.ours or found is None or not await _unneeded(row, *found, driver.context):
            continue
        try:
            done += dry_run or await _remove(driver, row.scan_id, *found)
        except ScannerError as error:
            driver.log.info(events.HOUSEKEEPING_INTERRUPTED, reason=str(error))
            break
    return done


async def _remove(driver: Driver, scan_id: int, task_id: str, attempt: int) -> bool:
    """False when the scanner will not have it: that holds up no other scan."""
    told: dict[str, object] = {"scan_id": scan_id, "task_id": task_id}
    task = await driver.context.store.get(task_id)
    if task is not None:  # or it has been purged
        told["trace_id"] = task.trace_id
    try:
        await driver.scanner.delete(scan_id, marker(task_id, attempt))
    except (Refused, NotOurs) as error:
        driver.log.info(events.SCAN_LEFT_BEHIND, reason=str(error), **told)
        return False
    driver.log.info(events.SCAN_REMOVED, **told)
    return True


async def _unneeded(row: RemoteScan, task_id: str, attempt: int, context: Context) -> bool:
    """What was never launched has nothing in it that somebody could want to look at, and is
    not kept for a while; the results of a scan are, after its task has settled."""
    if row.status is not ScanStatus.EMPTY and row.status not in ENDED:
        return False
    task = await context.store.get(task_id)
    if task is None:
        # Purged, or never ours: perhaps another daemon's with the same folder.
        return bool(await context.store.journal_of(task_id))
    kept = 0.0 if row.status is ScanStatus.EMPTY else context.config.retention.remote_scans
    old = max(task.entered.values()) <= context.now() - kept
    return old and _done_with(row, task, attempt)


def _done_with(row: RemoteScan, task: Task, attempt: int) -> bool:
    """Its task has settled, or has another scan by now, or none."""
    if task.state in SETTLED:
        return True
    if attempt > task.attempt or task.state is TaskState.LAUNCHING:
        return False  # not begun yet, as far as a restored backup knows; or just being made
    return row.scan_id != task.nessus_scan_id
