"""Short reads of a database on separate connections, next to the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.executor import Executor
from nessus_sched.store.migrations import Schema
from nessus_sched.store.sqlite import open_reader

T = TypeVar("T")


class Readers:
    """A pool of read-only connections, each lent for one short read.

    A read sees one snapshot and blocks checkpoints of the log while it lasts, so long work must
    proceed page by page.
    """

    def __init__(self, path: Path, schema: Schema, executor: Executor) -> None:
        self._path = path
        self._schema = schema
        self._executor = executor
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raises `StoreUnavailable` if the file cannot be read."""
        return await self._executor.read(lambda: self._with_connection(work))

    async def run(self, step: Callable[[sqlite3.Connection], bool]) -> None:
        """Repeats `step`, each in a snapshot of its own, until it returns False."""
        while await self.read(step):
            pass

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # list.pop and list.append are atomic, so no lock is needed.
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = open_reader(self._path, self._schema)
        try:
            result = snapshot(connection, work)
        except BaseException:
            connection.close()
            raise
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)
        return result


def snapshot(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Runs `work` within one read transaction; raises `StoreUnavailable`."""
    try:
        connection.execute("BEGIN")
        try:
            return work(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the database cannot be read: {error}") from error
