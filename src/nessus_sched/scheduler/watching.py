"""A running or paused scan: follow it, obey commands, notice what others do to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nessus_sched.core.scanner import (
    ENDED,
    NotFound,
    Refused,
    RemoteScan,
    ScanDetails,
    ScannerError,
    ScanStatus,
    TransientError,
)
from nessus_sched.core.states import HOLDS_SLOT, TaskState
from nessus_sched.core.task import Desired
from nessus_sched.scheduler import setbacks
from nessus_sched.scheduler.run import Run
from nessus_sched.telemetry import events

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

REPEAT_COMMAND = 30.0
"""Seconds before a pause, resume or stop that has shown no effect is sent again."""
QUARTER = 25
"""Percent of a scan's work whose completion is worth a line in the log."""
STANDSTILL = 3600.0
"""Upper bound in seconds between two looks; the driver's polls come far sooner."""


async def watch(run: Run, driver: Driver) -> None:
    """Waits for news of the scan or a command, and acts on it once."""
    remaining = _deadline(run) - run.context.now()
    await run.woken(within=min(remaining, STANDSTILL) if remaining > 0 else REPEAT_COMMAND)
    if not run.seen:
        return
    try:
        if run.row is None:
            await _missing(run, driver)
        elif run.row.status in ENDED:
            await _ended(run, driver)
        else:
            await _follow(run, run.row)
            await _command(run, driver, run.row)
    except (TransientError, Refused) as error:
        # Polling goes on, and with it the next try.
        run.context.log.info("scan_not_followed", reason=str(error))


def _deadline(run: Run) -> float:
    """When the scan must have ended, in epoch seconds: through restarts of ours, and
    without the time it was paused."""
    task = run.task
    if task.state is TaskState.PAUSED or task.launched_at is None:
        return math.inf
    limit = task.request.max_runtime or run.context.config.scheduling.max_runtime
    return task.launched_at + task.paused_for + limit


async def _follow(run: Run, row: RemoteScan) -> None:
    """Takes over a pause or resume that has happened on the scanner, whoever did it."""
    state, desired = run.task.state, run.task.desired
    if row.status is ScanStatus.PAUSED and state is TaskState.RUNNING:
        ours = desired is not Desired.RUN
        await run.advance(
            TaskState.PAUSED,
            event="paused" if ours else "paused_on_scanner",
            cause="" if ours else "paused on the scanner by somebody else",
            desired=desired if ours else Desired.PAUSE,
        )
    elif row.status is ScanStatus.RUNNING and state is TaskState.PAUSED:
        ours = desired is not Desired.PAUSE
        await run.advance(
            TaskState.RUNNING,
            event="resumed" if ours else "resumed_on_scanner",
            cause="" if ours else "resumed on the scanner by somebody else",
            desired=desired if ours else Desired.RUN,
            paused_for=run.task.paused_for + run.context.now() - run.task.entered[state],
        )


async def _command(run: Run, driver: Driver, row: RemoteScan) -> None:
    """Sends the scanner what the submitter wants and it does not do yet."""
    now = run.context.now()
    overdue = now >= _deadline(run)
    if now - run.command_at < REPEAT_COMMAND:
        return
    scan_id, state, desired = row.scan_id, run.task.state, run.task.desired
    if desired is Desired.CANCEL or overdue:
        send = driver.scanner.stop
    elif desired is Desired.PAUSE and state is TaskState.RUNNING:
        send = driver.scanner.pause
    elif desired is Desired.RUN and state is TaskState.PAUSED:
        send = driver.scanner.resume
    else:
        return
    run.command_at = now
    await send(scan_id)
    driver.look_soon()


async def _missing(run: Run, driver: Driver) -> None:
    """Not in the list: gone for good, or only a list that was taken too early?"""
    assert run.task.nessus_scan_id is not None
    try:
        details = await driver.scanner.details(run.task.nessus_scan_id, uuid=run.task.scan_uuid)
    except NotFound:
        if run.canceling:
            await run.advance(TaskState.CANCELED, event="canceled", cause="its scan is gone")
        else:
            await setbacks.bury(
                run, "scan_vanished", "the scan was deleted on the scanner by somebody else"
            )
        return
    if details.status in ENDED:
        await _conclude(run, details)


async def _ended(run: Run, driver: Driver) -> None:
    """The list says it has ended; the details of our own run must say so too, because the
    two can disagree for some seconds (NESSUS.md B)."""
    assert run.row is not None
    details = await driver.scanner.details(run.row.scan_id, uuid=run.task.scan_uuid)
    if details.status in ENDED:
        await _conclude(run, details)
    else:
        driver.look_soon()


async def _conclude(run: Run, details: ScanDetails) -> None:
    now = run.context.now()
    if details.status is ScanStatus.COMPLETED and not run.canceling:
        await run.advance(
            TaskState.EXPORTING,
            event="scan_finished",
            history_id=details.history_id,
            progress=100,
            detail={"hosts": details.hosts},
        )
    elif run.canceling:
        await run.advance(TaskState.CANCELED, event="canceled", history_id=details.history_id)
    elif details.status is ScanStatus.STOPPED and now >= _deadline(run):
        message = "stopped because it reached its maximum runtime"
        await run.advance(
            TaskState.TIMED_OUT,
            event="timed_out",
            cause=message,
            error=setbacks.task_error(run, "max_runtime", message, transient=False),
        )
    elif details.status is ScanStatus.STOPPED:
        message = "the scan was stopped on the scanner by somebody else"
        await run.advance(
            TaskState.CANCELED,
            event="stopped_on_scanner",
            cause=message,
            error=setbacks.task_error(run, "stopped_on_scanner", message, transient=False),
        )
    else:
        await setbacks.fail_attempt(
            run, "scan_aborted", "the scanner aborted the scan (an error or a restart there)"
        )


async def refresh(run: Run, driver: Driver) -> None:
    """Reads the scan's progress; never lets it go backwards (hosts appear as they come
    alive, so the scanner's own sum does)."""
    assert run.task.nessus_scan_id is not None
    try:
        details = await driver.scanner.details(run.task.nessus_scan_id, uuid=run.task.scan_uuid)
    except ScannerError as error:
        run.context.log.debug("progress_unknown", reason=str(error))
        return
    still_running = run.task.state in HOLDS_SLOT and details.status not in ENDED
    if details.progress is not None and still_running:
        before, run.progress = run.progress or 0, max(run.progress or 0, min(details.progress, 99))
        _tell_progress(run, before, run.progress)
        run.context.pool.progressed(run.task.task_id, run.progress, run.context.now())


def _tell_progress(run: Run, before: int, now: int) -> None:
    """In quarters: a line for every step would be noise."""
    write = run.context.log.info if now // QUARTER > before // QUARTER else run.context.log.debug
    if now > before:
        write(
            events.SCAN_PROGRESS,
            percent=now,
            task_id=run.task.task_id,
            trace_id=run.task.trace_id,
            scanner_instance=run.task.scanner_instance,
        )
