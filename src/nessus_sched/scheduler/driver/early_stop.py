"""Stops a scan early for reasons of ours: so that idle slots can scan the rest of a part (see
`scheduler.stragglers`), or because of the calendar (see `scheduler.timekeeper`)."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.core.coverage import without_left
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import RemoteScan, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import difference
from nessus_sched.core.targets.targets import TargetSet, targets_from
from nessus_sched.core.task import Ending, Outcome, RequestedState
from nessus_sched.core.text import pluralize
from nessus_sched.scheduler.driver import failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection

DIVIDED = "divided"
"""The kind of an ending by which a part is divided."""
REPEAT_STOP = 30.0
"""Seconds before a stop that has shown no effect is sent again."""
STOPS_WITHIN = 300.0
"""Seconds for a scanner to stop a part that is divided; after that the scan continues."""


def divide(run: ActiveTask, reason: str) -> None:
    """Has the part stopped, unless something else happens to it first."""
    run.early_stop = Ending(outcome=Outcome.REQUEUED, kind=DIVIDED, message=reason)
    run.wake()


def close(run: ActiveTask, reason: str) -> None:
    """Has the scan stopped because of the calendar; the rest is scanned at the next opening."""
    run.early_stop = Ending(outcome=Outcome.FAILED, kind=ErrorKind.WINDOW_CLOSED, message=reason)
    run.wake()


def was_closed(ending: Ending | None) -> bool:
    return ending is not None and ending.kind == ErrorKind.WINDOW_CLOSED


def was_divided(ending: Ending | None) -> bool:
    return ending is not None and ending.kind == DIVIDED


def under_way(run: ActiveTask) -> bool:
    ending = run.task.ending
    return run.early_stop is not None or was_divided(ending) or was_closed(ending)


async def carry_out(run: ActiveTask, connection: Connection, row: RemoteScan) -> None:
    """Decides to stop the scan, durably, and then stops it."""
    wanted = run.early_stop
    if wanted is not None and run.task.ending is None and _goes_on(run, row, wanted):
        await run.advance(
            event="stopped_by_calendar" if was_closed(wanted) else "straggler_stopped",
            cause=wanted.message,
            ending=wanted,
        )
    run.early_stop = None
    if under_way(run):
        await _stop(run, connection, row)


def _goes_on(run: ActiveTask, row: RemoteScan, wanted: Ending) -> bool:
    if was_closed(wanted):
        return row.ours and row.status in {ScanStatus.RUNNING, ScanStatus.PAUSED}
    running = run.task.state is TaskState.RUNNING and run.due is RequestedState.RUN
    return running and row.ours and row.status is ScanStatus.RUNNING and not row.changing


async def _stop(run: ActiveTask, connection: Connection, row: RemoteScan) -> None:
    now = run.context.now()
    if run.early_stop_since is None:
        run.early_stop_since = now
    given_up = was_divided(run.task.ending) and now - run.early_stop_since >= STOPS_WITHIN
    if not row.ours or given_up:
        await run.advance(
            event="straggler_kept", cause="its scan could not be stopped", ending=None
        )
    elif now - run.sent_at >= REPEAT_STOP:
        run.sent, run.sent_at = RequestedState.CANCEL, now
        await connection.scanner.stop(row.scan_id, run.marks)
        connection.look_soon()


async def settle(run: ActiveTask, ending: Ending, changes: dict[str, Any]) -> None:
    """The part ends with the hosts that it has finished; the split task takes back the others. If
    it has finished none, it is scanned again as a whole."""
    task = run.task
    remaining: tuple[str, ...] | None = changes.get("remaining")
    asked, left = targets_from(task.request.targets), targets_from(remaining or ())
    done = TargetSet(
        ranges=difference(asked.ranges, left.ranges),
        names=tuple(name for name in asked.names if name not in left.names),
    )
    if remaining is None or not done.texts:
        await failures.scan_again(run, ending.message, changes)
        return
    cause = ending.message
    if remaining:
        cause = f"{cause}; {pluralize(left.address_count, 'target')} went to other parts"
        assert task.part is not None
        summary = changes["summary"]
        covered = without_left(summary["coverage"], done)
        changes |= {
            "request": attrs.evolve(task.request, targets=done.texts),
            "part": attrs.evolve(task.part, size=done.address_count),
            "summary": {**summary, "coverage": covered},
        }
    await run.advance(TaskState.COMPLETED, event="completed", cause=cause, **changes)
