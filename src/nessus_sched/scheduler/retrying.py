"""Retries of dead letters and partial tasks by an operator."""

from __future__ import annotations

from contextlib import suppress

import attrs

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StaleTransition, StoreUnavailable
from nessus_sched.core.store_errors import UnknownTask as StoredNoMore
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import failures
from nessus_sched.scheduler.errors import NotPossible, StoreDown, UnknownTask
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.views import TaskView

RETRIED = frozenset({TaskState.DEAD, TaskState.PARTIAL})


class Retries:
    """Puts tasks back into the queue, with a fresh set of attempts."""

    def __init__(self, context: Context, fleet: Fleet, queries: TaskQueries) -> None:
        self._context = context
        self._fleet = fleet
        self._queries = queries

    async def retry(self, task_id: str, *, actor: str) -> TaskView:
        """Retries a task, or the parts of a split one that are dead or partial. Raises
        `RequestError`."""
        async with self._context.turns.of(task_id):
            task = (await self._queries.task(task_id)).task
            if task.split is not None:
                return await self._retry_split(task, actor=actor)
            if task.part is None:
                return self._queries.view(await self._requeue(_retried(task), actor))
        async with self._context.turns.of(task.part.task_id):
            if self._fleet.splits.of(task.part.task_id) is not None:
                return await self._retry_part(task_id, actor)
            whole = (await self._queries.task(task.part.task_id)).task
            await self._retry_split(whole, actor=actor, only=_retried(task).task_id)
        return await self._queries.task(task_id)

    async def _retry_part(self, task_id: str, actor: str) -> TaskView:
        """Retries a part of a task that has not settled. Raises `NotPossible` if that is about
        to: then the part would be left over."""
        async with self._context.turns.of(task_id):
            task = (await self._queries.task(task_id)).task
            assert task.part is not None
            split = self._fleet.splits.of(task.part.task_id)
            if split is None:
                raise NotPossible(f"task {task.part.task_id} has just ended; try again")
            async with split.lock:
                if split.ending:
                    raise NotPossible(
                        f"the results of task {split.task_id} are being put together; retry the "
                        "part when it has ended"
                    )
                if split.desired is RequestedState.CANCEL:
                    raise NotPossible(f"task {split.task_id} is being canceled")
                dead = _retried(task)
                if split.desired is RequestedState.PAUSE:
                    dead = attrs.evolve(dead, desired=RequestedState.PAUSE)
                return self._queries.view(await self._requeue(dead, actor))

    async def _requeue(self, task: Task, actor: str) -> Task:
        context, now = self._context, self._context.wall()
        paused = task.desired is RequestedState.PAUSE
        after = attrs.evolve(
            failures.requeued(task, now=now),
            failures=0,
            refused_by=(),
            desired=RequestedState.PAUSE if paused else RequestedState.RUN,
            last_error=None,
            deadline=task.deadline_after(now),
        )
        entry = JournalEntry(
            at=now,
            event="retried_by_operator",
            actor=actor,
            task_id=task.task_id,
            before=task.state,
            after=after.state,
        )
        try:
            with context.backlog.reserved(after):
                await context.record(after, entry)
        except (StaleTransition, StoredNoMore) as error:
            raise NotPossible(f"task {task.task_id} is no longer a dead letter") from error
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        self._fleet.enqueue(after)
        return after

    async def _retry_split(self, task: Task, *, actor: str, only: str | None = None) -> TaskView:
        """Retries the parts of a settled task that are dead or partial, or `only` that part."""
        dead: list[str] = []
        if task.state in SETTLED and task.state is not TaskState.CANCELED:
            try:
                with self._context.backlog.reserved(task):
                    dead = await self._fleet.splits.revive(task, actor=actor)
            except StoreUnavailable as error:
                raise StoreDown(f"nothing was changed: {error}") from error
        if not dead:
            raise NotPossible(f"task {task.task_id} is {task.state} and has no dead parts")
        for part in [only] if only in dead else dead:
            with suppress(NotPossible, UnknownTask):
                await self._retry_part(part, actor)
        return await self._queries.task(task.task_id)


def _retried(task: Task) -> Task:
    """The task, if it can be retried. Raises `NotPossible`."""
    if task.state not in RETRIED:
        raise NotPossible(f"task {task.task_id} is {task.state}, not a dead letter")
    return task
