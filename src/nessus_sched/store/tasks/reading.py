"""Reads of the task store, also without being its writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter, TaskPage
from nessus_sched.store.connection import Connection
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.reader import Readers
from nessus_sched.store.tasks import queries
from nessus_sched.store.tasks.committer import count_states
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.listing import Listing, count

PAGE: Final = 1000


class StoredTasks:
    """What is stored, on connections that only read. Every method may raise `StoreUnavailable`."""

    def __init__(self, readers: Readers[Connection]) -> None:
        self._readers = readers

    async def get(self, task_id: str) -> Task | None:
        return await self._readers.read(lambda c: queries.get(c, task_id))

    async def by_id_part(self, part: str, *, limit: int) -> Sequence[Task]:
        """The tasks whose id begins or ends with `part`, newest first."""
        return await self._readers.read(lambda c: queries.by_id_part(c, part, limit))

    async def list(
        self, wanted: TaskFilter | None = None, *, limit: int = 50, cursor: int | None = None
    ) -> TaskPage:
        """One page of matching tasks, newest first."""
        listing = Listing(wanted or TaskFilter(), limit, cursor)
        await self._readers.run(listing.step)
        return listing.page()

    async def count(self, wanted: TaskFilter) -> int:
        """The number of matching tasks, ignoring `targets`; `counts` is cheaper for states."""
        return await self._readers.read(lambda c: count(c, wanted))

    async def journal_of(self, task_id: str) -> tuple[JournalRecord, ...]:
        """A task's journal, oldest first."""
        return tuple(await self._readers.read(lambda c: queries.journal_of(c, task_id)))

    async def journal_of_parts(self, task_id: str) -> tuple[JournalRecord, ...]:
        """The journal of all parts of a split task, oldest first."""
        return tuple(await self._readers.read(lambda c: queries.journal_of_parts(c, task_id)))

    async def journal(self, *, after: int = 0, limit: int = PAGE) -> tuple[JournalRecord, ...]:
        """The journal after row `after`, oldest first."""
        return tuple(await self._readers.read(lambda c: queries.journal_after(c, after, limit)))


class WatchedTasks(StoredTasks):
    """The tasks of a store to which another daemon writes: a `core.task_store.TaskReader`."""

    def __init__(self, readers: Readers[Connection]) -> None:
        super().__init__(readers)
        self._counts: Mapping[TaskState, int] = dict.fromkeys(TaskState, 0)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, engine: Engine, *, executor: Executor | None = None
    ) -> AsyncIterator[WatchedTasks]:
        """Connects when something is read."""
        readers = Readers(engine.open_reader, executor or InThreads())
        try:
            yield cls(readers)
        finally:
            readers.close()

    async def count_again(self) -> None:
        counted = await self._readers.read(count_states)
        self._counts = {state: counted[state] for state in TaskState}

    def counts(self) -> Mapping[TaskState, int]:
        """As of the latest `count_again`."""
        return self._counts
