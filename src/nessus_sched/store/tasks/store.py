"""The journaled task store: tasks, their state and their history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.clock import Now, steady_clock
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.leading.leader import Daemon
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.seal import Seal
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import (
    KEY_TTL,
    StoredSubmission,
    StoreHealth,
)
from nessus_sched.store.connection import Connection
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.reader import Readers
from nessus_sched.store.sqlite import Connect, connect
from nessus_sched.store.tasks import queries, retention
from nessus_sched.store.tasks.codec import (
    DocumentTable,
    encode_change,
    encode_document,
    encode_entry,
)
from nessus_sched.store.tasks.committer import BatchCommitter
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.group_commit import GroupCommit
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.outbox import StoredOutbox
from nessus_sched.store.tasks.reading import PAGE, StoredTasks
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.statistics import StoreStatistics
from nessus_sched.store.tasks.submission import Key, Submit, find_earlier
from nessus_sched.store.tasks.transaction import Transaction
from nessus_sched.store.tasks.verify import Verification, VerifyReport

T = TypeVar("T")


class TaskStore(StoredTasks):
    """Tasks and their journal in one database. Changes are durable when they return.

    While the disk fails, changes raise `StoreUnavailable` and store nothing; reads still work.
    A canceled change is either not stored at all or, if its commit has started, completed and
    returns. The caller holds the state directory (`hold_state_directory`).
    """

    def __init__(
        self,
        engine: Engine,
        committer: BatchCommitter,
        writer: GroupCommit,
        readers: Readers[Connection],
        lease: Lease,
    ) -> None:
        self._engine = engine
        self._committer = committer
        self._writer = writer
        super().__init__(readers)
        self.outbox = StoredOutbox(writer, readers)
        self.lease = lease

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
        """Opens or creates the SQLite store of a state directory, like `open_engine`."""
        engine = SqliteEngine(directory / FILE_NAME, connect)
        async with cls.open_engine(engine, now=now, executor=executor) as store:
            yield store

    @classmethod
    @asynccontextmanager
    async def open_engine(
        cls,
        engine: Engine,
        *,
        now: Now,
        executor: Executor | None = None,
        steady: Now | None = None,
    ) -> AsyncIterator[TaskStore]:
        """Opens or creates a store for the duration of the block. `steady` is the clock of the
        lease.

        Raises `WrongSchema` or `StoreUnavailable`. Pending changes are committed at the end of
        the block.
        """
        executor = executor or InThreads()
        committer = BatchCommitter(engine)
        readers = Readers(engine.open_reader, executor)
        lease = Lease(steady or steady_clock(), engine.lease)
        writer = GroupCommit(committer, executor, now, lease)
        try:
            since = lease.now()
            await executor.write(committer.open)
            lease.confirm(since)
            if committer.took_over:
                lease.taken_over()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run)
                try:
                    yield cls(engine, committer, writer, readers, lease)
                finally:
                    writer.close()
        finally:
            readers.close()
            with trio.CancelScope(shield=True):
                await executor.write(committer.close)

    async def submit(
        self, task: Task, entry: JournalEntry, *, key_ttl: float = KEY_TTL
    ) -> StoredSubmission:
        """Stores a new task; with an idempotency key, at most once per key.

        The same key with an equal request returns the earlier task, with `created` False; with
        a different request it raises `IdempotencyConflict`. Keys expire `key_ttl` seconds after
        `entry.at`. Raises `DuplicateTask` for a taken id or order number.
        """
        return await self._writer.write(Submit.encode(task, entry, key_ttl))

    async def submitted_before(self, task: Task, at: float) -> Task | None:
        """The earlier task that `submit` would return for the same key and an equal request.
        Raises `IdempotencyConflict` like `submit`."""
        key = Key.of(task, at, KEY_TTL)
        if key is None:
            return None
        return await self._readers.read(
            lambda c: find_earlier(c, key, lambda task_id: queries.get(c, task_id))
        )

    async def record(self, task: Task, entry: JournalEntry) -> None:
        """Stores a task's new state and the journal entry for it atomically.

        The stored task must be in the state `entry.before` (default `task.state`). Raises
        `IllegalTransition`, `StaleTransition` or `UnknownTask`, and then changes nothing.
        """
        await self.record_many([(task, entry)])

    async def record_many(self, changes: Sequence[tuple[Task, JournalEntry]]) -> None:
        """`record` for several tasks, all or none."""
        encoded = [encode_change(task, entry) for task, entry in changes]

        def apply(transaction: Transaction) -> None:
            for task, entry, before in encoded:
                transaction.update(task, entry, before)

        await self._writer.write(apply)

    async def divide(
        self, task: Task, entry: JournalEntry, parts: Sequence[tuple[Task, JournalEntry]]
    ) -> None:
        """`record` for a split task, and its new parts with it, atomically."""
        changed = encode_change(task, entry)
        new = [Submit.encode(part, first, KEY_TTL) for part, first in parts]

        def apply(transaction: Transaction) -> None:
            transaction.update(*changed)
            for submit in new:
                submit(transaction)

        await self._writer.write(apply)

    async def parts_of(self, task_id: str) -> Sequence[Task]:
        """The parts of a split task, in the order in which they were cut."""
        return await self._readers.read(lambda c: queries.parts_of(c, task_id))

    async def note(self, entry: JournalEntry, *, switch: tuple[str, str] | None = None) -> None:
        """Journals an action that is not about one task (drain, pause-all, reload). `switch`, a
        name and a value, is stored for `switches` atomically with it."""
        encoded = encode_entry(entry)

        def apply(transaction: Transaction) -> None:
            transaction.append(encoded)
            if switch is not None:
                transaction.set_switch(*switch)

        await self._writer.write(apply)

    async def switches(self) -> dict[str, str]:
        """The switches set by operators, by name."""
        return await self._readers.read(queries.switches)

    async def schedules(self) -> tuple[Schedule, ...]:
        """All schedules, by the time of their creation."""
        return await self._readers.read(queries.schedules)

    async def save_schedule(self, schedule: Schedule, *entries: JournalEntry) -> None:
        """Stores a new or changed schedule and journals why, atomically."""
        document = encode_document(schedule)
        await self._set_documents(DocumentTable.SCHEDULE, {schedule.schedule_id: document}, entries)

    async def delete_schedule(self, schedule_id: str, entry: JournalEntry) -> None:
        await self._set_documents(DocumentTable.SCHEDULE, {schedule_id: None}, [entry])

    async def exceptions(self) -> tuple[FindingException, ...]:
        """All exceptions, by the time of their proposal."""
        return await self._readers.read(queries.exceptions)

    async def save_exception(
        self, exception: FindingException, *entries: JournalEntry, forget: Sequence[str] = ()
    ) -> None:
        """Stores a new or changed exception, journals why, and deletes those with the ids in
        `forget`, atomically."""
        documents = {**dict.fromkeys(forget), exception.exception_id: encode_document(exception)}
        await self._set_documents(DocumentTable.EXCEPTION, documents, entries)

    async def _set_documents(
        self,
        table: DocumentTable,
        documents: Mapping[str, str | None],
        entries: Sequence[JournalEntry],
    ) -> None:
        encoded = [encode_entry(entry) for entry in entries]

        def apply(transaction: Transaction) -> None:
            for each in encoded:
                transaction.append(each)
            for name, document in documents.items():
                transaction.set_document(table, name, document)

        await self._writer.write(apply)

    async def seal(self) -> Seal:
        """The key that signs this store's scan markers; created with the store."""
        return await self._readers.read(queries.seal)

    @property
    def journal_head(self) -> int:
        """The number of the journal's last row, without reading the disk."""
        return self._committer.head.seq

    async def next_commit(self) -> None:
        """Waits until something was stored after this call."""
        await self._writer.next_commit.wait()

    def counts(self) -> dict[TaskState, int]:
        """The number of stored tasks by state, without reading the disk."""
        return {state: self._committer.counts[state] for state in TaskState}

    def unfinished(self, *, page: int = PAGE) -> AsyncGenerator[Task, None]:
        """All unfinished tasks in the order of submission, one page in memory at a time."""
        return self.unfinished_as(lambda task: task, page=page)

    async def unfinished_as(
        self, view: Callable[[Task], T], *, page: int = PAGE
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
        """The tasks, settled or not, with scans to be cleaned up (`Task.owed`)."""
        return await self._readers.read(queries.owing)

    async def last_order(self) -> int:
        """The highest order number in the store, 0 if there is none."""
        return await self._readers.read(queries.last_order)

    async def verify(self, expected: JournalHead | None = None) -> VerifyReport:
        """Checks the whole journal, and every task against it, during normal operation.

        `expected` is a head from an earlier report that was kept elsewhere.
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

        Returns their ids, none if nothing is left to do. A batch of 1,000 blocks the writer for
        about 15 ms, so pause between calls. Journal rows stay until `prune_journal`.
        """

        def apply(transaction: Transaction) -> tuple[str, ...]:
            transaction.flush()
            doomed = retention.older_than(transaction.connection, states, before, limit)
            return retention.purge(transaction, doomed, at, SYSTEM)

        return await self._writer.write(apply)

    async def purge_tasks(
        self, task_ids: Sequence[str], *, at: float, actor: str = SYSTEM
    ) -> tuple[str, ...]:
        """Deletes the given tasks if they are settled; returns the ids of those deleted."""
        return await self._writer.write(lambda t: retention.purge(t, task_ids, at, actor))

    async def count_purgeable(
        self, states: Collection[TaskState], *, before: float
    ) -> dict[TaskState, int]:
        """The number of tasks that `purge` would delete in total, by state."""
        return await self._readers.read(lambda c: retention.count_older_than(c, states, before))

    async def purge_keys(self, now: float) -> int:
        """Deletes up to 1,000 expired idempotency keys; returns the number."""
        return await self._writer.write(lambda t: retention.purge_keys(t, now))

    async def prune_journal(self, *, before: float, at: float) -> int:
        """Deletes up to 1,000 rows older than `before` from the journal's beginning.

        Stops at the first row of a stored task; returns the number of deleted rows.
        """
        return await self._writer.write(lambda t: retention.prune_journal(t, before, at))

    async def incremental_vacuum(self) -> int:
        """Shrinks the file by up to 2 MB; returns the number of free pages left."""
        return await self._writer.write(retention.incremental_vacuum)

    async def announce(self, daemon: Daemon) -> None:
        """Tells other daemons that share the store what they should know of this one."""
        engine = self._engine
        await self._writer.write(lambda t: engine.announce(t.connection, daemon))

    @property
    def health(self) -> StoreHealth:
        return self._writer.health

    async def measure(self) -> None:
        """Brings the sizes of `statistics` up to date. Raises `StoreUnavailable`."""
        await self._readers.read(self._engine.measure)

    def statistics(self) -> StoreStatistics:
        sizes = self._engine.sizes()
        return StoreStatistics(
            health=self.health,
            writer=self._writer.statistics(),
            counts=self.counts(),
            database_bytes=sizes.database,
            wal_bytes=sizes.log,
        )
