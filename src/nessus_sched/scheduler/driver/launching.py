"""Launches a scan exactly once per attempt.

The order of steps guarantees that: the intent is journaled before anything is created, the
scan's id before it is launched, the uuid as soon as it is known. A lost answer puts the launch
*in doubt*, and then the task looks for its marker on the scanner before it does anything else. A
scan whose launch is in doubt and which has not started is deleted and created again, so that a
launch request still in flight finds nothing.
"""

from __future__ import annotations

import trio

from nessus_sched.core.error_kinds import ErrorKind, Response
from nessus_sched.core.faults import FAULTS, kind_of
from nessus_sched.core.scanner import (
    ExportNotAllowed,
    NotFound,
    NotOurs,
    Refused,
    RemoteScan,
    ScannerError,
    ScanStatus,
)
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Ending, Outcome, RequestedState
from nessus_sched.scheduler.driver import endings, failures, refusals
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import LOST_AFTER, Connection
from nessus_sched.scheduler.driver.ownership import has_our_targets
from nessus_sched.scheduler.driver.scan_order import PlanError, build_scan_order
from nessus_sched.telemetry import events

LOST_ANSWER_WAIT = 5.0
"""Seconds before a request whose answer was lost and whose effect is not seen counts as failed."""
NAMED_TARGETS = 20
"""How many denied targets the journal lists."""
GIVEN_UP_AFTER = 3600.0
"""Seconds without an answer before a launch in doubt is given up."""
MAX_LAUNCH_FAILURES = 5
"""Failures in one attempt, on a scanner that answers, before the attempt has failed."""
MAX_DOUBTS = 20
"""Failures to find out what became of a launch, on a scanner that answers other requests, before
the attempt is given up."""


async def launch(run: ActiveTask, connection: Connection) -> None:
    """Tries once to get the scan of this attempt running. Afterwards the task is in another
    state, or still launching and to be tried again."""
    try:
        if run.launch_in_doubt and (connection.lost or run.step_failures >= MAX_DOUBTS):
            await _lost(run, connection)
            return
        if run.launch_in_doubt:
            resolve = _resolve_doubt if run.refusal is None else _confirm
            await resolve(run, connection)
            if run.launch_in_doubt or run.task.state is not TaskState.LAUNCHING:
                return
        if run.wanted is not RequestedState.RUN or run.step_failures >= MAX_LAUNCH_FAILURES:
            await _give_up(run, connection)
            return
        if (error := _no_reports(run, connection)) is not None:
            await refusals.rerouted(run, connection, error)
            return
        if not run.task.to_scan:
            message = "an earlier scan, which was given up, has finished all hosts"
            await run.advance(TaskState.COMPLETED, event="completed", cause=message, partial=None)
            return
        await _begin(run, connection)
    except PlanError as error:
        await failures.fail(run, error.kind, str(error))
    except ScannerError as error:
        await _launch_failed(run, connection, error)


def _no_reports(run: ActiveTask, connection: Connection) -> ScannerError | None:
    """Why scanning there would be useless: its certification showed that it exports no
    reports, and it has not changed since."""
    measured = run.context.measured.get(connection.id)
    if (
        run.task.nessus_scan_id is not None
        or measured is None
        or measured.export_allowed is not False
    ):
        return None
    if not measured.applies_to(connection.info):
        return None
    return ExportNotAllowed(
        f"Scanner {connection.id} allowed no export when it was certified; certify it again when "
        "its license allows that."
    )


async def _begin(run: ActiveTask, connection: Connection) -> None:
    """Creates the scan and starts it. Returns the task to its queue if the calendar has closed."""
    if _closed(run, connection) is None:
        await _create(run, connection)
    if run.wanted is not RequestedState.RUN:
        return
    closed = _closed(run, connection)
    if closed is None:
        await _start(run, connection)
    else:
        await refusals.back_to_queue(run, closed)


def _closed(run: ActiveTask, connection: Connection) -> str | None:
    """Why a scan may no longer begin, although it could when the task was taken: that may be long
    ago, if the scanner did not answer."""
    pool = run.context.pool
    active = pool.active(run.task.task_id)
    if active is None or run.task.override:
        return None
    entry, wall = active.entry, run.context.wall()
    found = pool.timetable.scan(entry.packed, entry.between, connection.id, entry.pool, wall)
    return None if found.allowed else found.text


async def _lost(run: ActiveTask, connection: Connection) -> None:
    """The scanner was lost while the launch was in doubt, or does not say what became of it. Gives
    up the attempt; what it left is cleaned up when the scanner answers."""
    if run.canceling:
        ending = endings.canceled("it was canceled while its scanner did not answer")
    elif run.step_failures >= MAX_DOUBTS:
        told = run.task.last_error
        ending = Ending(
            outcome=Outcome.FAILED,
            kind=ErrorKind.LAUNCH_IN_DOUBT,
            message="its scanner does not say whether its scan was launched"
            + (f": {told.message}" if told is not None else ""),
        )
    elif connection.retiring:
        ending = endings.removed(connection.id)
    elif connection.silent_for >= GIVEN_UP_AFTER:
        ending = Ending(
            outcome=Outcome.REQUEUED,
            kind=ErrorKind.SCANNER_UNREACHABLE,
            message="its scanner was lost while the scan was launched",
        )
    else:
        await run.wait_for_wake(within=LOST_AFTER)
        return
    await endings.abandon(run, connection.debts, ending)


async def _launch_failed(run: ActiveTask, connection: Connection, error: ScannerError) -> None:
    """A request failed; the response depends on what may have happened on the scanner."""
    response = FAULTS[error.kind].response
    if run.launch_in_doubt:
        await failures.pause_launch(run, connection, error)
    elif response is Response.REPEAT:
        # Even a 5xx may have taken effect.
        run.launch_in_doubt = True
        await failures.pause_launch(run, connection, error)
    elif response is Response.REQUEUE:
        connection.troubled(error)
        await refusals.requeue(run, error)
    elif response is Response.SUSPEND:
        await refusals.suspended(run, connection, error)
    elif response is Response.REROUTE:
        await refusals.rerouted(run, connection, error)
    else:
        await failures.fail(run, error.kind, str(error))


async def _create(run: ActiveTask, connection: Connection) -> None:
    if run.task.nessus_scan_id is not None:
        return
    order = await build_scan_order(run.task, run.context)
    created = await connection.scanner.create_scan(order)
    notes = created.asked.notes if created.asked is not None else ()
    for note in notes:
        connection.log.warning(events.SETTINGS_NOTE, task_id=run.task.task_id, note=note)
    await run.advance(
        event="scan_created",
        nessus_scan_id=created.scan_id,
        asked=created.asked,
        detail={
            "scan_id": created.scan_id,
            **({"notes": list(notes)} if notes else {}),
            **({"left_out": list(order.left_out[:NAMED_TARGETS])} if order.left_out else {}),
        },
    )


async def _start(run: ActiveTask, connection: Connection) -> None:
    assert run.task.nessus_scan_id is not None
    try:
        uuid = await connection.scanner.launch(run.task.nessus_scan_id, run.marks)
    except NotFound:
        # It may run nevertheless, if something else gave that answer.
        run.launch_in_doubt = True
        run.step_failures += 1
        if await _find(run, connection) is None:
            # Someone deleted it between our two requests: create it again.
            await run.advance(event="scan_vanished", nessus_scan_id=None, asked=None)
            run.launch_in_doubt = False
        return
    await _launched(run, connection, uuid, event="launched", at=run.context.now())


async def _launched(
    run: ActiveTask, connection: Connection, uuid: str | None, *, event: str, at: float
) -> None:
    if not run.recovered:
        connection.suspender.accepted()
    run.begin_following()
    run.launched_at, run.launch_confirmed = at, True
    await run.advance(
        TaskState.RUNNING,
        event=event,
        detail={"scan_uuid": uuid},
        scan_uuid=uuid,
        launched_at=run.context.shown(at),
    )
    connection.look_soon()


async def _resolve_doubt(run: ActiveTask, connection: Connection) -> None:
    """Finds out what became of a request whose answer was lost. The launch may remain in doubt,
    to look again."""
    found = await _find(run, connection)
    if found is None or found.status is ScanStatus.EMPTY:
        # It may still be on its way through a slow scanner, or be sent by the daemon that led
        # before us, if that one does not know yet.
        others = run.context.lease.unsettled_for(connection.settings.timeout)
        await trio.sleep(max(LOST_ANSWER_WAIT, others if run.recovered else 0.0))
        found = await _find(run, connection)
    known = run.task.nessus_scan_id
    if found is not None and found.status is not ScanStatus.EMPTY:
        await _adopt(run, connection, found)
    elif found is not None and found.scan_id == known:
        await _withdraw(run, connection, found.scan_id)
    elif found is not None:
        # Created, its answer lost; so it was never launched.
        await _remember(run, found.scan_id)
        run.launch_in_doubt = False
    elif known is None:
        run.launch_in_doubt = False
    elif known == run.withdrawing:
        await _withdrawn(run)
    else:
        await _vanished(run)


async def _confirm(run: ActiveTask, connection: Connection) -> None:
    """The scanner refused with an error after which the scan may run nevertheless."""
    await trio.sleep(LOST_ANSWER_WAIT)
    found = await _find(run, connection)
    if found is not None and found.status is not ScanStatus.EMPTY:
        await _adopt(run, connection, found)
        return
    refusal, run.refusal, run.launch_in_doubt = run.refusal, None, False
    assert refusal is not None
    if not run.canceling:
        await refusals.requeue(run, refusal)


async def _vanished(run: ActiveTask) -> None:
    """The scan is gone and may have been launched: never launch twice in one attempt."""
    run.launch_in_doubt = False
    if run.recovered:
        # Perhaps we were about to give it up when we died.
        await refusals.back_to_queue(run, "its scan is no longer on the scanner")
        return
    await failures.fail(
        run,
        ErrorKind.VANISHED_AT_LAUNCH,
        "the scan was deleted on the scanner while it was launched",
    )


async def _find(run: ActiveTask, connection: Connection) -> RemoteScan | None:
    """The present attempt's scan: the one whose id is journaled, and no other. Where none is
    (the answer to its creation was lost), the first one that was created with our marker and
    our targets; later ones are copies, or creations that arrived late. An attempt that only
    the scanner remembers may have been launched, and then that scan counts."""
    rows = [row for row in await connection.scanner.list_scans() if run.owns(row)]
    known = run.task.nessus_scan_id
    if known is not None:
        return next((row for row in rows if row.scan_id == known), None)
    rows.sort(key=lambda row: (run.restored and row.status is ScanStatus.EMPTY, row.scan_id))
    for row in rows:
        if await has_our_targets(run.task, connection, row, sealed=not run.plain):
            return row
    return None


async def _remember(run: ActiveTask, scan_id: int) -> None:
    """What it was asked to do was lost with the answer to its creation."""
    await run.advance(
        event="scan_found", nessus_scan_id=scan_id, asked=None, detail={"scan_id": scan_id}
    )


async def _adopt(run: ActiveTask, connection: Connection, found: RemoteScan) -> None:
    if run.task.nessus_scan_id != found.scan_id:
        await _remember(run, found.scan_id)
    uuid, started_at = found.uuid, None
    try:
        details = await connection.scanner.details(found.scan_id)
        uuid, started_at = details.uuid or uuid, details.started_at
    except ScannerError:
        if run.step_failures < MAX_LAUNCH_FAILURES:
            raise
        # That it is there is all we need to follow it.
    # Launched at some time since we set about it: the scanner's clock may be wrong.
    now = run.context.now()
    at = now if started_at is None else max(run.entered_at, now - connection.age(started_at))
    await _launched(run, connection, uuid, event="adopted", at=at)


async def _withdraw(run: ActiveTask, connection: Connection, scan_id: int) -> None:
    """Deletes a scan whose launch is in doubt, unless it has started."""
    run.withdrawing = scan_id
    try:
        await connection.scanner.delete(scan_id, run.marks)
    except (Refused, NotOurs) as error:
        run.step_failures += 1
        if run.step_failures >= MAX_LAUNCH_FAILURES:
            run.launch_in_doubt = False
            await failures.fail(run, ErrorKind.LAUNCH_IN_DOUBT, str(error))
        return
    await _withdrawn(run)


async def _withdrawn(run: ActiveTask) -> None:
    await run.advance(
        event="scan_withdrawn",
        cause="its launch was in doubt, and it had not started",
        nessus_scan_id=None,
        asked=None,
    )
    run.withdrawing = None
    run.launch_in_doubt = False


async def _give_up(run: ActiveTask, connection: Connection) -> None:
    """Ends an attempt that certainly has no running scan."""
    if run.canceling:
        await run.advance(
            TaskState.CANCELED, event="canceled", cause="canceled before its scan was launched"
        )
        return
    if run.wanted is RequestedState.PAUSE:
        await refusals.back_to_queue(run, "paused before its scan was launched")
        return
    error = run.task.last_error
    kind = kind_of(error.kind) if error else ErrorKind.SCANNER_TROUBLE
    message = error.message if error else "launch failed"
    if connection.suspender.extend(message, task_id=run.task.task_id):
        await refusals.back_to_queue(run, message)
        return
    await failures.fail(run, kind, message, exhausted=True)
