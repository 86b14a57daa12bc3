"""A task while it occupies a scanner or is being exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from nessus_sched.core.command import Command, ends_for_deadline
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.scanner import Marks, RemoteScan, ScannerError
from nessus_sched.core.seal import bears
from nessus_sched.core.states import LIVE, TaskState, check_transition
from nessus_sched.core.targets.remainder import remainder
from nessus_sched.core.task import Ending, RequestedState, Task, TaskError
from nessus_sched.scheduler.context import Context

Derived = Callable[[Task], Mapping[str, Any]]
"""Makes changes of a task from the task."""


class ActiveTask:
    """Holds the current `Task` of one active task; nothing else changes it.

    Invariant: `task` is what the store holds, until the run is `over`. Every change is
    durable before it is seen here; the lock keeps a command of the submitter and the
    task's own progress apart.
    """

    def __init__(self, context: Context, task: Task, *, launch_in_doubt: bool = False) -> None:
        self.context = context
        self.task = task
        self.launch_in_doubt = self.recovered = launch_in_doubt
        """A create or launch may have happened without our knowing: look before acting.
        `recovered`: because the daemon died during it."""
        self.refusal: ScannerError | None = None
        """The scanner refused with an error that leaves in doubt whether it did."""
        self.withdrawing: int | None = None
        """The scan that we are deleting, so that its absence is expected."""
        self.step_failures = 0
        """Failures in the current step; not stored, only paces and bounds retries."""
        self.plain = False
        """The attempt was started before markers had digests."""
        self.restored = False
        """The scanner knew the attempt before the journal did, which was restored."""
        self.row: RemoteScan | None = None
        """The scan's row in the latest list, None when it was not in it or none was taken."""
        self.began_at = context.now()
        """When the scan was launched, or found in this life."""
        self.entered_at = context.recorded(task.entered.get(task.state, task.created_at))
        """When the task entered its present state; this and the next are on the steady clock."""
        self.launched_at = None if task.launched_at is None else context.recorded(task.launched_at)
        self.launch_confirmed = task.launched_at is None
        """`launched_at` was measured in this life, not read from a record."""
        self.accepted_at = context.recorded(task.created_at)
        self.retry_at = context.now()
        self.progress: int | None = task.progress
        self.details_error: ScannerError | None = None
        """Why the scan's progress could not be read, until that is noted."""
        self.details_at = float("-inf")
        self.logins_fail = False
        """Nothing but failed logins on the hosts so far. See `login_alarm`."""
        self.logins_noted = False
        self.sent: RequestedState | None = None
        """The latest command sent to the scanner, to tell what others do there from what we
        asked for."""
        self.sent_at = float("-inf")
        self.pausing_since: float | None = None
        """Since when the scanner has been told to pause it."""
        self.stopping_since: float | None = None
        self.early_stop: Ending | None = None
        """Why its scan should be stopped early; None once that is decided. See `early_stop`."""
        self.early_stop_since: float | None = None
        self.replaceable_since: float | None = None
        """Since when its scanner is lost and another one that reaches its targets answers."""
        self.over = False
        """No driver carries the task any more."""
        self._lock = trio.Lock()
        self._woken = trio.Event()
        self._work: trio.CancelScope | None = None

    async def advance(
        self,
        after: TaskState | None = None,
        *,
        event: str,
        cause: str = "",
        detail: Mapping[str, Any] | None = None,
        error: TaskError | None = None,
        derived: Derived | None = None,
        **changes: Any,
    ) -> None:
        """Moves the task to `after` (None: stays where it is), durably, then in memory. `derived`
        makes further changes from the task as it is once no command is being stored any more.

        Waits out a store that cannot write: what a scanner has done must not be forgotten.
        Raises `IllegalTransition` and changes nothing when the table forbids it.
        """
        async with self._lock:
            before = self.task.state
            now = self.context.wall()
            if derived is not None:
                changes |= derived(self.task)
            if error is not None and (after is not None or not ends_for_deadline(self.task)):
                changes["last_error"] = error
            if after is not None and after is not before:
                check_transition(before, after)
                changes["state"] = after
                changes["entered"] = {**self.task.entered, after: now}
                changes |= _without_late(self.task, after, changes)
                entered_at = self.context.now()
            else:
                entered_at = self.entered_at
            task = attrs.evolve(self.task, **changes)
            entry = JournalEntry(
                at=now,
                event=event,
                task_id=task.task_id,
                before=before,
                after=task.state,
                cause=cause,
                detail=detail or {},
                actor=SYSTEM,
            )
            await self.context.record_until_stored(task, entry)
            self.task, self.entered_at = task, entered_at
            self.note_pauses()

    def note_pauses(self) -> None:
        """Tells the pool, whose estimates leave pauses out."""
        task, pool = self.task, self.context.pool
        if task.state in {TaskState.RUNNING, TaskState.PAUSED} and pool.active(task.task_id):
            since = self.entered_at if task.state is TaskState.PAUSED else None
            pool.note_pauses(task.task_id, task.paused_for, since)

    async def obey(self, command: Command, *, report_lost: bool = False) -> bool:
        """Persists a command, then wakes the task to carry it out. False if no driver has the task
        any more, and for any command after a cancel, which is final. While its report is fetched,
        the daemon cancels it only with `report_lost`: the scanner that has it does not answer.
        Raises `StoreUnavailable`, and then nothing has changed."""
        async with self._lock:
            if self.over or (self.canceling and command.desired is not RequestedState.CANCEL):
                return False
            exporting = self.task.state is TaskState.EXPORTING
            if command.error is not None and exporting and not report_lost:
                return True  # the scan has ended, and its report is about to be read
            task = attrs.evolve(self.task, **command.asked_of(self.task))
            entry = JournalEntry(
                at=self.context.wall(),
                event=command.event,
                task_id=task.task_id,
                before=task.state,
                after=task.state,
                cause=command.cause,
                actor=command.actor,
                detail={"override": True} if command.override else {},
            )
            await self.context.record(task, entry)
            self.task = task
        self.sent_at = float("-inf")
        self.wake()
        if self.canceling and self._work is not None:
            self._work.cancel(reason="the task was canceled")
        return True

    @property
    def wanted(self) -> RequestedState:
        """What the submitter or an operator asks for."""
        return self.task.desired

    @property
    def due(self) -> RequestedState:
        """What the scan should do now: windows and blackouts may pause one that should run."""
        closed = self.task.closed is not None and self.wanted is RequestedState.RUN
        return RequestedState.PAUSE if closed else self.wanted

    async def set_closed(self, closed: str | None) -> None:
        """Pauses the scan because of the calendar, or lets it run again."""
        if self.over or self.task.closed == closed:
            return
        await self.advance(
            event="closed" if closed else "opened", cause=closed or "", closed=closed
        )
        self.sent_at = float("-inf")
        self.wake()

    async def abandon(self) -> None:
        """Accepts no further command, and returns once a command that was being stored is
        stored."""
        self.over = True
        async with self._lock:
            pass

    @property
    def marks(self) -> Marks:
        """The markers that the scan of the present attempt may have."""
        return self.context.seal.marks(self.task.task_id, self.task.attempt, plain=self.plain)

    def owns(self, row: RemoteScan) -> bool:
        """Folder and marker say that it is a scan of the present attempt."""
        return row.ours and bears(row.name, self.marks)

    @property
    def canceling(self) -> bool:
        return self.task.desired is RequestedState.CANCEL

    @contextmanager
    def until_canceled(self) -> Iterator[None]:
        """Cancels the block when the submitter cancels the task."""
        with trio.CancelScope() as self._work:
            yield
        self._work = None

    def begin_following(self) -> None:
        """The scan was just launched or found: earlier observations are out of date."""
        self.launch_in_doubt = self.recovered = False
        self.refusal = None
        self.withdrawing = self.row = None
        self.step_failures = 0
        self.began_at = self.context.now()

    def observe(self, row: RemoteScan | None) -> None:
        """Takes the scan's row from a list. The list may have been made before the launch:
        then the scan is not in it, or empty, and both are looked into before they count."""
        self.row = None if row is None else attrs.evolve(row, ours=self.owns(row))
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def wait_for_wake(self, *, within: float) -> None:
        """Returns at the next `wake`, or after `within` seconds."""
        with trio.move_on_after(within):
            await self._woken.wait()
        self._woken = trio.Event()


def _without_late(task: Task, after: TaskState, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What an attempt that was not the last one changes because of hosts that an earlier scan had
    finished meanwhile."""
    if not task.finished_late:
        return {}
    if after not in {TaskState.QUEUED, TaskState.RETRY_WAIT}:
        return {"finished_late": ()} if after not in LIVE else {}
    left = attrs.evolve(task, **changes).to_scan
    return {"remaining": remainder(left, task.finished_late), "finished_late": ()}
