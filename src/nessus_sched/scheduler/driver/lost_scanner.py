"""Tasks whose scanner no longer answers."""

from __future__ import annotations

from nessus_sched.core.pool.entry import queue_entry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import OnEarlyEnd, RequestedState
from nessus_sched.scheduler.driver import endings
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection


async def without_scanner(run: ActiveTask, connection: Connection, deadline: float) -> None:
    """A lost scanner does not delay the end of a task. `deadline` is that of its maximum runtime,
    by the steady clock."""
    if not connection.lost:
        return
    ending = None
    if run.canceling:
        ending = endings.canceled("it was canceled while its scanner did not answer")
    elif run.context.now() >= deadline:
        ending = endings.timed_out("reached its maximum runtime while its scanner did not answer")
    elif connection.retiring:
        ending = endings.removed(connection.id)
    elif _gives_up(run, connection):
        ending = endings.lost(connection.id, connection.silent_for)
    if ending is not None:
        await endings.abandon(run, connection.debts, ending)


def _gives_up(run: ActiveTask, connection: Connection) -> bool:
    """Whether the scan is given up, so that another scanner can scan what remains. Never without
    one: the scan may still be going on well."""
    task, config, now = run.task, run.context.config, run.context.now()
    if not _another_answers(run, connection):
        run.replaceable_since = None
        return False
    if run.replaceable_since is None:
        run.replaceable_since = now
    if task.state is not TaskState.RUNNING or task.desired is not RequestedState.RUN:
        return False
    if endings.wanted_on_early_end(run) not in (None, OnEarlyEnd.ROLL):
        return False
    # After an outage of all scanners, this one may just be probed later than the other.
    patience = min(config.scheduling.lost_after, config.polling.probe_max)
    return (
        connection.silent_for >= config.scheduling.lost_after
        and now - run.replaceable_since >= patience
    )


def _another_answers(run: ActiveTask, connection: Connection) -> bool:
    return any(each != connection.id for each in run.context.pool.usable(queue_entry(run.task)))
