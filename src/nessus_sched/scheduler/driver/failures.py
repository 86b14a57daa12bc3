"""Failure handling: retries, requeues or dead-letters a task, as `core.faults` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nessus_sched.core.error_kinds import ErrorKind, Response
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import ScannerError
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task, TaskError
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import LOST_AFTER, Connection

POSTPONED = 60.0
"""Seconds until a task that could not be tried comes back."""
MAX_LINKS = 20
"""Scans after which one that ends early counts as failed, even if it finished some hosts."""
EXHAUSTED: Mapping[TaskState, Response] = {
    TaskState.LAUNCHING: Response.RETRY,
    TaskState.EXPORTING: Response.BURY,
}
"""The response after too many repetitions of a step. A scan whose report cannot be fetched is
not run again."""


def task_error(
    run: ActiveTask, kind: ErrorKind, message: str, *, transient: bool | None = None
) -> TaskError:
    """`transient`: the task continues; by default as the table says."""
    goes_on = not FAULTS[kind].final if transient is None else transient
    return TaskError(kind=kind, message=message, transient=goes_on, at=run.context.wall())


async def fail(
    run: ActiveTask, kind: ErrorKind, message: str, *, exhausted: bool = False, **changes: Any
) -> None:
    """The attempt has failed: as the table says the task is tried again or becomes a dead
    letter. `exhausted`: the step was repeated too often. `changes` go with that of the state."""
    response = EXHAUSTED[run.task.state] if exhausted else FAULTS[kind].response
    if response is Response.RETRY:
        await _fail_attempt(run, kind, message, changes)
    elif response is Response.POSTPONE:
        error = task_error(run, kind, message)
        await _try_again(run, error, POSTPONED, run.task.failures, changes)
    else:
        await _bury(run, kind, message, changes)


async def _fail_attempt(
    run: ActiveTask, kind: ErrorKind, message: str, changes: Mapping[str, Any]
) -> None:
    """Wait and try again or, with all attempts used up, become a dead letter."""
    settings = run.context.config.scheduling
    failures = run.task.failures + 1
    error = task_error(run, kind, message, transient=True)
    if failures >= settings.max_attempts:
        await run.advance(
            TaskState.DEAD, event="dead", cause=message, error=error, failures=failures, **changes
        )
        return
    delay = backoff(
        failures,
        base=settings.backoff_base,
        maximum=settings.backoff_max,
        random=run.context.random,
    )
    await _try_again(run, error, delay, failures, changes)


async def roll(run: ActiveTask, kind: ErrorKind, message: str, changes: dict[str, Any]) -> None:
    """The scan ended early, and the targets that remain are scanned next. An attempt that
    finished a host does not count as failed."""
    settings, task = run.context.config.scheduling, run.task
    after = attrs.evolve(task, **changes)
    progress = after.to_scan != task.to_scan and len(after.reports) <= MAX_LINKS
    failures = task.failures if progress else task.failures + 1
    if not progress and failures >= settings.max_attempts:
        if after.has_results:
            await end_partial(run, kind, message, changes)
        else:
            await _fail_attempt(run, kind, message, changes)
        return
    delay = backoff(
        max(1, failures),
        base=settings.backoff_base,
        maximum=settings.backoff_max,
        random=run.context.random,
    )
    error = task_error(run, kind, message, transient=True)
    await _try_again(run, error, delay, failures, changes)


async def scan_again(run: ActiveTask, message: str, changes: Mapping[str, Any]) -> None:
    """The scan was stopped for reasons of ours, and its targets are scanned again at once."""
    run.retry_at = run.context.now()
    await run.advance(
        TaskState.RETRY_WAIT,
        event="retry_scheduled",
        cause=message,
        retry_at=run.context.wall(),
        **{**NO_SCAN, **changes},
    )


async def end_partial(
    run: ActiveTask, kind: ErrorKind, message: str, changes: Mapping[str, Any]
) -> None:
    """The task ends, with results for some of its targets."""
    error = task_error(run, kind, message, transient=False)
    await run.advance(TaskState.PARTIAL, event="partial", cause=message, error=error, **changes)


async def _try_again(
    run: ActiveTask, error: TaskError, delay: float, failures: int, changes: Mapping[str, Any]
) -> None:
    run.retry_at = run.context.now() + delay
    await run.advance(
        TaskState.RETRY_WAIT,
        event="retry_scheduled",
        cause=error.message,
        error=error,
        failures=failures,
        retry_at=run.context.wall() + delay,
        detail={"delay": round(delay, 1), "failures": failures},
        **{**NO_SCAN, **changes},
    )


async def _bury(run: ActiveTask, kind: ErrorKind, message: str, changes: Mapping[str, Any]) -> None:
    """Dead-letters a task whose failure will not go away by itself."""
    await run.advance(
        TaskState.DEAD,
        event="dead",
        cause=message,
        error=task_error(run, kind, message, transient=False),
        failures=run.task.failures + 1,
        **{"ending": None, **changes},
    )


async def pause_launch(run: ActiveTask, connection: Connection, error: ScannerError) -> None:
    """The launch failed partway: records it, backs off, and stays in the same attempt with its
    slot."""
    run.step_failures += 1
    connection.troubled(error)
    await run.advance(
        event="launch_delayed",
        cause=str(error),
        error=task_error(run, error.kind, str(error), transient=error.transient),
    )
    settings = run.context.config.polling
    delay = backoff(
        run.step_failures,
        base=settings.fastest,
        maximum=settings.slowest,
        random=run.context.random,
        retry_after=error.retry_after,
    )
    await wait_until_usable(run, connection, delay)


async def wait_until_usable(run: ActiveTask, connection: Connection, delay: float) -> None:
    """Waits `delay` seconds, and then until the scanner answers or counts as lost. Returns
    immediately if the submitter's request changes."""
    wish = run.task.desired
    await run.wait_for_wake(within=delay)
    while not connection.answers and run.task.desired is wish and not connection.lost:
        await run.wait_for_wake(within=LOST_AFTER)


NO_SCAN: Mapping[str, Any] = {
    "nessus_scan_id": None,
    "scan_uuid": None,
    "history_id": None,
    "launched_at": None,
    "paused_for": 0.0,
    "progress": None,
    "asked": None,
    "ending": None,
}
"""A task waiting for its next attempt has no scan; the journal keeps the old ids."""


def requeued(task: Task, *, now: float) -> Task:
    """The task, back in the queue after its retry wait or by an operator's retry."""
    return attrs.evolve(
        task,
        state=TaskState.QUEUED,
        entered={**task.entered, TaskState.QUEUED: now},
        retry_at=None,
        scanner_instance=task.request.scanner_instance,
        **NO_SCAN,
    )
