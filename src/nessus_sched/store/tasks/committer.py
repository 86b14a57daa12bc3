"""The writer's side of the store: one connection, and batches committed through it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import DuplicateTask, StoreError, StoreUnavailable
from nessus_sched.store.sqlite import Connect, connect, open_reader, open_writer
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.schema import TASKS
from nessus_sched.store.tasks.transaction import Transaction

Apply = Callable[[Transaction], Any]


class Request:
    """One caller's change, and what became of it."""

    __slots__ = ("apply", "error", "result")

    def __init__(self, apply: Apply) -> None:
        self.apply = apply
        self.result: Any = None
        self.error: Exception | None = None


class _Replay(Exception):
    """A request failed halfway: the batch is done again with each one on its own."""


class Ledger:
    """Commits batches of requests, each batch in one durable transaction.

    Not thread-safe: it is handed from thread to thread, one call at a time. After
    `StoreUnavailable` nothing of the batch is stored. A connection that has failed twice
    running is given up for a new one, since its file may be lost for good.
    """

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self._path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._anchor: sqlite3.Connection | None = None
        self._suspect = False
        self._head = JournalHead(0, b"")
        self.counts: Counter[TaskState] = Counter()
        """How many tasks are stored in each state."""

    def open(self) -> None:
        """Raises `StoreUnavailable` or `WrongSchema`."""
        connection = open_writer(self._path, TASKS, self._connect)
        try:
            self._head = read_head(connection)
            self.counts = count_states(connection)
            if self._anchor is None:
                # A commit whose sync failed may be whole in the log. As long as some
                # connection is open nobody reads the log anew, which would bring it back.
                self._anchor = open_reader(self._path, TASKS)
        except StoreError:
            connection.close()
            raise
        except sqlite3.Error as error:
            connection.close()
            raise StoreUnavailable(f"cannot read {self._path}: {error}") from error
        self._connection = connection

    def commit(self, requests: Sequence[Request]) -> None:
        """Gives every request its result or error, durably; raises `StoreUnavailable`."""
        self._durably(lambda connection: self._apply_all(connection, requests))

    def probe(self) -> None:
        """Sees whether the disk takes writes again; raises `StoreUnavailable`."""
        for sql in ("INSERT INTO probe VALUES (zeroblob(262144))", "DELETE FROM probe"):
            self._durably(partial(self._execute, sql=sql))

    def close(self) -> None:
        # The writer last: the last one to leave empties the log into the file.
        for connection in (self._anchor, self._connection):
            if connection is not None:
                connection.close()
        self._anchor = self._connection = None

    def _execute(self, connection: sqlite3.Connection, sql: str) -> Transaction:
        connection.execute(sql)
        return Transaction(connection, self._head)

    def _durably(self, work: Callable[[sqlite3.Connection], Transaction]) -> None:
        if self._connection is None:
            self.open()
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            done = work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(connection)
            raise StoreUnavailable(f"the task store cannot be written: {error}") from error
        except BaseException:
            self._undo(connection)
            raise
        self._suspect = False
        self._head = done.head
        self.counts.update(done.moved)

    def _undo(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not self._suspect:
                self._suspect = True
                return
        connection.close()
        self._connection = None
        self._suspect = False

    def _apply_all(
        self, connection: sqlite3.Connection, requests: Sequence[Request]
    ) -> Transaction:
        try:
            transaction = self._apply_together(connection, requests)
        except (_Replay, sqlite3.IntegrityError, UnicodeEncodeError):
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            transaction = self._apply_apart(connection, requests)
        connection.execute("UPDATE chain SET head_seq = ?, head_hash = ?", transaction.head)
        return transaction

    def _apply_together(
        self, connection: sqlite3.Connection, requests: Sequence[Request]
    ) -> Transaction:
        """The usual way: no savepoints, rows gathered across requests."""
        transaction = Transaction(connection, self._head)
        for request in requests:
            touched = transaction.touched
            try:
                request.result = request.apply(transaction)
            except StoreError as error:
                if transaction.touched != touched:
                    raise _Replay from error
                request.error = error
        transaction.flush()
        return transaction

    def _apply_apart(
        self, connection: sqlite3.Connection, requests: Sequence[Request]
    ) -> Transaction:
        """The careful way: a request that fails is undone without harm to the others."""
        done = Transaction(connection, self._head)
        for request in requests:
            request.result = request.error = None
            trial = Transaction(connection, done.head)
            trial.moved.update(done.moved)
            connection.execute("SAVEPOINT request")
            try:
                request.result = request.apply(trial)
                trial.flush()
            except (StoreError, sqlite3.IntegrityError, UnicodeEncodeError) as error:
                connection.execute("ROLLBACK TO request")
                request.error = _for_caller(error)
            else:
                done = trial
            connection.execute("RELEASE request")
        return done


def _for_caller(error: StoreError | sqlite3.IntegrityError | UnicodeEncodeError) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return DuplicateTask(f"the task's id or order is taken ({error})")
    return error


def read_head(connection: sqlite3.Connection) -> JournalHead:
    """Where the journal ends, for the next row.

    The number also stays clear of rows behind the head (which only tampering puts
    there, and `verify` shows): they must not stop the daemon.
    """
    row = connection.execute("SELECT head_seq, head_hash FROM chain").fetchone()
    if row is None:
        raise StoreUnavailable("the journal's head is not noted; restore a backup")
    seq, digest = row
    (last,) = connection.execute("SELECT max(seq) FROM journal").fetchone()
    return JournalHead(max(seq, last or 0), digest)


def count_states(connection: sqlite3.Connection) -> Counter[TaskState]:
    rows = connection.execute("SELECT state, count(*) FROM task GROUP BY state")
    return Counter({TaskState(state): count for state, count in rows})
