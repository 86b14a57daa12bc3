"""One scanner's driver: takes work when a slot is free, and runs its tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.scanner import Scanner
from nessus_sched.core.states import HOLDS_SLOT, LIVE, TaskState
from nessus_sched.core.task import Task
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.driver.exporting import export
from nessus_sched.scheduler.driver.launching import launch
from nessus_sched.scheduler.driver.polling import Poller
from nessus_sched.scheduler.driver.watching import watch

STEPS = {
    TaskState.LAUNCHING: launch,
    TaskState.RUNNING: watch,
    TaskState.PAUSED: watch,
    TaskState.EXPORTING: export,
}
"""The next step of a task by its state; in any other state it needs no driver."""

LAST_REQUESTS = 60.0
"""Seconds to keep a replaced connection open for requests in flight."""
BRIEF = 0.1
IDLE = 3600.0
"""Upper bound in seconds of a wait for work; normally `ring` ends it."""

Begin = Callable[[str], Awaitable[Task | None]]
"""Reads a task that was taken from the pool, by id; None if it must not begin any more."""
Ended = Callable[[ActiveTask], None]
"""Called when a task no longer needs its driver."""


class Driver:
    """Drives one scanner.

    Invariant: `runs` holds exactly the tasks of this scanner that are launching, running,
    paused or exporting, and those of them whose state holds a slot have it borrowed from
    the pool on behalf of their task id.
    """

    def __init__(self, connection: Connection, begin: Begin, ended: Ended) -> None:
        self.connection = connection
        self.context = connection.context
        self.runs: dict[str, ActiveTask] = {}
        self.starting: set[str] = set()
        """Taken from the queue, with a slot, and not yet in `runs`."""
        self.gone = trio.Event()
        """Set once the driver has ended and another may take its place."""
        self._poller = Poller(connection, self.runs, self.ring)
        self._stored = begin
        self._ended = ended
        self._work = trio.Event()
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    @property
    def id(self) -> str:
        return self.connection.id

    async def run(
        self,
        *,
        after: float = 0.0,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Runs until canceled or retired; running scans are left running on the scanner. Starts
        after `after` seconds; tasks adopted until then wait."""
        try:
            with self._scope:
                if after:
                    await trio.sleep(after)
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    for run in self.runs.values():
                        nursery.start_soon(self._carry, run)
                    nursery.start_soon(self._poller.run, nursery)
                    nursery.start_soon(self._take_work)
                    task_status.started()
        finally:
            self._nursery = None
            with trio.CancelScope(shield=True):
                await self.connection.scanner.close()

    def reconfigure(self, settings: ScannerSettings) -> None:
        """Applies new settings; reconnects only when the way to the scanner changed."""
        self._close_later(self.connection.reconfigure(settings))
        self.connection.look_again()
        self.ring()

    def retry(self) -> None:
        """An operator asks to try the scanner now. A refused login is not repeated on the same
        connection."""
        if self.connection.trouble_kind == ErrorKind.LOGIN_REFUSED:
            self._close_later(self.connection.reconnect())
        self.connection.look_again()

    def _close_later(self, replaced: Scanner | None) -> None:
        if replaced is not None and self._nursery is not None:  # else not used yet, or closed
            self._nursery.start_soon(_close_later, replaced)

    def retire(self) -> None:
        """The scanner has left the configuration: ends once nothing runs there."""
        self.connection.retiring = True
        for run in self.runs.values():
            run.wake()
        self._leave_if_idle()

    @property
    def leaving(self) -> bool:
        """Retired and idle: it is on its way out, and `gone` will be set."""
        return self._scope.cancel_called

    def _leave_if_idle(self) -> None:
        if self.connection.retiring and not self.runs and not self.starting:
            self._scope.cancel(reason="the scanner was removed from the configuration")

    def ring(self) -> None:
        """There may be work: a task was queued, a slot was freed, or the scanner came back."""
        self._work.set()

    def adopt(self, run: ActiveTask) -> None:
        """Takes over a task that was launching, running or exporting when the daemon stopped."""
        self.runs[run.task.task_id] = run
        if self._nursery is not None:
            self._nursery.start_soon(self._carry, run)
        self.connection.look_soon()  # the last poll may have found nothing running there

    async def _take_work(self) -> None:
        assert self._nursery is not None
        pool = self.context.pool
        while True:
            self._work = trio.Event()
            while (entry := self._taken()) is not None:
                self.starting.add(entry.task_id)
                self._nursery.start_soon(self._begin, entry)
                await trio.lowlevel.checkpoint()  # thousands of targets take milliseconds
            now = self.context.now()
            deadline = None if self.connection.retiring else pool.deadline(self.id, now)
            with trio.move_on_after(IDLE if deadline is None else max(BRIEF, deadline - now)):
                await self._work.wait()

    def _taken(self) -> QueueEntry | None:
        now = self.context.now()
        if self.connection.retiring or not self._ready(now):
            return None
        return self.context.pool.take(self.id, now)

    def _ready(self, now: float) -> bool:
        """The scanner answers and, if there is work, we know how many scans others run there.
        Otherwise polls it, which rings when it has answered."""
        return self.connection.answers and (
            not self.context.pool.wanted(self.id, now) or self.connection.look_if_stale()
        )

    async def _begin(self, entry: QueueEntry) -> None:
        """Journals the intent, then runs the task; its slot is already taken. If the scanner
        knows this attempt, it was started after the backup that we were restored from."""
        async with self.context.turns.of(entry.task_id):
            task = await self._as_queued(entry.task_id)
            if task is None:
                self.starting.remove(entry.task_id)
                self.context.pool.release(entry.task_id, self.context.now())
                self._leave_if_idle()
                return
            begun = self.connection.attempts.get(task.task_id, 0)
            attempt = max(task.attempt + 1, begun)
            run = ActiveTask(self.context, task, launch_in_doubt=attempt == begun)
            run.restored = attempt == begun
            run.accepted_at = entry.accepted_at
            self.runs[task.task_id] = run
            self.starting.remove(task.task_id)
        await run.advance(
            TaskState.LAUNCHING,
            event="taken",
            attempt=attempt,
            scanner_instance=self.id,
            closed=None,
            override=False,
            detail={"scanner_instance": self.id, "attempt": attempt}
            | ({"found": True} if run.restored else {}),
        )
        await self._carry(run)

    async def _as_queued(self, task_id: str) -> Task | None:
        """The stored task, read at a time at which no other daemon can have started it."""
        while True:
            task = await self._stored(task_id)
            if self.context.lease.held:
                return task
            await self.context.lease.wait()

    async def _carry(self, run: ActiveTask) -> None:
        """Runs a task's steps until it needs no scanner."""
        task = run.task
        with structlog.contextvars.bound_contextvars(
            task_id=task.task_id, trace_id=task.trace_id, scanner_instance=self.id
        ):
            while (step := STEPS.get(run.task.state)) is not None:
                await step(run, self.connection)
                if run.task.state not in HOLDS_SLOT and self.context.pool.active(task.task_id):
                    self._release(run)
            if run.canceling and run.task.state in LIVE:
                # The command came while the task was on its way to a queue.
                await run.advance(TaskState.CANCELED, event="canceled")
        run.over = True
        self._ended(run)
        del self.runs[task.task_id]
        self._leave_if_idle()

    def _release(self, run: ActiveTask) -> None:
        finished = scan_finished(run.task)
        self.context.pool.release(run.task.task_id, self.context.now(), finished=finished)


def scan_finished(task: Task) -> bool:
    """The scan of this attempt ran to its end, so its duration is a sample for estimates."""
    return task.ending is None and task.state in {TaskState.EXPORTING, TaskState.COMPLETED}


async def _close_later(scanner: Scanner) -> None:
    """Closes a replaced connection after its requests have had time to end."""
    try:
        await trio.sleep(LAST_REQUESTS)
    finally:
        with trio.CancelScope(shield=True):
            await scanner.close()
