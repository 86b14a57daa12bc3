"""What can be done with tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import trio

from nessus_sched.core.calendar.deadline import deadline_of
from nessus_sched.core.ids import new_task_id, new_trace_id
from nessus_sched.core.journal import JournalEntry
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
from nessus_sched.core.task import ScanRequest, ScheduledFor, Submitter, Task
from nessus_sched.core.task_store import StoredSubmission
from nessus_sched.scheduler.admission.admit import Admitted, admit
from nessus_sched.scheduler.commands import Commands
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.deadlines import Deadlines
from nessus_sched.scheduler.errors import (
    IdempotencyMismatch,
    NotPossible,
    QueueFull,
    RequestError,
    StoreDown,
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


class Service(Commands):
    """Changes tasks; `TaskQueries` reads them. Every method may raise `RequestError`."""

    def __init__(self, context: Context, fleet: Fleet, queries: TaskQueries) -> None:
        super().__init__(context, fleet, queries)
        self.on_told: Callable[[str, float], None] = lambda _task_id, _start: None
        """Called with the estimated start (epoch seconds) given to a submitter."""
        self.deadlines = Deadlines(context, self)
        fleet.on_found = self.deadlines.note
        self.on_import: Callable[[], None] = lambda: None
        """Called when a report was imported."""
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
            kept=lambda: self.on_import(),
            mask=context.mask,
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
            deadline=self._deadline(admitted.request, schedule),
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

    async def release(self, task_id: str, *, actor: str) -> TaskView:
        """Frees the targets of a task's lost scans, which an operator says no longer run."""
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

    def _deadline(self, request: ScanRequest, schedule: ScheduledFor | None) -> float | None:
        """Of a firing that is late, by the time at which it was due."""
        until = None if schedule is None else schedule.until
        if request.deadline is None:
            return until
        late = schedule is not None and until is None
        begin = schedule.nominal if schedule is not None and late else self.context.wall()
        own = deadline_of(request.deadline, self.context.config.calendar.time_zone, begin)
        return own if until is None else min(own, until)

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
