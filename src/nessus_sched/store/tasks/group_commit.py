"""Group commit: all changes waiting when the disk is free are committed in one transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Final, TypeVar

import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.store_errors import OutcomeUnknown, StoreClosed, StoreError, StoreUnavailable
from nessus_sched.core.task_store import StoreHealth
from nessus_sched.store.connection import CommitInDoubt
from nessus_sched.store.executor import Executor
from nessus_sched.store.tasks.committer import BatchCommitter, Request
from nessus_sched.store.tasks.statistics import WriterStatistics
from nessus_sched.store.tasks.transaction import Transaction

T = TypeVar("T")

LARGEST_BATCH: Final = 4096
PROBE_INTERVAL: Final = 5.0
"""Seconds between checks of a failed disk when there are no writes."""
_REMEMBERED: Final = 1024


class _Waiting(Request):
    """A request whose caller waits until it is done."""

    __slots__ = ("sleeper", "taken")

    def __init__(self, apply: Callable[[Transaction], object]) -> None:
        super().__init__(apply)
        self.sleeper = trio.lowlevel.current_task()
        self.taken = False


class GroupCommit:
    """Accepts changes from any number of Trio tasks; `run` commits them in batches.

    `write` returns once its change is durable. Canceling it before its batch starts withdraws
    the change; after that it runs to completion and returns. So `Cancelled` means that nothing
    was stored, and a return means that the change was.
    """

    def __init__(
        self, committer: BatchCommitter, executor: Executor, now: Now, lease: Lease
    ) -> None:
        self._committer = committer
        self._executor = executor
        self._now = now
        self._lease = lease
        self._waiting: dict[_Waiting, None] = {}  # ordered, with fast removal
        self._wake = trio.Event()
        self._closing = False
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)
        self._commits = self._requests = self._failures = self._largest = 0
        self.health = StoreHealth()
        self.next_commit = trio.Event()
        """Is set at the next commit."""

    async def write(self, apply: Callable[[Transaction], T]) -> T:
        """Raises what `apply` raised, `StoreUnavailable` or `StoreClosed`."""
        if self._closing:
            raise StoreClosed("the store is closed")
        request = _Waiting(apply)
        self._waiting[request] = None
        self._wake.set()

        def withdraw(_: object) -> trio.lowlevel.Abort:
            if request.taken:
                return trio.lowlevel.Abort.FAILED
            del self._waiting[request]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(withdraw)
        if request.error is not None:
            raise request.error
        result: T = request.result
        return result

    async def run(self) -> None:
        """Commits until `close`, then commits the rest and ends. Cancellation does not stop it,
        because callers in shielded cleanup still need it."""
        with trio.CancelScope(shield=True):
            try:
                while self._waiting or not self._closing:
                    await self._work_or_probe_due()
                    if self._waiting:
                        await self._commit(self._take(LARGEST_BATCH))
                    elif not self.health.ok:
                        await self._try(self._committer.probe)
                    elif self._lease.renew_in <= 0.0:
                        await self._try(self._committer.touch)
            finally:
                self._closing = True
                _fail(self._take(None), StoreClosed("the store failed"))

    def close(self) -> None:
        """Stops accepting changes; `run` ends when the waiting ones are done."""
        self._closing = True
        self._wake.set()

    def statistics(self) -> WriterStatistics:
        recent = sorted(self._latencies) or [0.0]
        return WriterStatistics(
            commits=self._commits,
            requests=self._requests,
            failures=self._failures,
            waiting=len(self._waiting),
            largest_batch=self._largest,
            commit_p50=recent[len(recent) // 2],
            commit_p99=recent[len(recent) * 99 // 100],
            commit_max=recent[-1],
        )

    async def _work_or_probe_due(self) -> None:
        if self._waiting or self._closing:
            return
        self._wake = trio.Event()
        soon = min(PROBE_INTERVAL, self._lease.seconds / 3)
        with trio.move_on_after(self._lease.renew_in if self.health.ok else soon):
            await self._wake.wait()

    def _take(self, at_most: int | None) -> list[_Waiting]:
        batch = list(islice(self._waiting, at_most))
        for request in batch:
            del self._waiting[request]
            request.taken = True
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        started, since = perf_counter(), self._lease.now()
        try:
            await self._executor.write(partial(self._committer.commit, batch))
        except StoreUnavailable as error:
            self._failures += 1
            self._note_trouble(error)
            _fail(batch, error)
            return
        except CommitInDoubt as error:
            self._failures += 1
            if not await self._settle(batch, error):
                return
        except BaseException:
            _fail(batch, StoreClosed("the store failed"))
            raise
        self._lease.confirm(since)
        self.health = StoreHealth()
        self._latencies.append(perf_counter() - started)
        self._commits += 1
        self._requests += len(batch)
        self._largest = max(self._largest, len(batch))
        for request in batch:
            trio.lowlevel.reschedule(request.sleeper)
        done, self.next_commit = self.next_commit, trio.Event()
        done.set()

    async def _settle(self, batch: list[_Waiting], doubt: CommitInDoubt) -> bool:
        """Finds out whether a batch was stored; its callers wait, others are refused. Wakes the
        callers unless it was."""
        self._note_trouble(StoreUnavailable(f"the connection to the task store was lost: {doubt}"))
        unknown = OutcomeUnknown(f"it is not known whether this was stored: {doubt}")
        while True:
            try:
                stored = await self._executor.write(self._committer.settle)
                break
            except StoreUnavailable as error:
                self._note_trouble(error)
                _fail(self._take(None), error)
            except BaseException:
                _fail(batch, unknown)
                raise
            if self._closing:
                _fail(batch, unknown)
                return False
            await self._work_or_probe_due()
        self.health = StoreHealth()
        if not stored:
            _fail(batch, StoreUnavailable(f"the task store cannot be written: {doubt}"))
        return stored

    async def _try(self, write: Callable[[], None]) -> None:
        since = self._lease.now()
        try:
            await self._executor.write(write)
        except StoreUnavailable as error:
            self._note_trouble(error)
        else:
            self._lease.confirm(since)
            self.health = StoreHealth()

    def _note_trouble(self, error: StoreUnavailable) -> None:
        since = self._now() if self.health.since is None else self.health.since
        self.health = StoreHealth(ok=False, reason=str(error), since=since)


def _fail(batch: list[_Waiting], error: StoreError) -> None:
    """Wakes every caller with a separate error, because raising one extends its traceback."""
    for request in batch:
        request.error = type(error)(str(error))
        trio.lowlevel.reschedule(request.sleeper)
