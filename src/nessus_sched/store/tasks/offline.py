"""Reads a store with or without a running daemon, for the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nessus_sched.core.delivery.outbox import Backlog
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.seal import Seal
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import BackupFailed
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter, TaskPage
from nessus_sched.store.backup import copy_store
from nessus_sched.store.connection import Connection
from nessus_sched.store.reader import snapshot
from nessus_sched.store.sqlite import open_offline
from nessus_sched.store.tasks import queries
from nessus_sched.store.tasks.committer import count_states
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.listing import Listing, count
from nessus_sched.store.tasks.outbox import read_backlogs
from nessus_sched.store.tasks.schema import FILE_NAME, TASKS
from nessus_sched.store.tasks.verify import Verification, VerifyReport

_NEW_COLUMNS: Final = {"owed": "0", "part_of": "NULL"}
"""Columns of `task` that older files do not have, and what they would hold."""


class OfflineStore:
    """The read methods of `TaskStore` without an event loop; takes no lock.

    Every method raises `StoreUnavailable` if the file cannot be read.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, task_id: str) -> Task | None:
        return snapshot(self._connection, lambda c: queries.get(c, task_id))

    def by_id_part(self, part: str, *, limit: int) -> Sequence[Task]:
        return snapshot(self._connection, lambda c: queries.by_id_part(c, part, limit))

    def list(
        self, wanted: TaskFilter | None = None, *, limit: int = 50, cursor: int | None = None
    ) -> TaskPage:
        listing = Listing(wanted or TaskFilter(), limit, cursor)
        while snapshot(self._connection, listing.step):
            pass
        return listing.page()

    def count(self, wanted: TaskFilter) -> int:
        return snapshot(self._connection, lambda c: count(c, wanted))

    def counts(self) -> dict[TaskState, int]:
        counted = snapshot(self._connection, count_states)
        return {state: counted[state] for state in TaskState}

    def journal_of(self, task_id: str) -> Sequence[JournalRecord]:
        return snapshot(self._connection, lambda c: queries.journal_of(c, task_id))

    def journal_of_parts(self, task_id: str) -> Sequence[JournalRecord]:
        return snapshot(self._connection, lambda c: queries.journal_of_parts(c, task_id))

    def journal(self, *, after: int = 0, limit: int = 1000) -> Sequence[JournalRecord]:
        return snapshot(self._connection, lambda c: queries.journal_after(c, after, limit))

    def backlogs(self) -> Mapping[str, Backlog]:
        """What routes have to deliver; empty for a store of a version without an outbox."""
        return snapshot(self._connection, read_backlogs) if self._has("outbox") else {}

    def chain_base(self) -> JournalHead:
        """The place before the journal's first row."""
        return JournalHead(*snapshot(self._connection, queries.chain_base))

    def chain(
        self, *, after: int, limit: int = 1000
    ) -> Sequence[tuple[int, bytes | None, str, bytes]]:
        """Rows of the journal as stored: number, digest of the task, content and hash."""
        return snapshot(self._connection, lambda c: queries.chain_after(c, after, limit))

    def seal(self) -> Seal | None:
        """The key of this store; None for a store of a version without one."""
        return snapshot(self._connection, queries.seal) if self._has("seal") else None

    def exceptions(self) -> Sequence[FindingException]:
        """All exceptions, by the time of their proposal; none in a file of an older version."""
        return snapshot(self._connection, queries.exceptions) if self._has("exception") else ()

    def _has(self, table: str) -> bool:
        """Only an SQLite file is read without upgrading it first."""
        if not isinstance(self._connection, sqlite3.Connection):
            return True
        sql = "SELECT 1 FROM main.sqlite_schema WHERE name = ?"
        return bool(snapshot(self._connection, lambda c: c.execute(sql, (table,)).fetchone()))

    def verify(self, expected: JournalHead | None = None) -> VerifyReport:
        verification = Verification(expected)
        while snapshot(self._connection, verification.step):
            pass
        return verification.report()

    def backup(self, destination: Path) -> int:
        """Copies the store to one file, even while in use; returns the size in bytes.

        The copy has everything that was durable when it started. Raises `BackupFailed`.
        """
        if not isinstance(self._connection, sqlite3.Connection):
            raise BackupFailed("the store is in PostgreSQL; back it up with pg_dump")
        return snapshot(self._connection, lambda c: copy_store(c, destination))


@contextmanager
def read_offline(directory: Path) -> Iterator[OfflineStore]:
    """Opens the store of a state directory for reading.

    Raises `StoreUnavailable` (also if there is none) or `WrongSchema`.
    """
    connection = open_offline(directory / FILE_NAME, TASKS)
    try:
        _stand_in_for_new_columns(connection)
        yield OfflineStore(connection)
    finally:
        connection.close()


@contextmanager
def read_engine(engine: Engine) -> Iterator[OfflineStore]:
    """Opens a store for reading, whatever it is in. Raises what `Engine.open_reader` raises."""
    connection = engine.open_reader()
    try:
        yield OfflineStore(connection)
    finally:
        connection.close()


def _stand_in_for_new_columns(connection: sqlite3.Connection) -> None:
    """Lets a file from an older version be read without migrating it."""
    known = {row[1] for row in connection.execute("PRAGMA table_info(task)")}
    new = [f"{value} AS {name}" for name, value in _NEW_COLUMNS.items() if name not in known]
    if known and new:
        connection.execute("PRAGMA query_only = OFF")
        columns = ", ".join(["*", *new])
        connection.execute(f"CREATE TEMP VIEW task AS SELECT {columns} FROM main.task")  # noqa: S608
        connection.execute("PRAGMA query_only = ON")
