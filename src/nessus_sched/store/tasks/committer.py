"""The write side of the store: commits batches through one connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import (
    DuplicateTask,
    StoreError,
    StoreTakenOver,
    StoreUnavailable,
)
from nessus_sched.store.connection import (
    FAILURES,
    REFUSALS,
    TAKEN,
    CommitInDoubt,
    Connection,
    ConnectionLost,
)
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.transaction import Replay, Transaction

Apply = Callable[[Transaction], Any]

_HEAD: Final = "UPDATE chain SET head_seq = ?, head_hash = ?"
_FILLER: Final = (bytes(262144),)


class Request:
    """One caller's change and its outcome."""

    __slots__ = ("apply", "error", "result")

    def __init__(self, apply: Apply) -> None:
        self.apply = apply
        self.result: Any = None
        self.error: Exception | None = None


class BatchCommitter:
    """Commits batches of requests, each batch in one durable transaction.

    Not thread-safe, but may be used by different threads one call at a time. After
    `StoreUnavailable` nothing of the batch is stored; after `CommitInDoubt` `settle` has to say.
    A connection that fails twice in a row is replaced, because its file may be permanently lost.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._anchor: Connection | None = None
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
        connection = self._engine.open_writer()
        try:
            self._head = read_head(connection)
            self.counts = count_states(connection)
            if self._anchor is None:
                # A commit whose sync failed may be complete in the log. While a connection is
                # open, the log is not read again, which would restore that commit.
                self._anchor = self._engine.open_reader()
        except StoreError:
            connection.close()
            raise
        except FAILURES as error:
            connection.close()
            raise StoreUnavailable(f"cannot read {self._engine.place}: {error}") from error
        self._connection = connection

    def commit(self, requests: Sequence[Request]) -> None:
        """Sets the result or error of every request, durably; raises `StoreUnavailable` or
        `CommitInDoubt`."""
        self._durably(lambda connection: self._apply_all(connection, requests))

    def settle(self) -> bool:
        """Whether the batch whose commit was in doubt is stored; raises `StoreUnavailable`."""
        if self._connection is None:
            self.open()
        return self._engine.was_stored()

    @property
    def took_over(self) -> bool:
        """Whether `open` took the store over from another process, which may not have ended."""
        return self._engine.took_over

    def touch(self) -> None:
        """Shows others that this process writes; raises `StoreUnavailable`."""
        try:
            self._durably(lambda connection: Transaction(connection, self._head))
        except CommitInDoubt as error:
            raise _unavailable(error) from error

    def probe(self) -> None:
        """Checks whether the disk is writable again; raises `StoreUnavailable`."""
        try:
            self._durably(partial(self._execute, "INSERT INTO probe VALUES (?)", _FILLER))
            self._durably(partial(self._execute, "DELETE FROM probe", ()))
        except CommitInDoubt as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        if self._connection is not None:
            with suppress(*FAILURES, StoreTakenOver):
                self._engine.release(self._connection)
        # Close the writer last: the last connection checkpoints the log.
        for connection in (self._anchor, self._connection):
            if connection is not None:
                connection.close()
        self._anchor = self._connection = None

    def _execute(
        self, sql: str, parameters: Sequence[object], connection: Connection
    ) -> Transaction:
        connection.execute(sql, parameters)
        return Transaction(connection, self._head)

    def _durably(self, work: Callable[[Connection], Transaction]) -> None:
        reused = self._connection is not None
        try:
            self._try(work)
        except ConnectionLost as error:
            # A session may end while nobody uses it, for example when the server restarts.
            if isinstance(error, CommitInDoubt):
                raise
            if not reused:
                raise _unavailable(error) from error
            self._durably(work)

    def _try(self, work: Callable[[Connection], Transaction]) -> None:
        if self._connection is None:
            self.open()
        connection = self._connection
        assert connection is not None
        try:
            self._engine.begin(connection)
            done = work(connection)
            self._engine.commit(connection)
        except ConnectionLost:
            self._drop(connection)
            raise
        except FAILURES as error:
            self._undo(connection)
            raise _unavailable(error) from error
        except BaseException:
            self._undo(connection)
            raise
        self._suspect = False
        self._head = done.head
        self.counts.update(done.state_deltas)

    def _undo(self, connection: Connection) -> None:
        with suppress(*FAILURES):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not self._suspect:
                self._suspect = True
                return
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._connection = None
        self._suspect = False

    def _apply_all(self, connection: Connection, requests: Sequence[Request]) -> Transaction:
        try:
            transaction = self._apply_together(connection, requests)
            connection.execute(_HEAD, transaction.head)
            self._engine.wait(connection)
        except (Replay, *REFUSALS, UnicodeEncodeError):
            connection.execute("ROLLBACK")
            self._engine.begin(connection, together=False)
            transaction = self._apply_apart(connection, requests)
            connection.execute(_HEAD, transaction.head)
        return transaction

    def _apply_together(self, connection: Connection, requests: Sequence[Request]) -> Transaction:
        """The fast path: no savepoints, rows collected across requests."""
        transaction = Transaction(connection, self._head, together=True)
        for request in requests:
            touched = transaction.touched
            request.result = request.error = None
            try:
                request.result = request.apply(transaction)
            except StoreError as error:
                if transaction.touched != touched:
                    raise Replay from error
                request.error = error
        transaction.flush()
        return transaction

    def _apply_apart(self, connection: Connection, requests: Sequence[Request]) -> Transaction:
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
            except (StoreError, *REFUSALS, UnicodeEncodeError) as error:
                connection.execute("ROLLBACK TO request")
                request.error = _for_caller(error)
            else:
                done = trial
            connection.execute("RELEASE request")
        return done


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the task store cannot be written: {error}")


def _for_caller(error: Exception) -> Exception:
    if isinstance(error, TAKEN):
        return DuplicateTask(f"the task's id or order is taken ({error})")
    if isinstance(error, REFUSALS):
        return StoreError(f"this cannot be stored: {error}")
    return error


def read_head(connection: Connection) -> JournalHead:
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


def count_states(connection: Connection) -> Counter[TaskState]:
    """Without parts of split tasks. Each query reads an index instead of all tasks; the `||` keeps
    SQLite from choosing the index of states for the second one too."""
    every, parts = (
        connection.execute(f"SELECT {state}, count(*) FROM task {where} GROUP BY 1")  # noqa: S608 - our own
        for state, where in (("state", ""), ("state || ''", "WHERE part_of IS NOT NULL"))
    )
    counts = Counter({TaskState(state): count for state, count in every})
    counts.subtract({TaskState(state): count for state, count in parts})
    return counts
