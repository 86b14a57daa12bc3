"""The findings database: results of scans, read in pages.

It is a separate file, so that importing a large report never delays a submission. Each read sees
a snapshot and takes milliseconds; writes (imports, deletions) happen one at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from nessus_sched.core.asked import SentLogin
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.results.coverage import ScanCoverage
from nessus_sched.results.parser.reader import Event
from nessus_sched.store.executor import Executor, InThreads
from nessus_sched.store.findings.delete import mark_deleted, vacuum_some
from nessus_sched.store.findings.import_report import Imported, import_events
from nessus_sched.store.findings.reader import FindingsReader
from nessus_sched.store.findings.schema import SCHEMA, add_new_fields, prepare
from nessus_sched.store.reader import Readers
from nessus_sched.store.sqlite import open_reader, open_writer

T = TypeVar("T")


class FindingsStore(FindingsReader):
    """The findings database, open for reading and writing; only one per process.

    Created by `open_findings`. Write methods raise `StoreUnavailable` on disk errors, and then
    change nothing.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection, executor: Executor) -> None:
        self._readers = Readers(partial(open_reader, path, SCHEMA), executor)
        super().__init__(path, self._readers.read)
        self._writer = writer
        self._executor = executor

    async def put(
        self,
        task_id: str,
        events: Iterable[Event],
        *,
        at: float,
        coverage: Callable[[], ScanCoverage] | None = None,
        sent: Sequence[SentLogin] = (),
    ) -> Imported:
        """Atomically replaces the task's findings with a report's; durable on return. `events`
        (from a `results.parser.Reader`) is iterated in the writing thread, and its errors are
        raised here. `coverage` is called there after the last event and returns what the scan
        could see; without it no comparison calls anything fixed. `sent` are the scan's credentials.
        Cancellation undoes all."""
        return await self._write(
            lambda connection: import_events(
                connection,
                task_id,
                events,
                at=at,
                check=_raise_if_cancelled,
                coverage=coverage,
                sent=sent,
            )
        )

    async def delete(self, task_id: str) -> bool:
        """Deletes a task's findings; returns False if there were none. Readers no longer see
        them; `vacuum_deleted` releases the space."""
        return await self._write(lambda connection: mark_deleted(connection, task_id))

    async def vacuum_deleted(self) -> None:
        """Removes deleted and replaced findings and shrinks the file, in short steps that let
        other writes through. Call it regularly and at start, when it continues the work of an
        earlier process."""
        while await self._write(vacuum_some):
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):
            self._readers.close()
            await self._executor.write(self._writer.close)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            try:
                return work(self._writer)
            except sqlite3.Error as error:
                message = f"the findings cannot be stored: {error}"
                raise StoreUnavailable(message) from error

        return await self._executor.write(in_thread)


def _raise_if_cancelled() -> None:
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        return  # not in a Trio thread, but in the executor of a simulation


async def open_findings(path: Path, executor: Executor | None = None) -> FindingsStore:
    """Opens the database, creating or migrating it; raises `StoreUnavailable` and
    `WrongSchema`. Close it: `async with aclosing(await open_findings(path)) as ...`."""
    place = executor or InThreads()

    def connect() -> sqlite3.Connection:
        connection = open_writer(path, SCHEMA)
        prepare(connection)
        add_new_fields(connection)
        return connection

    return FindingsStore(path, await place.write(connect), place)
