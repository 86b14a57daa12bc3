"""How far a scan is, as its scanner says."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.scanner import ENDED, ScannerError
from nessus_sched.core.states import HOLDS_SLOT
from nessus_sched.scheduler.driver import login_alarm
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.telemetry import events

LOGGED_PROGRESS_STEP: Final = 25
"""Percent of a scan's work whose completion is worth a line in the log."""


async def refresh(run: ActiveTask, connection: Connection, scan_id: int) -> None:
    """Reads the scan's progress; never lets it go backwards (hosts appear as they come
    alive, so the scanner's own sum does)."""
    try:
        details = await connection.scanner.details(scan_id, uuid=run.task.scan_uuid)
    except ScannerError as error:
        run.context.log.debug(events.PROGRESS_UNKNOWN, reason=str(error))
        run.details_error = error
        return
    still_running = run.task.state in HOLDS_SLOT and details.status not in ENDED
    run.logins_fail = still_running and login_alarm.only_failed(details)
    if details.progress is not None and still_running:
        before, run.progress = run.progress or 0, max(run.progress or 0, min(details.progress, 99))
        _tell_progress(run, before, run.progress)
        run.context.pool.progressed(run.task.task_id, run.progress, run.context.now())


def _tell_progress(run: ActiveTask, before: int, now: int) -> None:
    """Logs quarters at info, because every step would be noise."""
    write = (
        run.context.log.info
        if now // LOGGED_PROGRESS_STEP > before // LOGGED_PROGRESS_STEP
        else run.context.log.debug
    )
    if now > before:
        write(
            events.SCAN_PROGRESS,
            percent=now,
            task_id=run.task.task_id,
            trace_id=run.task.trace_id,
            scanner_instance=run.task.scanner_instance,
        )
