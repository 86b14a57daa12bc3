"""Where a task store is: in an SQLite file, or in another database."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, Protocol

from nessus_sched.core.leading.leader import Daemon
from nessus_sched.store.connection import Connection
from nessus_sched.store.sqlite import Connect, connect, open_reader, open_writer
from nessus_sched.store.tasks.schema import TASKS


class Sizes(NamedTuple):
    """In bytes; of the log only where it can be told apart."""

    database: int
    log: int


class Engine(Protocol):
    """Opens connections, and begins and ends the transactions of the writer.

    The connections raise `store.connection.FAILURES`; `open_writer` and `open_reader` raise
    `StoreUnavailable` or `WrongSchema`.
    """

    place: str
    """For messages."""
    lease: float
    """Seconds after a write in which nobody else can take the store over; may be infinite."""

    @property
    def took_over(self) -> bool:
        """Whether the latest `open_writer` took the store over from another process, which may not
        have ended."""

    def open_writer(self) -> Connection:
        """Creates or migrates the store as needed. Only one writer is open at a time."""

    def open_reader(self) -> Connection: ...

    def begin(self, connection: Connection, *, together: bool = True) -> None:
        """Begins a transaction of the writer; with `together`, failures may be raised by a later
        statement than the one that failed."""

    def wait(self, connection: Connection) -> None:
        """Waits for the results of all statements since `begin`."""

    def commit(self, connection: Connection) -> None:
        """Raises `CommitInDoubt` if it is not known whether the transaction was stored."""

    def was_stored(self) -> bool:
        """Whether the transaction whose commit was in doubt was stored. Known, for good, once a
        new writer is open."""

    def announce(self, connection: Connection, daemon: Daemon) -> None:
        """Notes, in a transaction, what other daemons should know of this one."""

    def release(self, connection: Connection) -> None:
        """Notes that this writer ends in good order."""

    def measure(self, connection: Connection) -> None:
        """Looks at the sizes, if that takes a question."""

    def sizes(self) -> Sizes:
        """As of the latest look."""


class SqliteEngine:
    """A file. Its commits are never in doubt: what reports an error is rolled back."""

    lease = math.inf
    took_over = False

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self.place = str(path)
        self._path = path
        self._connect = connect

    def open_writer(self) -> Connection:
        return open_writer(self._path, TASKS, self._connect)

    def open_reader(self) -> Connection:
        return open_reader(self._path, TASKS)

    def begin(self, connection: Connection, *, together: bool = True) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def wait(self, connection: Connection) -> None:
        """There is nothing to wait for."""

    def commit(self, connection: Connection) -> None:
        connection.execute("COMMIT")

    def was_stored(self) -> bool:
        raise AssertionError("a commit of SQLite is not in doubt")

    def announce(self, connection: Connection, daemon: Daemon) -> None:
        """There are no others."""

    def release(self, connection: Connection) -> None:
        """The lock of the state directory ends with the process."""

    def measure(self, connection: Connection) -> None:
        """There is nothing to ask."""

    def sizes(self) -> Sizes:
        return Sizes(_size(self._path), _size(self._path.with_name(self._path.name + "-wal")))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
