"""The journaled task store: what was accepted, where it stands, and how it got there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.seal import Seal
from nessus_sched.core.states import TaskState, check_transition
from nessus_sched.core.task import Task
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.reader import Readers
from nessus_sched.store.sqlite import Connect, connect
from nessus_sched.store.tasks import queries, retention
from nessus_sched.store.tasks.codec import EncodedEntry, EncodedTask, encode_entry, encode_task
from nessus_sched.store.tasks.committer import Ledger
from nessus_sched.store.tasks.group_commit import GroupCommit, StoreHealth, WriterStatistics
from nessus_sched.store.tasks.journal import JournalHead, JournalRecord
from nessus_sched.store.tasks.listing import Listing, TaskFilter, TaskPage, count
from nessus_sched.store.tasks.schema import FILE_NAME, TASKS
from nessus_sched.store.tasks.submission import Key, Submission, Submit, find_earlier
from nessus_sched.store.tasks.transaction import Transaction
from nessus_sched.store.tasks.verify import Verification, VerifyReport

T = TypeVar("T")

KEY_TTL: Final = 48 * 3600.0
_PAGE: Final = 1000


@attrs.frozen(kw_only=True)
class StoreStatistics:
    """A snapshot: sizes in bytes, `counts` of stored tasks by state."""

    health: StoreHealth
    writer: WriterStatistics
    counts: dict[TaskState, int]
    database_bytes: int
    wal_bytes: int


class TaskStore:
    """Tasks and their journal in one SQLite file. What was awaited is durable.

    Changes raise `StoreUnavailable` while the disk fails, and then nothing of them is
    stored; reads go on. A canceled change is wholly out or, when its commit had begun,
    wholly in and returns. The caller holds the state directory (`hold_state_directory`).
    """

    def __init__(
        self,
        path: Path,
        ledger: Ledger,
        writer: GroupCommit,
        readers: Readers,
    ) -> None:
        self._path = path
        self._ledger = ledger
        self._writer = writer
        self._readers = readers

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        *,
        now: Now,
        executor: Executor | None = None,
        connect: Connect = connect,
    ) -> AsyncIterator[TaskStore]:
        """Opens or creates the store of a state directory, for the length of the block.

        Raises `WrongSchema` or `StoreUnavailable`. Changes still waiting at the end of
        the block are committed.
        """
        executor = executor or InThreads()
        path = directory / FILE_NAME
        ledger = Ledger(path, connect)
        readers = Readers(path, TASKS, executor)
        writer = GroupCommit(ledger, executor, now)
        try:
            await executor.write(ledger.open)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run)
                try:
                    yield cls(path, ledger, writer, readers)
                finally:
                    writer.close()
        finally:
            readers.close()
            with trio.CancelScope(shield=True):
                await executor.write(ledger.close)

    async def submit(
        self, task: Task, entry: JournalEntry, *, key_ttl: float = KEY_TTL
    ) -> Submission:
        """Stores a new task; with an idempotency key, at most once per key.

        The same key with an equal request returns the task that has it, with `created`
        False; with another request it raises `IdempotencyConflict`. Keys live for
        `key_ttl` seconds from `entry.at`. Raises `DuplicateTask` for a taken id or order.
        """
        return await self._writer.write(Submit.of(task, entry, key_ttl))

    async def submitted_before(self, task: Task, at: float) -> Task | None:
        """The task that `submit` would return because it has the same key and an equal
        request. Raises `IdempotencyConflict` as that does."""
        key = Key.of(task, at, KEY_TTL)
        if key is None:
            return None
        return await self._readers.read(
            lambda c: find_earlier(c, key, lambda task_id: queries.get(c, task_id))
        )

    async def record(self, task: Task, entry: JournalEntry) -> None:
        """Stores a task's new state and the entry that says why, in one step.

        `entry.before` is the state the stored task must be in (`task.state` when left
        out). Raises `IllegalTransition`, `StaleTransition` or `UnknownTask`, and then
        nothing has changed.
        """
        await self.record_many([(task, entry)])

    async def record_many(self, changes: Sequence[tuple[Task, JournalEntry]]) -> None:
        """`record` for several tasks, all or none."""
        encoded = [_encode_change(task, entry) for task, entry in changes]

        def apply(transaction: Transaction) -> None:
            for task, entry, before in encoded:
                transaction.update(task, entry, before)

        await self._writer.write(apply)

    async def note(self, entry: JournalEntry, *, switch: tuple[str, str] | None = None) -> None:
        """Journals what was done to the whole (drain, pause-all, reload), without a task.
        `switch`, a name and a value, is remembered for `switches` in the same step."""
        encoded = encode_entry(entry)

        def apply(transaction: Transaction) -> None:
            transaction.append(encoded)
            if switch is not None:
                transaction.set_switch(*switch)

        await self._writer.write(apply)

    async def switches(self) -> dict[str, str]:
        """What operators have set, by name."""
        return await self._readers.read(queries.switches)

    async def seal(self) -> Seal:
        """Under which this store's tasks mark their scans; made with the store."""
        return await self._readers.read(queries.seal)

    async def get(self, task_id: str) -> Task | None:
        return await self._readers.read(lambda c: queries.get(c, task_id))

    async def meant(self, part: str, *, limit: int) -> Sequence[Task]:
        """The tasks whose id begins or ends so, newest first."""
        return await self._readers.read(lambda c: queries.meant(c, part, limit))

    async def list(
        self, wanted: TaskFilter | None = None, *, limit: int = 50, cursor: int | None = None
    ) -> TaskPage:
        """One page of the tasks that match, newest first."""
        listing = Listing(wanted or TaskFilter(), limit, cursor)
        await self._readers.run(listing.step)
        return listing.page()

    async def count(self, wanted: TaskFilter) -> int:
        """How many tasks match, not counting `targets`; `counts` is cheaper for states."""
        return await self._readers.read(lambda c: count(c, wanted))

    def counts(self) -> dict[TaskState, int]:
        """How many tasks are stored in each state, without reading the disk."""
        return {state: self._ledger.counts[state] for state in TaskState}

    def unfinished(self, *, page: int = _PAGE) -> AsyncGenerator[Task, None]:
        """Every live task in the order of acceptance, a page in memory at a time."""
        return self.unfinished_as(lambda task: task, page=page)

    async def unfinished_as(
        self, view: Callable[[Task], T], *, page: int = _PAGE
    ) -> AsyncGenerator[T, None]:
        """`view` of every live task in the order of acceptance; it runs in a reading thread."""
        after = 0
        while True:
            read = partial(queries.unfinished, after=after, limit=page, view=view)
            found = await self._readers.read(read)
            if not found:
                return
            for _order, each in found:
                yield each
            after = found[-1][0]

    async def owing(self) -> Sequence[Task]:
        """The tasks, settled or not, with scans that remain to be cleaned up (`Task.owed`)."""
        return await self._readers.read(queries.owing)

    async def last_order(self) -> int:
        """The highest order number ever stored and not purged, 0 for none."""
        return await self._readers.read(queries.last_order)

    async def journal_of(self, task_id: str) -> tuple[JournalRecord, ...]:
        """All that happened to a task, oldest first."""
        return tuple(await self._readers.read(lambda c: queries.journal_of(c, task_id)))

    async def journal(self, *, after: int = 0, limit: int = _PAGE) -> tuple[JournalRecord, ...]:
        """The journal of everything behind row `after`, oldest first."""
        return tuple(await self._readers.read(lambda c: queries.journal_after(c, after, limit)))

    async def verify(self, expected: JournalHead | None = None) -> VerifyReport:
        """Checks the whole journal and every task against it, beside normal work.

        `expected` is a head of an earlier report that was kept elsewhere.
        """
        verification = Verification(expected)
        await self._readers.run(verification.step)
        return verification.report()

    async def purge(
        self,
        states: Collection[TaskState],
        *,
        before: float,
        at: float,
        limit: int = retention.BATCH,
    ) -> tuple[str, ...]:
        """Deletes up to `limit` settled tasks unchanged since before `before`.

        Returns their ids, none when there is nothing more to do. A batch of 1,000 holds
        up the writer for some 15 ms: call it again after a pause. Journal rows stay until
        `prune_journal`.
        """

        def apply(transaction: Transaction) -> tuple[str, ...]:
            transaction.flush()
            doomed = retention.aged(transaction.connection, states, before, limit)
            return retention.purge(transaction, doomed, at, SYSTEM)

        return await self._writer.write(apply)

    async def purge_tasks(
        self, task_ids: Sequence[str], *, at: float, actor: str = SYSTEM
    ) -> tuple[str, ...]:
        """Deletes those of the named tasks that are settled; returns their ids."""
        return await self._writer.write(lambda t: retention.purge(t, task_ids, at, actor))

    async def count_purgeable(
        self, states: Collection[TaskState], *, before: float
    ) -> dict[TaskState, int]:
        """How many tasks `purge` would delete in all, by state."""
        return await self._readers.read(lambda c: retention.count_aged(c, states, before))

    async def purge_keys(self, now: float) -> int:
        """Forgets up to 1,000 expired idempotency keys; returns how many."""
        return await self._writer.write(lambda t: retention.purge_keys(t, now))

    async def prune_journal(self, *, before: float, at: float) -> int:
        """Deletes up to 1,000 rows older than `before` from the journal's beginning.

        Only as far as no stored task has a row there; returns how many.
        """
        return await self._writer.write(lambda t: retention.prune_journal(t, before, at))

    async def give_back_space(self) -> int:
        """Shrinks the file by up to 2 MB; returns how many free pages are left in it."""
        return await self._writer.write(retention.give_back_space)

    @property
    def health(self) -> StoreHealth:
        return self._writer.health

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            health=self.health,
            writer=self._writer.statistics(),
            counts=self.counts(),
            database_bytes=_size(self._path),
            wal_bytes=_size(self._path.with_name(self._path.name + "-wal")),
        )


def _encode_change(task: Task, entry: JournalEntry) -> tuple[EncodedTask, EncodedEntry, TaskState]:
    before = entry.before or task.state
    if entry.task_id != task.task_id or entry.after not in (None, task.state):
        raise ValueError("the entry is of another task or leads to another state")
    if before != task.state:
        check_transition(before, task.state)
    encoded = encode_task(task, updated_at=entry.at)
    return encoded, encode_entry(entry, encoded), before


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
