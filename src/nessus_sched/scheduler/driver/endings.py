"""Scans that end before their time: what they found is kept, and what they leave on a scanner
that does not answer is noted, to be cleaned up when it does."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.faults import kind_of
from nessus_sched.core.states import HOLDS_SLOT, TaskState
from nessus_sched.core.task import Ending, OnEarlyEnd, Outcome, Owed
from nessus_sched.core.text import lasting
from nessus_sched.scheduler.driver import early_stop, failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.debts import Debts

ROLLS_BY_DEFAULT = frozenset({ErrorKind.SCAN_ABORTED, ErrorKind.WINDOW_CLOSED})
ROLLS = ROLLS_BY_DEFAULT | {ErrorKind.MAX_RUNTIME, ErrorKind.STOPPED_ON_SCANNER}
"""Kinds of early ends after which the targets that remain can be scanned."""
CANCELED = "canceled"
"""The kind of an ending that the submitter asked for."""


def canceled(message: str = "it was canceled") -> Ending:
    return Ending(outcome=Outcome.CANCELED, kind=CANCELED, message=message)


def canceled_as(run: ActiveTask) -> Ending:
    """It was canceled by a person, or by the daemon for its `last_error`."""
    error = run.task.last_error
    return canceled(error.message) if error and error.kind == ErrorKind.DEADLINE else canceled()


def timed_out(message: str) -> Ending:
    return Ending(outcome=Outcome.TIMED_OUT, kind=ErrorKind.MAX_RUNTIME, message=message)


def edited(message: str) -> Ending:
    """Its targets on the scanner are no longer ours; the report has yet to show which it had."""
    return Ending(outcome=Outcome.FAILED, kind=ErrorKind.NOT_OURS, message=message)


def was_edited(ending: Ending | None) -> bool:
    return ending is not None and ending.kind == ErrorKind.NOT_OURS


def removed(scanner_id: str) -> Ending:
    return Ending(
        outcome=Outcome.FAILED,
        kind=ErrorKind.SCANNER_REMOVED,
        message=f"its scanner {scanner_id!r} is no longer configured",
    )


def lost(scanner_id: str, silent_for: float) -> Ending:
    return Ending(
        outcome=Outcome.REQUEUED,
        kind=ErrorKind.SCANNER_UNREACHABLE,
        message=f"its scanner {scanner_id!r} has not answered for {lasting(silent_for)}",
    )


async def end(run: ActiveTask, ending: Ending, *, history_id: int | None) -> None:
    """The scan has ended on its scanner: its results are fetched next, unless the submitter
    does not want them."""
    if run.task.discard or on_early_end(run, ending) is OnEarlyEnd.DISCARD:
        await settle(run, ending, history_id=history_id)
        return
    await run.advance(
        TaskState.EXPORTING,
        event="scan_ended_early",
        cause=ending.message,
        ending=ending,
        history_id=history_id,
    )


def on_early_end(run: ActiveTask, ending: Ending) -> OnEarlyEnd:
    """What is done about a scan that ended so."""
    if run.canceling:
        return OnEarlyEnd.KEEP
    if ending.kind not in ROLLS:
        return OnEarlyEnd.KEEP
    wanted = wanted_on_early_end(run)
    return wanted or (OnEarlyEnd.ROLL if ending.kind in ROLLS_BY_DEFAULT else OnEarlyEnd.KEEP)


def wanted_on_early_end(run: ActiveTask) -> OnEarlyEnd | None:
    """What the submitter wants, or else the operator."""
    return run.task.request.on_early_end or run.context.config.scheduling.on_early_end


async def settle(run: ActiveTask, ending: Ending, **changes: Any) -> None:
    """The task becomes what its ending says, or continues with the targets that remain."""
    changes = {"ending": None, **changes}
    if early_stop.was_divided(ending):
        if not run.canceling:
            await early_stop.settle(run, ending, changes)
            return
        ending = canceled_as(run)
    if ending.kind in ROLLS and not run.canceling:
        if changes.get("remaining") == ():
            await run.advance(
                TaskState.COMPLETED, event="completed", cause=ending.message, **changes
            )
            return
        if on_early_end(run, ending) is OnEarlyEnd.ROLL:
            await failures.roll(run, kind_of(ending.kind), ending.message, changes)
            return
        if attrs.evolve(run.task, **changes).has_results:
            await failures.end_partial(run, kind_of(ending.kind), ending.message, changes)
            return
    await _settle_as(run, ending, changes)


async def _settle_as(run: ActiveTask, ending: Ending, changes: dict[str, Any]) -> None:
    if ending.outcome is Outcome.FAILED:
        await failures.fail(run, kind_of(ending.kind), ending.message, **changes)
        return
    if ending.outcome is Outcome.REQUEUED:
        changes = {
            **failures.NO_SCAN,
            "scanner_instance": run.task.request.scanner_instance,
            **changes,
        }
        await run.advance(TaskState.QUEUED, event="requeued", cause=ending.message, **changes)
        return
    error = None
    if ending.kind != CANCELED:
        error = failures.task_error(run, kind_of(ending.kind), ending.message, transient=False)
    stopped = ending.kind == ErrorKind.STOPPED_ON_SCANNER
    event = ErrorKind.STOPPED_ON_SCANNER if stopped else ending.outcome
    state = TaskState(ending.outcome)
    await run.advance(state, event=event, cause=ending.message, error=error, **changes)


async def abandon(run: ActiveTask, debts: Debts, ending: Ending) -> None:
    """Ends the task without its scanner, which owes us the clean-up from now on."""
    task = run.task
    assert task.scanner_instance is not None
    owed = Owed(
        attempt=task.attempt,
        scanner_instance=task.scanner_instance,
        scan_id=task.nessus_scan_id,
        scan_uuid=task.scan_uuid,
        history_id=task.history_id,
        keep=not (
            task.discard or was_edited(ending) or on_early_end(run, ending) is OnEarlyEnd.DISCARD
        ),
        ended=task.state not in HOLDS_SLOT,
        reason=ending.message,
        since=run.context.wall(),
        plain=run.plain,
    )
    others = tuple(each for each in task.owed if each.attempt != owed.attempt)
    await settle(run, ending, owed=(*others, owed))
    debts.add(run.task, owed)
