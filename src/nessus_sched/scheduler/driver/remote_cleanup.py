"""Deletes our scans from the scanners when they are no longer needed.

Only those are deleted that we know we created: the marker is valid, and the journal has the
scan's id or a doubt about the creation of just such a scan. None of them runs or is one that its
task may still come back to; one that runs although its task was purged is stopped first.
Everything else, such as a copy that a person made of one of our scans, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from nessus_sched.core.scanner import (
    ENDED,
    MAY_RUN,
    NotFound,
    NotOurs,
    Refused,
    RemoteScan,
    ScannerError,
    ScanStatus,
)
from nessus_sched.core.seal import Mark
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.driver.debts import is_owed
from nessus_sched.scheduler.driver.ownership import has_our_targets
from nessus_sched.scheduler.driver.traces import traces
from nessus_sched.telemetry import events

GOES = ENDED | {ScanStatus.EMPTY}
AT_ONCE = 100
"""Scans deleted on one scanner in one go."""


async def delete_unneeded_scans(
    connection: Connection, rows: Sequence[RemoteScan], *, dry_run: bool = False
) -> int:
    """Deletes those of the listed scans that are no longer needed, as far as the scanner and the
    store let us; returns how many, or with `dry_run` how many it would delete."""
    done = 0
    for row in rows:
        mark = connection.context.seal.read(row.name) if row.ours else None
        if done == AT_ONCE:
            break
        if mark is None:
            continue
        try:
            task = await connection.context.store.get(mark.task_id)
            if not _unneeded(row, task, mark, connection.context):
                continue
            if not await _created_by_us(row, task, mark, connection):
                if mark.sealed:
                    _report(connection, row, task)
                continue
            done += dry_run or await _remove(connection, row, task, mark)
        except (ScannerError, StoreUnavailable) as error:
            connection.log.info(events.HOUSEKEEPING_INTERRUPTED, reason=str(error))
            break
    return done


async def _created_by_us(
    row: RemoteScan, task: Task | None, mark: Mark, connection: Connection
) -> bool:
    store, seal = connection.context.store, connection.context.seal
    trace = traces(await store.journal_of(mark.task_id)).get(mark.attempt)
    if trace is None or trace.scanner_instance != connection.id:
        return False
    if not mark.sealed and trace.begun > seal.plain_until:
        return False
    if row.scan_id in trace.scans:
        return True
    if not trace.doubted or task is None or row.status is not ScanStatus.EMPTY:
        return False
    try:
        return await has_our_targets(task, connection, row, sealed=mark.sealed)
    except NotFound:
        return False


def _report(connection: Connection, row: RemoteScan, task: Task | None) -> None:
    """Once for each scan."""
    if row.scan_id in connection.left_alone:
        return
    connection.left_alone.add(row.scan_id)
    connection.log.info(
        events.SCAN_LEFT_BEHIND,
        reason="we have no record of creating it; perhaps someone copied one of our scans",
        **_told(row, task),
    )


def _told(row: RemoteScan, task: Task | None) -> dict[str, object]:
    told: dict[str, object] = {"scan_id": row.scan_id}
    if task is not None:  # or it has been purged
        told |= {"task_id": task.task_id, "trace_id": task.trace_id}
    return told


async def _remove(connection: Connection, row: RemoteScan, task: Task | None, mark: Mark) -> bool:
    """False when the scanner refuses, which holds up no other scan, or if it has to be stopped
    first."""
    told = {"task_id": mark.task_id, **_told(row, task)}
    marks = connection.context.seal.marks(mark.task_id, mark.attempt, plain=not mark.sealed)
    try:
        if row.status in MAY_RUN:
            await connection.scanner.stop(row.scan_id, marks)
            return False
        await connection.scanner.delete(row.scan_id, marks)
    except (Refused, NotOurs) as error:
        connection.log.info(events.SCAN_LEFT_BEHIND, reason=str(error), **told)
        return False
    connection.log.info(events.SCAN_REMOVED, **told)
    return True


def _unneeded(row: RemoteScan, task: Task | None, mark: Mark, context: Context) -> bool:
    """A scan with results is kept for a while after its task has settled. One that was never
    launched holds nothing that anybody could want, and goes whatever the clocks say: its task may
    have been recorded while the wall clock was hours ahead."""
    if task is None:  # purged, perhaps before its lost scan could be stopped; or never ours
        return row.status in GOES | MAY_RUN
    if row.status not in GOES:
        return False
    if is_owed(task, mark.attempt):
        return False
    if not _done_with(row, task, mark.attempt):
        return False
    kept_until = context.expired(context.config.retention.remote_scans)
    return row.status is ScanStatus.EMPTY or max(task.entered.values()) <= kept_until


def _done_with(row: RemoteScan, task: Task, attempt: int) -> bool:
    """Its task has settled, or has another scan by now, or none."""
    if task.state in SETTLED:
        return True
    if attempt > task.attempt or task.state is TaskState.LAUNCHING:
        return False  # not begun yet, as far as a restored backup knows; or just being made
    return row.scan_id != task.nessus_scan_id
