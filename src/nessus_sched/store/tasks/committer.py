"""The write side of the store: commits batches through one connection."""

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
    """One caller's change and its outcome."""

    __slots__ = ("apply", "error", "result")

    def __init__(self, apply: Apply) -> None:
        self.apply = apply
        self.result: Any = None
        self.error: Exception | None = None


class _Replay(Exception):
    """A request failed halfway: repeat the batch with a savepoint for each request."""


class BatchCommitter:
    """Commits batches of requests, each batch in one durable transaction.

    Not thread-safe, but may be used by different threads one call at a time. After
    `StoreUnavailable` nothing of the batch is stored. A connection that fails twice in a row is
    replaced, because its file may be permanently lost.
    """

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self._path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._anchor: sqlite3.Connection | None = None
        self._suspect = False
        self._head = JournalHead(0, b"")
        self.counts: Counter[TaskState] = Counter()
        """The number of stored tasks by state, without parts of split tasks."""

    @property
    def head(self) -> JournalHead:
        """The end of the journal as it is stored."""
        return self._head

    def open(self) -> None:
        """Raises `StoreUnavailable` or `WrongSchema`."""
        connection = open_writer(self._path, TASKS, self._connect)
        try:
            self._head = read_head(connection)
            self.counts = count_states(connection)
            if self._anchor is None:
                # A commit whose sync failed may be complete in the log. While a connection is
                # open, the log is not read again, which would restore that commit.
                self._anchor = open_reader(self._path, TASKS)
        except StoreError:
            connection.close()
            raise
        except sqlite3.Error as error:
            connection.close()
            raise StoreUnavailable(f"cannot read {self._path}: {error}") from error
        self._connection = connection

    def commit(self, requests: Sequence[Request]) -> None:
        """Sets the result or error of every request, durably; raises `StoreUnavailable`."""
        self._durably(lambda connection: self._apply_all(connection, requests))

    def probe(self) -> None:
        """Checks whether the disk is writable again; raises `StoreUnavailable`."""
        for sql in ("INSERT INTO probe VALUES (zeroblob(262144))", "DELETE FROM probe"):
            self._durably(partial(self._execute, sql=sql))

    def close(self) -> None:
        # Close the writer last: the last connection checkpoints the log.
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
        self.counts.update(done.state_deltas)

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
        """The fast path: no savepoints, rows collected across requests."""
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
        """The slow path: a failing request is rolled back without affecting the others."""
        done = Transaction(connection, self._head)
        for request in requests:
            request.result = request.error = None
            trial = Transaction(connection, done.head)
            trial.state_deltas.update(done.state_deltas)
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
    """The end of the journal, for the next row.

    The number also skips rows beyond the head, which exist only after tampering and are
    reported by `verify`: they must not stop the daemon.
    """
    row = connection.execute("SELECT head_seq, head_hash FROM chain").fetchone()
    if row is None:
        raise StoreUnavailable("the journal's head is not noted; restore a backup")
    seq, digest = row
    (last,) = connection.execute("SELECT max(seq) FROM journal").fetchone()
    return JournalHead(max(seq, last or 0), digest)


def count_states(connection: sqlite3.Connection) -> Counter[TaskState]:
    """Without parts of split tasks. Each query reads an index instead of all tasks; the `+` keeps
    SQLite from choosing the index of states for the second one too."""
    every, parts = (
        connection.execute(f"SELECT state, count(*) FROM task {rest}")  # noqa: S608 - our own
        for rest in ("GROUP BY state", "WHERE part_of IS NOT NULL GROUP BY +state")
    )
    counts = Counter({TaskState(state): count for state, count in every})
    counts.subtract({TaskState(state): count for state, count in parts})
    return counts
