"""Commands: what can be done with tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

import attrs
import trio

from nessus_sched.core.ids import new_task_id, new_trace_id
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.pool.entry import QueueEntry, queue_entry
from nessus_sched.core.pool.queues import OVERFLOW
from nessus_sched.core.pool.routing import Placement
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import (
    IdempotencyConflict,
    StoreUnavailable,
)
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import RequestedState, ScanRequest, ScheduledFor, Submitter, Task
from nessus_sched.core.task_store import StoredSubmission
from nessus_sched.scheduler import waiting
from nessus_sched.scheduler.admission.admit import Admitted, admit
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.errors import (
    IdempotencyMismatch,
    NotPossible,
    QueueFull,
    RequestError,
    StoreDown,
    UnknownTask,
)
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.importing import Imports
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.retrying import Retries
from nessus_sched.scheduler.split.planning import check_groups, planned, split_of
from nessus_sched.scheduler.views import QueueStatus, Submission, TaskView
from nessus_sched.scheduler.waiters import StateWaiters

IMPOSSIBLE_HINTS = {
    **dict.fromkeys(WaitCode, "see list_scanners"),
    WaitCode.UNREACHABLE: "see `networks` in list_scanners; split the targets by what they reach",
    WaitCode.LICENSE_LIMIT: "find the live hosts with submit_quick_scan, which uses up no license, "
    "and scan those, no more at once than the license allows; or name a scanner with a larger one",
}
"""Hints for requests that could never run."""
FIRING_REMEMBERED = 8 * 86400.0
"""Seconds for which the key of a firing is remembered: longer than it can be late."""
HANDOVER_POLL = 0.01
"""Seconds between looks at a task that is moving between a queue and a driver."""


class Service:
    """Changes tasks; `TaskQueries` reads them. Every method may raise `RequestError`."""

    def __init__(self, context: Context, fleet: Fleet, queries: TaskQueries) -> None:
        self.context = context
        self.fleet = fleet
        self.queries = queries
        self.on_told: Callable[[str, float], None] = lambda _task_id, _start: None
        """Called with the estimated start (epoch seconds) given to a submitter."""
        self._retries = Retries(context, fleet, queries)
        self._changes = StateWaiters()
        context.observers.append(self._changes.observe)
        self.imports = Imports(
            store=context.store,
            reports=context.exports,
            digest=context.digest,
            now=context.now,
            wall=context.wall,
            random=context.random,
            next_order=context.next_order,
            most=lambda: context.config.limits.export_size,
        )
        """Reports from elsewhere, on their way to be tasks."""

    async def submit(
        self,
        request: ScanRequest,
        *,
        actor: str,
        trace_id: str | None = None,
        idempotency_key: str | None = None,
        dry_run: bool = False,
        scopes: Sequence[Scope] = (),
        submitter: Submitter | None = None,
        schedule: ScheduledFor | None = None,
    ) -> Submission:
        """Accepts a request: checked, durable, queued. With `dry_run` it is checked, routed
        and estimated only. `scopes` are the caller's own limits on targets."""
        admitted = await admit(request, self.context, scopes)
        task = attrs.evolve(
            self._new_task(admitted, actor, trace_id, idempotency_key),
            submitter=submitter,
            schedule=schedule,
        )
        now = self.context.now()
        entry = queue_entry(task, accepted_at=now, targets=admitted.targets)
        split = split_of(admitted, entry, self.context)
        if split is not None:
            return await self._submit_split(
                attrs.evolve(task, split=split), admitted, dry_run=dry_run
            )
        reason = self.context.pool.refusal(entry)
        if reason is not None:
            raise RequestError(reason.text, code=reason.code, hint=IMPOSSIBLE_HINTS[reason.code])
        placement = self.context.pool.preview(entry, now)
        task = attrs.evolve(task, scanner_instance=placement.scanner_id)
        equal = self.context.backlog.like(task.request)
        if dry_run:
            view = self._if_queued(task, entry, placement)
            return Submission(
                view=view,
                created=False,
                dry_run=True,
                equal_task=equal,
                left_out=admitted.left_out,
            )
        # When this is canceled nothing was stored; what is stored is queued at once.
        stored, created = await self._store(task)
        if created:
            self.context.pool.place(entry, self.context.now())
        view = self.queries.view(stored)
        if created and view.standing.estimate is not None:
            self.on_told(stored.task_id, self.context.wall() + view.standing.estimate.seconds)
        return Submission(
            view=view,
            created=created,
            equal_task=equal if created else None,
            left_out=admitted.left_out,
        )

    def _if_queued(self, task: Task, entry: QueueEntry, placement: Placement) -> TaskView:
        """The task as it would stand. Raises `QueueFull`."""
        self.context.backlog.check(task)
        standing = QueueStatus(
            queue=placement.scanner_id or OVERFLOW,
            position=placement.position,
            estimate=self.context.pool.estimate_if_queued(entry, self.context.now()),
            wait_reason=placement.reason,
        )
        return TaskView(task=task, standing=standing)

    async def _submit_split(self, task: Task, admitted: Admitted, *, dry_run: bool) -> Submission:
        """`submit` for a task whose parts wait instead of it."""
        context = self.context
        check_groups(task, context)
        equal = context.backlog.like(task.request)
        plan = planned(task, context)
        if dry_run:
            context.backlog.check(task)
            view = TaskView(task=task, standing=QueueStatus())
            stored, created = task, False
        else:
            stored, created = await self._store(task)
            if created:
                self.fleet.splits.add(stored, context.now())
            view = self.queries.view(stored)
        return Submission(
            view=view,
            created=created,
            dry_run=dry_run,
            equal_task=equal if created or dry_run else None,
            left_out=admitted.left_out,
            plan=plan,
        )

    async def wait(self, task_id: str, *, within: float) -> TaskView:
        """Returns once the task has settled or changed its state, or after `within` seconds."""
        with self._changes.of(task_id) as changed:
            view = await self.queries.task(task_id)
            if view.task.state in SETTLED:
                return view
            with trio.move_on_after(within):
                await changed.wait()
        return await self.queries.task(task_id)

    async def cancel(self, task_id: str, *, actor: str, discard: bool = False) -> TaskView:
        """Removes a task from its queue, or stops its scan; partial results are kept unless
        `discard`. Canceling twice is fine."""
        while True:
            view = await self.queries.task(task_id)
            task = view.task
            if task.state is TaskState.CANCELED:
                return view
            if task.state in SETTLED:
                raise NotPossible(f"task {task_id} is {task.state} already")
            if task.split is not None:
                return await self._command_split(task_id, RequestedState.CANCEL, actor, discard)
            run = self.fleet.active_task(task_id)
            if run is not None:
                if await self._tell(run, RequestedState.CANCEL, actor, discard=discard):
                    return self.queries.view(run.task)
            elif await self._tell_waiting(task_id, RequestedState.CANCEL, actor):
                return await self.queries.task(task_id)
            await trio.sleep(HANDOVER_POLL)

    async def pause(self, task_id: str, *, actor: str) -> TaskView:
        """Pauses a running scan, which keeps its slot; a waiting task is not launched until it
        is resumed. Pausing twice is fine."""
        return await self._command(task_id, RequestedState.PAUSE, actor)

    async def resume(self, task_id: str, *, actor: str, override: bool = False) -> TaskView:
        """Resumes a paused task, or withdraws a pending pause. `override` lets its running scan
        go on, whatever windows and blackouts say."""
        if override:
            run = self.fleet.active_task(task_id)
            if run is None:
                raise NotPossible(f"task {task_id} has no scan that windows could pause")
            if await self._tell(run, RequestedState.RUN, actor, override=True):
                return self.queries.view(run.task)
        return await self._command(task_id, RequestedState.RUN, actor)

    async def resume_halted(self, *, actor: str) -> int:
        """Resumes only the tasks that a global pause paused; returns how many."""
        async with aclosing(self.context.store.unfinished()) as tasks:
            halted = [task.task_id async for task in tasks if task.halted]
        resumed = 0
        for task_id in halted:
            with suppress(NotPossible, UnknownTask):  # it has ended meanwhile
                if (await self.queries.task(task_id)).task.halted:
                    await self.resume(task_id, actor=actor)
                    resumed += 1
        return resumed

    async def release(self, task_id: str, *, actor: str) -> TaskView:
        """Frees the targets of a task's lost scans, which an operator says do not run any more."""
        try:
            released = await self.fleet.debts.release(task_id, actor=actor)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        view = await self.queries.task(task_id)
        if not released:
            raise NotPossible(f"task {task_id} has no lost scan")
        return view

    async def retry_dead(self, task_id: str, *, actor: str) -> TaskView:
        """Puts a dead letter or partial task back into the queue with a fresh set of attempts, or
        such parts of a split task. A paused one stays paused."""
        return await self._retries.retry(task_id, actor=actor)

    async def repeat_commands(self) -> None:
        """Tells the parts of split tasks what a daemon that died could not tell them any more."""
        for task_id, parts in self.fleet.splits.commanded():
            task = (await self.queries.task(task_id)).task
            with suppress(StoreDown):
                await self._tell_parts(parts, task.desired, SYSTEM, discard=task.discard)

    async def purge(self, task_ids: Sequence[str], *, actor: str) -> Sequence[str]:
        """Deletes those of the named tasks that are settled; returns their ids. Raises
        `StoreUnavailable`."""
        store, now = self.context.store, self.context.wall()
        purged = await store.purge_tasks(task_ids, at=now, actor=actor)
        return [task_id for task_id in purged if task_id in task_ids]  # and not their parts

    def _new_task(
        self, admitted: Admitted, actor: str, trace_id: str | None, idempotency_key: str | None
    ) -> Task:
        now, random = self.context.wall(), self.context.random
        known = attrs.evolve(admitted.targets, names=())
        return Task(
            task_id=new_task_id(random, now),
            trace_id=trace_id or new_trace_id(random),
            request=admitted.request,
            actor=actor,
            created_at=now,
            order=self.context.next_order(),
            resolved=known.texts if admitted.targets.names else (),
            idempotency_key=idempotency_key,
            entered={TaskState.QUEUED: now},
        )

    async def _store(self, task: Task) -> tuple[Task, bool]:
        entry = JournalEntry(
            at=task.created_at,
            event="submitted",
            actor=task.actor,
            task_id=task.task_id,
            after=task.state,
            detail={"queue": task.scanner_instance or OVERFLOW, "trace_id": task.trace_id},
        )
        ttl = self.context.config.scheduling.idempotency_ttl
        if task.schedule is not None:  # its firing is not repeated, however late it is
            ttl = max(ttl, FIRING_REMEMBERED)
        try:
            submission = await self._submit(task, entry, ttl)
        except IdempotencyConflict as error:
            raise IdempotencyMismatch(
                str(error), hint=f"get_scan_status shows task {error.task_id}"
            ) from error
        except StoreUnavailable as error:
            raise StoreDown(
                f"the request was not accepted: {error}",
                hint="try again when /health is well; use the same idempotency key",
            ) from error
        if submission.created:
            self.context.announce(task, entry)
        return submission.task, submission.created

    async def _submit(self, task: Task, entry: JournalEntry, ttl: float) -> StoredSubmission:
        """Stores a new task if there is room for it. One that is stored already, under the
        same idempotency key, needs none."""
        store = self.context.store
        try:
            with self.context.backlog.reserved(task):
                return await store.submit(task, entry, key_ttl=ttl)
        except QueueFull:
            earlier = await store.submitted_before(task, entry.at)
            if earlier is None:
                raise
            return StoredSubmission(task=earlier, created=False)

    async def _tell_waiting(self, task_id: str, desired: RequestedState, actor: str) -> bool:
        """See `waiting.command`."""
        try:
            return await waiting.command(self.fleet, task_id, desired, actor=actor)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error

    async def _command(self, task_id: str, desired: RequestedState, actor: str) -> TaskView:
        """Pauses or resumes a task, wherever it is."""
        verb = "paused" if desired is RequestedState.PAUSE else "resumed"
        while True:
            task = (await self.queries.task(task_id)).task
            if task.state in SETTLED or task.state is TaskState.EXPORTING:
                raise NotPossible(f"task {task_id} is {task.state} and cannot be {verb}")
            if task.desired is RequestedState.CANCEL:
                raise NotPossible(f"task {task_id} is being canceled and cannot be {verb}")
            if task.split is not None:
                return await self._command_split(task_id, desired, actor)
            if task.desired is desired:
                return self.queries.view(task)
            run = self.fleet.active_task(task_id)
            if run is not None:
                if await self._tell(run, desired, actor):
                    return self.queries.view(run.task)
            elif await self._tell_waiting(task_id, desired, actor):
                return await self.queries.task(task_id)
            await trio.sleep(HANDOVER_POLL)

    async def _command_split(
        self, task_id: str, desired: RequestedState, actor: str, discard: bool = False
    ) -> TaskView:
        """Commands a split task, and with it all of its parts that have not ended."""
        try:
            parts = await self.fleet.splits.command(task_id, desired, actor=actor, discard=discard)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        await self._tell_parts(parts, desired, actor, discard=discard)
        return await self.queries.task(task_id)

    async def _tell_parts(
        self, parts: Sequence[str], desired: RequestedState, actor: str, *, discard: bool
    ) -> None:
        for part in parts:
            with suppress(NotPossible, UnknownTask):  # it has ended meanwhile
                if desired is RequestedState.CANCEL:
                    await self.cancel(part, actor=actor, discard=discard)
                else:
                    await self._command(part, desired, actor)

    async def _tell(
        self,
        run: ActiveTask,
        desired: RequestedState,
        actor: str,
        *,
        discard: bool = False,
        override: bool = False,
    ) -> bool:
        """False when the task does not take it, see `ActiveTask.request_state`. Refused while
        the store is unavailable: the task itself may be waiting for it."""
        health = self.context.store.health
        if not health.ok:
            raise StoreDown(f"nothing was changed: {health.reason}")
        try:
            cause = "asked for by the submitter"
            return await run.request_state(
                desired, actor=actor, cause=cause, discard=discard, override=override
            )
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
