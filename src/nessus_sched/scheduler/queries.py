"""Read-only questions about tasks and scanners."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

import attrs

from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.parts import progress_of
from nessus_sched.core.pool.estimates import Estimate
from nessus_sched.core.pool.queues import OVERFLOW
from nessus_sched.core.pool.statistics import PoolStatistics, ScannerStatistics
from nessus_sched.core.pool.wait_reasons import WaitCode, WaitReason
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.core.task_store import TaskFilter, TaskPage, TaskReader
from nessus_sched.scheduler.context import Context, Drain
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.errors import UnknownTask
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.split.split_task import SplitTask
from nessus_sched.scheduler.views import QueueStatus, ScannerView, TaskView, dated
from nessus_sched.scheduler.waiting import WAITS

HELD = WaitReason(
    code=WaitCode.PAUSED, text="its submitter paused it; it is launched after it is resumed"
)


class StoredTasks:
    """Answers from the store alone. Every method may raise `StoreUnavailable`."""

    def __init__(self, store: TaskReader, scanner_ids: Collection[str]) -> None:
        self._store = store
        self._scanner_ids = scanner_ids

    @property
    def scanner_ids(self) -> Collection[str]:
        return self._scanner_ids

    async def task(self, task_id: str) -> TaskView:
        """Raises `UnknownTask`."""
        task = await self._store.get(task_id)
        if task is None:
            raise UnknownTask(f"no task {printable(task_id)!r}", hint="list_tasks shows them")
        return self.view(task)

    async def stored(self, task_id: str) -> Task | None:
        return await self._store.get(task_id)

    async def tasks(self, wanted: TaskFilter, *, limit: int, cursor: int | None = None) -> TaskPage:
        return await self._store.list(wanted, limit=limit, cursor=cursor)

    async def find(self, part: str, *, limit: int) -> Sequence[Task]:
        """The task with that id, or else those whose id begins or ends with `part`, newest
        first."""
        exact = await self._store.get(part)
        return [exact] if exact else await self._store.by_id_part(part, limit=limit)

    async def history(self, task_id: str) -> Sequence[JournalRecord]:
        """All that happened to a task, oldest first."""
        return await self._store.journal_of(task_id)

    async def history_of_parts(self, task_id: str) -> Sequence[JournalRecord]:
        """All that happened to the parts of a split task, oldest first."""
        return await self._store.journal_of_parts(task_id)

    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        return self._store.counts()

    def view(self, task: Task) -> TaskView:
        """The task with where it stands right now."""
        return self.views([task])[0]

    def views(self, tasks: Sequence[Task]) -> list[TaskView]:
        return [
            TaskView(
                task=task,
                standing=QueueStatus(),
                progress=task.progress,
                parts={} if task.split is None else task.split.states,
            )
            for task in tasks
        ]


class TaskQueries(StoredTasks):
    """Answers from the running daemon: from the store, the queues and the scanners' drivers."""

    def __init__(self, context: Context, fleet: Fleet) -> None:
        super().__init__(context.store, ())
        self._context = context
        self._fleet = fleet

    @property
    def scanner_ids(self) -> Collection[str]:
        return self._fleet.drivers.keys()

    def connection(self, scanner_id: str) -> Connection:
        """Of one of `scanner_ids`."""
        return self._fleet.drivers[scanner_id].connection

    async def task(self, task_id: str) -> TaskView:
        run = self._fleet.active_task(task_id)
        return self.view(run.task) if run else await super().task(task_id)

    def views(self, tasks: Sequence[Task]) -> list[TaskView]:
        """All tasks of a list share the work for the estimates, which takes the longest."""
        return self._views(tasks, estimated=True)

    def _views(
        self, tasks: Sequence[Task], *, estimated: bool, next_parts: bool = False
    ) -> list[TaskView]:
        pool, now = self._context.pool, self._context.now()
        waiting = {task.task_id: self._waiting_as(task) for task in tasks}
        reasons = pool.wait_reasons(waiting.values(), now)
        estimates = pool.estimates(reasons, now) if estimated else {}
        return [
            self._view(task, waits, reasons.get(waits), estimates.get(waits), next_parts)
            for task, waits in zip(tasks, waiting.values(), strict=True)
        ]

    def _waiting_as(self, task: Task) -> str:
        """The id under which the pool knows it: for a split task that of its next part."""
        split = self._fleet.splits.of(task.task_id)
        return next(iter(split.waiting), task.task_id) if split else task.task_id

    def _view(
        self,
        task: Task,
        waits: str,
        reason: WaitReason | None,
        estimate: Estimate | None,
        next_parts: bool,
    ) -> TaskView:
        if task.split is not None:
            return self._split_view(task, waits, reason, estimate, next_parts)
        run = self._fleet.active_task(task.task_id)
        if run is not None:
            standing = QueueStatus(wait_reason=self._no_contact(run) or _closed(run.task))
            return TaskView(task=run.task, standing=standing, progress=run.progress)
        pool = self._context.pool
        if task.state in WAITS and task.desired is RequestedState.PAUSE:
            return TaskView(task=task, standing=QueueStatus(wait_reason=HELD))
        if reason is None:
            return TaskView(task=task, standing=QueueStatus(), progress=task.progress)
        # It may have been moved since its state was written.
        queue = pool.queue_of(task.task_id)
        standing = self._standing(waits, reason, estimate)
        return TaskView(task=attrs.evolve(task, scanner_instance=queue), standing=standing)

    def _no_contact(self, run: ActiveTask) -> WaitReason | None:
        """Since when the scanner of a running scan has not answered, if it does not."""
        driver = self._fleet.drivers.get(run.task.scanner_instance or "")
        return None if driver is None else driver.connection.no_contact

    def _standing(self, waits: str, reason: WaitReason, estimate: Estimate | None) -> QueueStatus:
        pool = self._context.pool
        return QueueStatus(
            queue=pool.queue_of(waits) or OVERFLOW,
            position=pool.position(waits),
            estimate=estimate,
            wait_reason=reason,
        )

    def _split_view(
        self,
        task: Task,
        waits: str,
        reason: WaitReason | None,
        estimate: Estimate | None,
        next_parts: bool,
    ) -> TaskView:
        """A split task waits as its next part does while none runs; with `next_parts` also then."""
        standing, split = QueueStatus(), self._fleet.splits.of(task.task_id)
        runs = (
            [] if split is None else list(filter(None, map(self._fleet.active_task, split.states)))
        )
        if task.state is TaskState.QUEUED and task.desired is RequestedState.PAUSE:
            standing = QueueStatus(wait_reason=HELD)
        elif (next_parts or not runs) and reason is not None:
            standing = self._standing(waits, reason, estimate)
        elif lost := next(filter(None, map(self._no_contact, runs)), None):
            standing = QueueStatus(wait_reason=lost)
        assert task.split is not None
        if split is None:
            return TaskView(task=task, standing=standing, parts=task.split.states)
        done = [(split.sizes[each], self._progress(each, split)) for each in split.states]
        return TaskView(
            task=task,
            standing=standing,
            progress=progress_of(done, split.total) if done else None,
            parts=split.counts,
        )

    def _progress(self, part_id: str, split: SplitTask) -> int:
        """Percent of a part."""
        run = self._fleet.active_task(part_id)
        if run is not None:
            return run.progress or 0
        return 100 if split.states[part_id] in SETTLED else 0

    async def waiting(self, *, limit: int, estimated: bool = True) -> list[TaskView]:
        """The first tasks that wait in a queue, in the order of acceptance. A split task that runs
        waits as its next part does."""
        found: list[Task] = []
        async with aclosing(self._context.store.unfinished()) as tasks:
            async for task in tasks:
                if task.part is None and self._context.pool.waiting(self._waiting_as(task)):
                    found.append(task)
                    if len(found) == limit:
                        break
        return self._views(found, estimated=estimated, next_parts=True)

    def active(self) -> list[TaskView]:
        """The tasks that drivers carry, in the order of acceptance. Parts follow the split task
        that they belong to."""
        runs = [run for driver in self._fleet.drivers.values() for run in driver.runs.values()]
        found = {run.task.task_id: run.task for run in runs}
        for part in list(found.values()):
            whole = None if part.part is None else self._fleet.splits.begun(part.part.task_id)
            if whole is not None:
                found[whole.task_id] = whole

        def place(task: Task) -> tuple[int, int]:
            whole = found.get(task.part.task_id) if task.part is not None else None
            number = 0 if task.part is None else task.part.number
            return (task.order, 0) if whole is None else (whole.order, number)

        return self.views(sorted(found.values(), key=place))

    def scanners(self) -> list[ScannerView]:
        """Every scanner that is configured, or was and still runs something."""
        return [
            self._scanner(driver.connection, each)
            for each in self.statistics().scanners
            if (driver := self._fleet.drivers.get(each.scanner_id)) is not None
        ]

    def _scanner(self, connection: Connection, statistics: ScannerStatistics) -> ScannerView:
        shown, reached_at = self._context.shown, connection.reached_at
        return ScannerView(
            settings=connection.settings,
            statistics=statistics,
            info=connection.info,
            trouble=connection.trouble,
            trouble_kind=connection.trouble_kind,
            since=shown(connection.since),
            reached_at=None if reached_at is None else shown(reached_at),
            owed=len(self._fleet.debts.of(connection.id)),
            drain=self._drain(connection.id),
        )

    def _drain(self, scanner_id: str) -> Drain | None:
        found = self._context.drains.get(scanner_id)
        over = found is not None and found.end is not None and found.end <= self._context.wall()
        return None if over else found

    def statistics(self) -> PoolStatistics:
        """All moments in it are by the wall clock, as it is set now."""
        return dated(self._context.pool.statistics(self._context.now()), self._context.shown)


def _closed(task: Task) -> WaitReason | None:
    """Why the calendar pauses its running scan."""
    if task.closed is None:
        return None
    return WaitReason(code=WaitCode.WINDOW, text=task.closed)
