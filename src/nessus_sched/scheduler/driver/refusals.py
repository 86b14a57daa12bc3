"""A scanner that refuses a task: it is suspended, or the task goes to another scanner."""

from __future__ import annotations

import attrs

from nessus_sched.core.error_kinds import Blame
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.pool.entry import queue_entry
from nessus_sched.core.scanner import ScannerError
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import TaskError
from nessus_sched.scheduler.driver import failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection


async def suspended(run: ActiveTask, connection: Connection, error: ScannerError) -> None:
    """The scanner refuses every task: this one returns to its old place in the queue, after a
    check whether its scan has started if that is in doubt."""
    connection.look_soon()  # a poll may meet it as well, such as a wrong login
    connection.suspender.suspend(error.kind, str(error), task_id=run.task.task_id)
    if not error.in_doubt:
        await requeue(run, error)
        return
    run.refusal, run.launch_in_doubt = error, True
    await run.advance(event="launch_delayed", cause=str(error), error=_noted(run, error))


async def rerouted(run: ActiveTask, connection: Connection, error: ScannerError) -> None:
    """The scanner refuses this task: another may run it. When several tasks in a row are
    refused without a clear reason, the scanner itself is suspended."""
    task = run.task
    unclear = FAULTS[error.kind].blame is Blame.UNCLEAR
    if unclear and connection.suspender.suspend(
        error.kind, str(error), task_id=task.task_id, sure=False
    ):
        await requeue(run, error)
        return
    refused_by = (*task.refused_by, connection.id)
    left = queue_entry(attrs.evolve(task, refused_by=refused_by))
    if run.context.pool.refusal(left) is None:
        await requeue(run, error, refused_by=refused_by)
        return
    every = f" (refused by {', '.join(refused_by)})" if len(refused_by) > 1 else ""
    await failures.fail(run, error.kind, f"{error}{every}")


async def requeue(
    run: ActiveTask, error: ScannerError, *, refused_by: tuple[str, ...] | None = None
) -> None:
    """Nothing runs, and no attempt is used up."""
    noted = _noted(run, error)
    await back_to_queue(run, str(error), error=noted, refused_by=refused_by)


async def back_to_queue(
    run: ActiveTask,
    cause: str,
    *,
    error: TaskError | None = None,
    refused_by: tuple[str, ...] | None = None,
) -> None:
    """To its old place there."""
    await run.advance(
        TaskState.QUEUED,
        event="requeued",
        cause=cause,
        error=error,
        nessus_scan_id=None,
        scanner_instance=run.task.request.scanner_instance,
        refused_by=run.task.refused_by if refused_by is None else refused_by,
    )


def _noted(run: ActiveTask, error: ScannerError) -> TaskError:
    return failures.task_error(run, error.kind, str(error), transient=True)
