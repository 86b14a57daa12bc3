"""All drivers: starting, replacing and retiring them, and recovery at start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from functools import partial

import trio

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.pool.entry import QueueEntry, queue_entry, targets_of
from nessus_sched.core.states import HOLDS_SLOT, SETTLED, TaskState
from nessus_sched.core.store_errors import StaleTransition
from nessus_sched.core.targets.packed import PackedTargets
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import endings, failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connect, Connection
from nessus_sched.scheduler.driver.debts import Debts
from nessus_sched.scheduler.driver.driver import Driver, scan_finished
from nessus_sched.scheduler.driver.supervision import DriverFailed, supervise
from nessus_sched.scheduler.driver.traces import traces
from nessus_sched.scheduler.pool_config import configure_pool
from nessus_sched.scheduler.retry_timer import RetryTimer
from nessus_sched.scheduler.split.splits import Splits
from nessus_sched.scheduler.stragglers import Stragglers
from nessus_sched.scheduler.timekeeper import Timekeeper

MAX_EXPORT_RESUMES = 8
"""How often an export is retried after a restart."""
MAX_RECALLED_DURATION = 30 * 86400.0
"""Seconds: a longer scan is a wall clock that was set while it ran."""
BEGIN_EXPORT = frozenset({"scan_finished", "scan_ended_early"})
DURATIONS_RECALLED = 500
"""How many of the latest completed tasks are loaded at start."""
MOST_RECALLED = 100_000
"""Targets in these after which no more are loaded."""
PAGE = 20
"""How many of these are in memory at a time: each may have thousands of targets."""
BATCH = 500
"""Tasks that are put into their queues in one step; fewer if they have many targets."""


class Fleet:
    """Invariant: a task that is not settled is in exactly one place: in a queue of the
    pool, starting or running in one driver, waiting in `retries`, or in `held`."""

    def __init__(self, context: Context, connect: Connect) -> None:
        self.context = context
        self.drivers: dict[str, Driver] = {}
        self.retries = RetryTimer(context.now, self._retry)
        self.recovered = False
        """Every unfinished task of the store is where it belongs."""
        self.on_found: Callable[[Task], None] = lambda _task: None
        """Called with every unfinished task that is read at start."""
        self.held: set[str] = set()
        """Tasks that were paused before they ran: in no queue until they are resumed."""
        self.failures: Counter[str] = Counter()
        """How often the driver of each scanner failed because of a bug."""
        self.debts = Debts(context, self.active_task)
        self.splits = Splits(context)
        self.timekeeper = Timekeeper(context, self._active)
        self.stragglers = Stragglers(context, self.splits, self.active_task)
        self._connect = connect
        self._accepted: dict[str, float] = {}
        """When tasks were accepted that have left their queue and may come back, by the steady
        clock; for others the record has to do."""
        self._nursery: trio.Nursery | None = None
        self._started = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Recovers unfinished tasks, then drives all scanners until canceled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for settings in self.context.config.scanners:
                await self._add_driver(settings)
            self.timekeeper.start()
            await self.debts.restore()
            await self.recover()
            self.recovered = True
            self._started.set()
            nursery.start_soon(self.retries.run)
            nursery.start_soon(self.debts.run)
            nursery.start_soon(self.splits.run)
            nursery.start_soon(self.timekeeper.run)
            nursery.start_soon(self.stragglers.run)
            task_status.started()

    async def apply(self, config: Config) -> None:
        """Applies a new configuration to what is running: scanners added, changed and
        removed, limits raised and lowered, no scan dropped. Waits until everything runs."""
        if not self._started.is_set():
            await self._started.wait()
        self.context.config = config
        self.context.backlog.configure(config.limits)
        await configure_pool(self.context)
        kept = {settings.id for settings in config.scanners}
        for scanner_id, driver in self.drivers.items():
            if scanner_id not in kept:
                driver.retire()
        for settings in config.scanners:
            present = self.drivers.get(settings.id)
            if present is not None and not present.leaving:
                present.reconfigure(settings)
                continue
            if present is not None:
                await present.gone.wait()
            await self._add_driver(settings)
        self.timekeeper.reconfigure()

    def _active(self) -> Iterator[ActiveTask]:
        """The tasks that drivers carry."""
        return (run for driver in self.drivers.values() for run in driver.runs.values())

    async def _add_driver(self, settings: ScannerSettings) -> None:
        assert self._nursery is not None
        driver = self._driver(settings)
        self.drivers[settings.id] = driver
        await self._nursery.start(self._drive, driver)

    def _driver(self, settings: ScannerSettings) -> Driver:
        connection = Connection(self.context, settings, self._connect, self.debts)
        return Driver(connection, self.splits.begin, self._ended)

    async def _drive(
        self, driver: Driver, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            await supervise(driver, self._replace, self.context.random, task_status=task_status)
        finally:
            self.drivers.pop(driver.id).gone.set()

    async def _replace(self, failed: Driver, error: DriverFailed) -> Driver:
        """Another driver in place of one that failed. It resumes the tasks as after a crash;
        nothing else of the old one is kept, because its state cannot be trusted."""
        self.failures[failed.id] += 1
        runs, tasks = list(failed.runs.values()), {*failed.runs, *failed.starting}
        driver = self._driver(failed.connection.settings)
        driver.starting |= tasks
        self.drivers[driver.id] = driver
        driver.connection.troubled(error)
        for run in runs:
            await run.abandon()
        for task_id in sorted(tasks):
            await self._hand_over(task_id)
            driver.starting.discard(task_id)
        if failed.connection.retiring:
            driver.retire()
        return driver

    async def _hand_over(self, task_id: str) -> None:
        pool = self.context.pool
        async with self.context.turns.of(task_id):
            task = await self.splits.begin(task_id)
            if task is None:
                pool.release(task_id, self.context.now())
                return
            self.debts.take_up(task)
            if task.state not in HOLDS_SLOT and pool.active(task_id) is not None:
                finished = scan_finished(task)
                pool.release(task_id, self.context.now(), finished=finished)
            if not pool.waiting(task_id):
                await self._resume(task, self.enqueue)

    async def recover(self) -> None:
        """Every unfinished task resumes where the journal says it was."""
        queued: list[QueueEntry] = []
        latest = float("-inf")
        # The targets of a full queue take seconds to read, so that is left to the thread.
        store, parsed = self.context.store, lambda task: (task, targets_of(task))
        async with aclosing(store.unfinished_as(parsed)) as unfinished:
            async for task, targets in unfinished:
                self.context.backlog.add(task)
                self.on_found(task)
                if task.split is not None:
                    queued += await self.splits.restore(task)
                    continue
                # They are read in the order of acceptance, which a clock that was set back may
                # contradict.
                latest = max(latest, self.context.recorded(task.created_at))
                self._accepted[task.task_id] = latest
                enqueue = partial(self._queue, queued, targets)
                await self._resume(task, enqueue)
        for batch in _batches(queued):
            self.context.pool.restore(batch, self.context.now(), more=True)
            await trio.lowlevel.checkpoint()
        self.context.pool.restore([], self.context.now())
        await self._recall_durations()

    def _queue(self, queued: list[QueueEntry], targets: PackedTargets, task: Task) -> None:
        queued.append(self._entry(task, targets))

    async def _resume(self, task: Task, enqueue: Callable[[Task], None]) -> None:
        waits = task.state in {TaskState.QUEUED, TaskState.RETRY_WAIT}
        if task.state in SETTLED:
            return
        if waits and task.desired is RequestedState.CANCEL:
            self.forget_place(task.task_id)
            await ActiveTask(self.context, task).advance(TaskState.CANCELED, event="canceled")
        elif waits and task.desired is RequestedState.PAUSE:
            self.held.add(task.task_id)
        elif task.state is TaskState.QUEUED:
            enqueue(task)
        elif task.state is TaskState.RETRY_WAIT:
            self.retries.add(task.task_id, self._retry_at(task))
        else:
            await self._readopt(task, enqueue)

    async def _recall_durations(self) -> None:
        """How long scans took before, so that estimates survive a restart."""
        completed = TaskFilter(states=frozenset({TaskState.COMPLETED}))
        found: list[tuple[QueueEntry, str, float]] = []
        targets, cursor = 0, None
        for _ in range(DURATIONS_RECALLED // PAGE):
            page = await self.context.store.list(completed, limit=PAGE, cursor=cursor)
            for task in page.tasks:
                took = _took(task)
                if task.remaining is not None:
                    continue  # the last of its scans had only some of the targets
                if took is not None and task.scanner_instance is not None:
                    found.append((queue_entry(task), task.scanner_instance, took))
                    targets += len(task.request.targets)
                    await trio.lowlevel.checkpoint()
            cursor = page.cursor
            if cursor is None or targets > MOST_RECALLED:
                break
        for entry, scanner_id, seconds in reversed(found):
            self.context.pool.durations.record(entry, scanner_id, seconds)

    def enqueue(self, task: Task) -> None:
        """Puts a queued task, already stored, where it belongs."""
        if task.desired is RequestedState.PAUSE:
            self.held.add(task.task_id)
        else:
            self.context.pool.place(self._entry(task), self.context.now())

    def keep_place(self, entry: QueueEntry) -> None:
        """A task left its queue and may come back to its place."""
        self._accepted[entry.task_id] = entry.accepted_at

    def forget_place(self, task_id: str) -> None:
        """A task that left its queue does not come back."""
        self._accepted.pop(task_id, None)

    def _entry(self, task: Task, targets: PackedTargets | None = None) -> QueueEntry:
        accepted_at = self._accepted.pop(task.task_id, None)
        if accepted_at is None:
            accepted_at = self.context.recorded(task.created_at)
        return queue_entry(task, accepted_at=accepted_at, targets=targets)

    def _retry_at(self, task: Task) -> float:
        """By the steady clock; never later than any wait can be, however the wall clock was
        set since it was recorded."""
        now, longest = self.context.now(), self.context.config.scheduling.backoff_max
        return min(now + longest, self.context.by_steady_clock(task.retry_at or 0.0))

    def ring(self, scanner_id: str) -> None:
        """The pool's `on_wake`: this scanner's driver may have work now."""
        driver = self.drivers.get(scanner_id)
        if driver is not None:
            driver.ring()

    def active_task(self, task_id: str) -> ActiveTask | None:
        """The run of a task that a driver carries."""
        for driver in self.drivers.values():
            run = driver.runs.get(task_id)
            if run is not None:
                return run
        return None

    def _ended(self, run: ActiveTask) -> None:
        self._put_back(run, self.enqueue)

    def _put_back(self, run: ActiveTask, enqueue: Callable[[Task], None]) -> None:
        """To where its task waits now, if it does."""
        task = run.task
        if task.state in {TaskState.QUEUED, TaskState.RETRY_WAIT}:
            self._accepted[task.task_id] = run.accepted_at
        if task.state is TaskState.QUEUED:
            enqueue(task)
        elif task.state is TaskState.RETRY_WAIT:
            self.retries.add(task.task_id, run.retry_at)

    async def _retry(self, task_id: str) -> None:
        async with self.context.turns.of(task_id):
            await self._requeue(task_id)

    async def _requeue(self, task_id: str) -> None:
        task = await self.context.retry_store(lambda: self.context.store.get(task_id))
        if task is None or task.state is not TaskState.RETRY_WAIT:
            self.forget_place(task_id)
            return
        if task.desired is RequestedState.PAUSE:
            self.held.add(task_id)
            return
        now = self.context.wall()
        after = failures.requeued(task, now=now)
        entry = JournalEntry(
            at=now,
            event="retry_due",
            task_id=task_id,
            before=task.state,
            after=after.state,
        )
        try:
            await self.context.record_until_stored(after, entry)
        except StaleTransition:
            return  # canceled in this very moment
        self.enqueue(after)

    async def _readopt(self, task: Task, enqueue: Callable[[Task], None]) -> None:
        """A task that was on a scanner: takes its slot again, even above the limit."""
        assert task.scanner_instance is not None
        run = ActiveTask(self.context, task, launch_in_doubt=task.state is TaskState.LAUNCHING)
        run.accepted_at = self._accepted.pop(task.task_id, run.accepted_at)
        run.plain = await self._begun_plain(task)
        driver = self.drivers.get(task.scanner_instance)
        if driver is None:
            await endings.abandon(run, self.debts, endings.removed(task.scanner_instance))
            self._put_back(run, enqueue)
            return
        if task.state is TaskState.LAUNCHING and task.nessus_scan_id is None:
            await run.advance(event="launch_resumed")
        if task.state is TaskState.EXPORTING and not await self._resume_export(run):
            self._put_back(run, enqueue)
            return
        await trio.lowlevel.checkpoint_if_cancelled()  # a stop may have ended the driver by now
        if task.state in HOLDS_SLOT and self.context.pool.active(task.task_id) is None:
            since = self.context.recorded(task.entered[TaskState.LAUNCHING])
            entry = queue_entry(task, accepted_at=run.accepted_at)
            self.context.pool.adopt(driver.id, entry, since)
            run.note_pauses()
        driver.adopt(run)

    async def _begun_plain(self, task: Task) -> bool:
        """Its attempt was started by a release whose markers had no digest."""
        if not self.context.seal.plain_until:
            return False
        trace = traces(await self.context.store.journal_of(task.task_id)).get(task.attempt)
        return trace is not None and trace.begun <= self.context.seal.plain_until

    async def _resume_export(self, run: ActiveTask) -> bool:
        """False if the daemon crashed too often while reading this report: one bad report must
        not keep it from starting."""
        ends = 0
        for record in await self.context.store.journal_of(run.task.task_id):
            event = record.entry.event
            ends = 0 if event in BEGIN_EXPORT else ends + (event == "export_resumed")
        if ends >= MAX_EXPORT_RESUMES:
            message = f"the daemon has ended {ends + 1} times while it fetched or read the report"
            if run.task.ending is not None:
                await endings.settle(run, run.task.ending)
            else:
                await failures.fail(run, ErrorKind.REPORT_UNREADABLE, message)
            return False
        await run.advance(event="export_resumed")
        return True


def _took(task: Task) -> float | None:
    """Seconds from launch to the end of a completed task's scan, without those that it was paused;
    None when that is not known."""
    began, ended = task.entered.get(TaskState.LAUNCHING), task.entered.get(TaskState.EXPORTING)
    if began is None or ended is None or not 0 < ended - began <= MAX_RECALLED_DURATION:
        return None
    return max(ended - began - task.paused_for, 0.0)


def _batches(entries: Iterable[QueueEntry]) -> Iterator[list[QueueEntry]]:
    """Each of a few milliseconds' work for the pool, which compares targets with networks."""
    batch: list[QueueEntry] = []
    work = 0
    for entry in entries:
        batch.append(entry)
        work += 1 + entry.packed.size // 8
        if work >= BATCH:
            yield batch
            batch, work = [], 0
    yield batch
