"""What the task store needs of a database connection, whichever database is behind it.

The store's SQL is written once, in what SQLite and PostgreSQL have in common, with `?` for
parameters. The few things that they write differently are in `Dialect`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs


class DatabaseFailure(Exception):
    """A database other than SQLite cannot do what was asked."""


class DatabaseBusy(DatabaseFailure):
    """Another session holds the lock that was asked for."""


class ConnectionLost(DatabaseFailure):
    """The connection is gone. Nothing of an open transaction has been stored."""


class CommitInDoubt(ConnectionLost):
    """The connection was lost during a commit, which may have been stored or not."""


class DatabaseRefused(DatabaseFailure):
    """A value is not of a kind that the database can store."""


class DatabaseTaken(DatabaseRefused):
    """A value that has to be unique is taken."""


FAILURES: Final = (sqlite3.Error, DatabaseFailure)
REFUSALS: Final = (sqlite3.IntegrityError, DatabaseRefused)
"""Failures that concern one change, not the database."""
TAKEN: Final = (sqlite3.IntegrityError, DatabaseTaken)


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in autocommit mode; transactions are begun and ended by statements."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> object: ...

    def close(self) -> None: ...


@attrs.frozen(kw_only=True)
class Dialect:
    """What the databases write differently. `{}` stands for a column.

    `text_bytes` and `bytes_` read a column as bytes, whatever is stored there; `without_document`
    reads a message without its largest field, if the database can; `among` is a condition with
    one parameter, which `listed` makes of a collection.
    """

    contains: str
    text_bytes: str
    bytes_: str
    without_document: str
    among: str
    listed: Callable[[Collection[Any]], object]
    deferred: bool
    """Results of changes are looked at once for a batch, because each look is a round trip."""
    integrity: str | None
    """A statement with a row for each damage found, or 'ok'."""
    last_number: str
    set_last_number: str
    """Reads and sets the last number that was given to a message."""
    vacuums: bool
    """Whether free space has to be given back by us."""


SQLITE: Final = Dialect(
    contains="instr({}, ?) > 0",
    text_bytes="CAST({} AS BLOB)",
    bytes_="CAST({} AS BLOB)",
    without_document="json_set(document, '$.document', json('{}'))",
    among="{} IN (SELECT value FROM json_each(?))",
    listed=lambda values: json.dumps(list(values)),
    deferred=False,
    integrity="PRAGMA integrity_check(10)",
    last_number="SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
    set_last_number="UPDATE sqlite_sequence SET seq = ? WHERE name = 'outbox'",
    vacuums=True,
)
POSTGRES: Final = Dialect(
    contains="strpos({}, ?) > 0",
    text_bytes="convert_to({}, 'UTF8')",
    bytes_="{}",
    without_document="document",
    among="{} = ANY(?)",
    listed=list,
    deferred=True,
    integrity=None,
    last_number="SELECT last_value FROM outbox_number_seq WHERE is_called",
    set_last_number="SELECT setval('outbox_number_seq', ?)",
    vacuums=False,
)


def is_lost(connection: Connection) -> bool:
    """Whether a connection that was idle has been lost; takes a round trip to find out."""
    if isinstance(connection, sqlite3.Connection):
        return False
    try:
        connection.execute("SELECT 1").fetchall()
    except DatabaseFailure:
        connection.close()
        return True
    return False


def dialect_of(connection: Connection) -> Dialect:
    return SQLITE if isinstance(connection, sqlite3.Connection) else POSTGRES
