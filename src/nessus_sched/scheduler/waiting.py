"""Commands for a task that no driver carries: it waits in a queue, for its next attempt, or on
hold because its submitter paused it."""

from __future__ import annotations

import attrs
import trio

from nessus_sched.core.command import Command
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StaleTransition, StoreUnavailable
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.scheduler.fleet import Fleet

WAITS = frozenset({TaskState.QUEUED, TaskState.RETRY_WAIT})


async def obey(fleet: Fleet, task_id: str, command: Command) -> bool:
    """Carries out a command on a waiting task. False while it moves to or from a
    driver: try again. Raises `StoreUnavailable`, and then nothing has changed."""
    context = fleet.context
    async with context.turns.of(task_id):
        task = await context.store.get(task_id)
        if task is None or task.state not in WAITS or fleet.active_task(task_id) is not None:
            return False
        entry = context.pool.withdraw(task_id, context.now())
        if entry is None and task.state is TaskState.QUEUED and task_id not in fleet.held:
            return False
        return await _change(fleet, task, command, entry)


async def _change(fleet: Fleet, task: Task, command: Command, entry: QueueEntry | None) -> bool:
    """Durably, then in memory; `entry` is the task's place in its queue, which it left."""
    context, now = fleet.context, fleet.context.wall()
    after = attrs.evolve(task, **command.asked_of(task))
    event = command.event
    if command.desired is RequestedState.CANCEL:
        entered = {**task.entered, TaskState.CANCELED: now}
        after = attrs.evolve(after, state=TaskState.CANCELED, entered=entered)
        event = "canceled"
    journal = JournalEntry(
        at=now,
        event=event,
        actor=command.actor,
        task_id=task.task_id,
        before=task.state,
        after=after.state,
        cause="" if command.error is None else command.cause,
    )
    with trio.CancelScope(shield=True):
        try:
            await context.record(after, journal)
        except (StaleTransition, StoreUnavailable) as error:
            if entry is not None:
                context.pool.place(entry, context.now())
            if isinstance(error, StoreUnavailable):
                raise
            return False  # it had just moved on
    if entry is not None:
        fleet.keep_place(entry)
    _rearrange(fleet, after)
    return True


def _rearrange(fleet: Fleet, task: Task) -> None:
    """Puts the task where it waits now. A task in retry_wait stays with the timer, which puts it
    on hold if it is paused when its next attempt is due."""
    was_held = task.task_id in fleet.held
    fleet.held.discard(task.task_id)
    if task.state is TaskState.QUEUED:
        fleet.enqueue(task)
    elif task.state is TaskState.RETRY_WAIT and was_held:
        fleet.retries.add(task.task_id, fleet.context.now())
    elif task.state is TaskState.CANCELED:
        fleet.forget_place(task.task_id)
