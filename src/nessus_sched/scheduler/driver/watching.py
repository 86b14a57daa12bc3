"""Follows a running or paused scan: carries out commands and notices what others do to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import (
    ENDED,
    NotFound,
    NotOurs,
    Refused,
    RemoteScan,
    ScanDetails,
    ScannerError,
    ScanStatus,
)
from nessus_sched.core.seal import bears
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import other_targets, printable
from nessus_sched.core.task import Ending, Outcome, RequestedState, Task
from nessus_sched.scheduler.driver import early_stop, endings, failures, login_alarm
from nessus_sched.scheduler.driver.active_task import ActiveTask, Derived
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.driver.lost_scanner import without_scanner
from nessus_sched.telemetry import events

REPEAT_COMMAND = 30.0
"""Seconds before a pause, resume or stop that has shown no effect is sent again."""
MAX_LOOK_INTERVAL = 3600.0
"""Upper bound in seconds between two looks; the driver's polls come far sooner."""
DISOWNED_TEXT = "the scan was renamed or moved on the scanner by someone else"
RETARGETED = "the scan was changed on the scanner by someone else and has other targets"
PENDING_TEXT = "the scan was launched and waits on the scanner, which runs all that it can"
STARTS_WITHIN = 120.0
"""Seconds after its launch in which a scan may still be listed as empty."""
MAX_DETAILS_FAILURES = 20
"""Failures to read the details of a scan that ended according to the list, before we trust
the list."""
STOPS_WITHIN = 3600.0
"""Seconds for a scanner to stop a scan before we give it up."""


async def watch(run: ActiveTask, connection: Connection) -> None:
    """Waits for a change of the scan or a command, and handles it."""
    remaining = _deadline(run) - run.context.now()
    hurry = remaining <= 0 or run.canceling or connection.retiring or not connection.answers
    await run.wait_for_wake(within=REPEAT_COMMAND if hurry else min(remaining, MAX_LOOK_INTERVAL))
    if not connection.answers:
        run.early_stop = None
        await without_scanner(run, connection, _deadline(run))
        return
    if run.details_error is not None:
        await _details_failed(run, run.details_error)
    if run.logins_fail:
        await login_alarm.note(run)
    try:
        if run.row is None or run.row.status in ENDED:
            await _ended(run, connection)
        elif run.row.status is ScanStatus.EMPTY:
            await _never_started(run, connection)
        elif run.row.status is ScanStatus.PAUSED and not (run.row.ours or run.canceling):
            message = f"{DISOWNED_TEXT}, and nobody here can resume it"
            await failures.fail(run, ErrorKind.NOT_OURS, message)
        else:
            await _note_owner(run, run.row)
            await _note_pending(run, run.row)
            await _follow(run, run.row)
            await _command(run, connection, run.row)
    except ScannerError as error:
        # The next poll tries again.
        await _details_failed(run, error)
        if run.row is not None and run.row.status in ENDED:
            await _ended_without_details(run, connection, run.row)


async def _details_failed(run: ActiveTask, error: ScannerError) -> None:
    """A request about a scan failed while the scanner answers others: says so, once."""
    run.details_error = None
    run.context.log.info(events.SCAN_NOT_FOLLOWED, reason=str(error))
    last = run.task.last_error
    if last is None or last.kind != error.kind:
        await run.advance(
            event="scan_not_followed",
            cause=str(error),
            error=failures.task_error(run, error.kind, str(error), transient=True),
        )


async def _ended_without_details(run: ActiveTask, connection: Connection, row: RemoteScan) -> None:
    """The list says that it has ended, but its details are not available. The list's word is
    good enough for a cancel, and for anything when the details fail again and again."""
    run.step_failures += 1
    if run.canceling or run.step_failures >= MAX_DETAILS_FAILURES:
        await _finish(
            run,
            connection,
            ScanDetails(
                scan_id=row.scan_id,
                name=row.name,
                status=row.status,
                status_text=row.status_text,
            ),
        )


def _deadline(run: ActiveTask) -> float:
    """When the scan must have ended, by the steady clock: through restarts of ours, and
    without the time it was paused."""
    task = run.task
    if task.state is TaskState.PAUSED or run.launched_at is None:
        return math.inf
    limit = task.request.max_runtime or run.context.config.scheduling.max_runtime
    return run.launched_at + task.paused_for + limit


async def _note_owner(run: ActiveTask, row: RemoteScan) -> None:
    """Records once that the scan is no longer ours. It is still followed, because its results
    are wanted, but no longer controlled."""
    last = run.task.last_error
    if row.ours or (last is not None and last.kind == ErrorKind.NOT_OURS):
        return
    await run.advance(
        event="scan_disowned",
        cause=DISOWNED_TEXT,
        error=failures.task_error(run, ErrorKind.NOT_OURS, DISOWNED_TEXT),
    )


async def _note_pending(run: ActiveTask, row: RemoteScan) -> None:
    """Records once that the scan was launched and does not run yet."""
    last = run.task.last_error
    if row.status is ScanStatus.PENDING and (last is None or last.kind != ErrorKind.SCAN_PENDING):
        await run.advance(
            event="scan_pending",
            cause=PENDING_TEXT,
            error=failures.task_error(run, ErrorKind.SCAN_PENDING, PENDING_TEXT),
        )


async def _follow(run: ActiveTask, row: RemoteScan) -> None:
    """Adopts a pause or resume that happened on the scanner. A person who resumes a scan there
    that the calendar has paused overrides it."""
    state, due = run.task.state, run.due
    if row.status is ScanStatus.PAUSED and state is TaskState.RUNNING:
        ours = due is not RequestedState.RUN or run.sent is RequestedState.PAUSE
        _note_pause(run)
        await run.advance(
            TaskState.PAUSED,
            event="paused" if ours else "paused_on_scanner",
            cause="" if ours else "paused on the scanner by someone else",
            derived=None if ours else _wanted_there(run.wanted, RequestedState.PAUSE),
        )
    elif row.status is ScanStatus.RUNNING and state is TaskState.PAUSED and not row.stopping:
        ours = due is not RequestedState.PAUSE or run.sent is RequestedState.RUN
        await run.advance(
            TaskState.RUNNING,
            event="resumed" if ours else "resumed_on_scanner",
            cause="" if ours else "resumed on the scanner by someone else",
            derived=None if ours else _wanted_there(run.wanted, RequestedState.RUN),
            paused_for=run.task.paused_for + run.context.now() - run.entered_at,
        )


def _wanted_there(before: RequestedState, desired: RequestedState) -> Derived:
    """What someone did on the scanner counts like a command, unless one has come meanwhile."""

    def changes(task: Task) -> Mapping[str, Any]:
        if task.desired is not before:
            return {}
        if desired is RequestedState.PAUSE:
            return {"desired": desired}
        override = task.override or task.closed is not None
        return {"desired": desired, "closed": None, "override": override}

    return changes


def _note_pause(run: ActiveTask) -> None:
    """Remembers how long the scanner took to pause a scan."""
    if run.pausing_since is not None:
        took = run.context.now() - run.pausing_since
        run.context.pausing.record(run.task.scanner_instance or "", took)
    run.pausing_since = None


async def _command(run: ActiveTask, connection: Connection, row: RemoteScan) -> None:
    """Sends the scanner the command that is due, if it has not taken effect yet."""
    now = run.context.now()
    state, due = run.task.state, run.due
    if due is not RequestedState.PAUSE:
        run.pausing_since = None  # a pause that was withdrawn before it took effect
    if due is RequestedState.CANCEL or await _overdue(run, connection, row):
        await _stop(run, connection, row)
        return
    if early_stop.under_way(run):
        await early_stop.carry_out(run, connection, row)
        return
    if now - run.sent_at < REPEAT_COMMAND or not row.ours or row.changing:
        return
    if due is RequestedState.PAUSE and state is TaskState.RUNNING:
        send = connection.scanner.pause
        run.pausing_since = now if run.pausing_since is None else run.pausing_since
    elif due is RequestedState.RUN and state is TaskState.PAUSED:
        send = connection.scanner.resume
    else:
        return
    run.sent, run.sent_at = due, now
    await send(row.scan_id, run.marks)
    connection.look_soon()


async def _overdue(run: ActiveTask, connection: Connection, row: RemoteScan) -> bool:
    """Whether it has reached its maximum runtime. A start that is only known from a record is
    confirmed by the scanner first: our wall clock may have been set since it was written."""
    if run.context.now() < _deadline(run):
        return False
    if not run.launch_confirmed:
        details = await connection.scanner.details(row.scan_id, uuid=run.task.scan_uuid)
        if details.started_at is not None and run.launched_at is not None:
            ago = connection.age(details.started_at)
            run.launched_at = max(run.launched_at, run.context.now() - ago)
        run.launch_confirmed = True
    return run.context.now() >= _deadline(run)


async def _stop(run: ActiveTask, connection: Connection, row: RemoteScan) -> None:
    now = run.context.now()
    if run.stopping_since is None:
        run.stopping_since = now
    if not row.ours:
        await _give_up_scan(
            run, connection, "its scan was renamed or moved on the scanner, and is left alone"
        )
    elif now - run.stopping_since >= STOPS_WITHIN:
        await _give_up_scan(
            run, connection, "the scanner was told to stop the scan but has not done so"
        )
    elif now - run.sent_at >= REPEAT_COMMAND:
        run.sent, run.sent_at = RequestedState.CANCEL, now
        await connection.scanner.stop(row.scan_id, run.marks)
        connection.look_soon()


async def _give_up_scan(run: ActiveTask, connection: Connection, message: str) -> None:
    """Gives up a scan that should end and cannot be stopped. If it is ours it is stopped and
    read as soon as possible."""
    ending = endings.timed_out(f"reached its maximum runtime; {message}")
    if run.canceling:
        ending = Ending(outcome=Outcome.CANCELED, kind=ErrorKind.NOT_STOPPED, message=message)
    if run.row is None or run.row.ours:
        await endings.abandon(run, connection.debts, ending)
    else:
        await endings.settle(run, ending)


async def _ended(run: ActiveTask, connection: Connection) -> None:
    """The list says that it has ended, or does not have it (or none was taken since the
    launch). The details of our own run must agree: the two can differ for some seconds."""
    scan_id = run.task.nessus_scan_id
    assert scan_id is not None
    try:
        details = await connection.scanner.details(scan_id, uuid=run.task.scan_uuid)
    except NotFound:
        await _scan_deleted(run)
        return
    if other := other_targets(run.task.to_scan, details.targets):
        await _retargeted(run, details, f"{RETARGETED}: {printable(other[0])}")
    elif details.status in ENDED:
        await _finish(run, connection, details)
    elif run.row is None:
        row = RemoteScan(
            scan_id=scan_id,
            name=details.name,
            status=details.status,
            status_text=details.status_text,
            ours=bears(details.name, run.marks),
        )
        await _command(run, connection, row)


async def _retargeted(run: ActiveTask, details: ScanDetails, message: str) -> None:
    """Its targets were edited: before it ran, or afterwards, which does not harm what it has
    found. Which of them is seen in the report of our own run, if that is known to be it."""
    own = details.uuid is not None and details.uuid == run.task.scan_uuid
    if not own or run.canceling or details.status is not ScanStatus.COMPLETED:
        await failures.fail(run, ErrorKind.NOT_OURS, message)
        return
    run.step_failures = 0
    await run.advance(
        TaskState.EXPORTING,
        event="scan_finished",
        cause=message,
        history_id=details.history_id,
        ending=endings.edited(message),
    )


async def _scan_deleted(run: ActiveTask) -> None:
    if run.withdrawing is not None:  # by us, and the answer was lost
        await _not_started(run)
    elif run.canceling:
        await run.advance(TaskState.CANCELED, event="canceled", cause="its scan is gone")
    else:
        await failures.fail(
            run, ErrorKind.SCAN_VANISHED, "the scan was deleted on the scanner by someone else"
        )


async def _never_started(run: ActiveTask, connection: Connection) -> None:
    """Launched but never run: the scanner may have lost it in a crash. A scan that does start
    cannot be deleted, and is followed."""
    assert run.row is not None
    if run.context.now() - run.began_at < STARTS_WITHIN:
        return
    details = await connection.scanner.details(run.row.scan_id)
    if details.status is not ScanStatus.EMPTY:
        connection.look_soon()
        return
    run.withdrawing = run.row.scan_id
    try:
        await connection.scanner.delete(run.row.scan_id, run.marks)
    except Refused:
        run.withdrawing = None
        connection.look_soon()
        return
    except NotOurs:
        pass  # someone else uses it
    await _not_started(run)


async def _not_started(run: ActiveTask) -> None:
    if run.canceling:
        await run.advance(TaskState.CANCELED, event="canceled", cause="its scan never started")
        return
    await failures.fail(
        run,
        ErrorKind.SCAN_NOT_STARTED,
        "the scanner accepted the launch and never started the scan",
    )


async def _finish(run: ActiveTask, connection: Connection, details: ScanDetails) -> None:
    run.step_failures = 0
    if details.status is ScanStatus.COMPLETED and not run.canceling:
        await run.advance(
            TaskState.EXPORTING,
            event="scan_finished",
            history_id=details.history_id,
            progress=100,
            ending=None,
            detail={"hosts": details.hosts},
        )
        return
    await endings.end(run, _ending(run, connection, details), history_id=details.history_id)


def _ending(run: ActiveTask, connection: Connection, details: ScanDetails) -> Ending:
    """Why a scan ended early on its scanner."""
    if run.canceling:
        return endings.canceled_as(run)
    if run.task.ending is not None:
        return run.task.ending
    if details.status is ScanStatus.STOPPED and _was_overdue(run, connection, details):
        return endings.timed_out("stopped because it reached its maximum runtime")
    if details.status is ScanStatus.STOPPED:
        return Ending(
            outcome=Outcome.CANCELED,
            kind=ErrorKind.STOPPED_ON_SCANNER,
            message="the scan was stopped on the scanner by someone else",
        )
    return Ending(
        outcome=Outcome.FAILED,
        kind=ErrorKind.SCAN_ABORTED,
        message="the scanner aborted the scan (an error or a restart there)",
    )


def _was_overdue(run: ActiveTask, connection: Connection, details: ScanDetails) -> bool:
    """Stopped by us for its runtime, possibly before a restart, and not earlier by a person."""
    now = run.context.now()
    ended_at = now if details.ended_at is None else now - connection.age(details.ended_at)
    return run.stopping_since is not None or ended_at >= _deadline(run)
