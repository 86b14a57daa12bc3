"""A PostgreSQL connection as the task store uses it.

This package is the only one that imports psycopg, and only when a store in PostgreSQL is opened.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from nessus_sched.core.store_errors import StoreTakenOver, StoreUnavailable, StoreUnreachable
from nessus_sched.store.connection import (
    ConnectionLost,
    DatabaseBusy,
    DatabaseFailure,
    DatabaseRefused,
    DatabaseTaken,
)

SCHEMA: Final = "nessus_sched"
"""Our tables have a schema of their own, so that a database may be shared with others."""
_DEFAULTS: Final = {
    # A server that is gone without a word is noticed within 15 seconds.
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # Of several hosts, the one that is not a replica.
    "target_session_attrs": "primary",
    "application_name": "nessus-sched",
}
_REFUSALS: Final = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,  # a text too long for an index
    psycopg.errors.PipelineAborted,  # by another statement, which will say why when repeated
)
_NO_TEXT: Final = "\ufdd0"
"""Stands for NUL, which PostgreSQL does not store, in questions. Never given to a character."""
_AWAY: Final = re.compile(
    r"refused|timeout|timed out|No route|unreachable|Temporary failure|starting up|shutting down"
    r"|recovery|hot standby|closed the connection|reset by peer|Is the server running"
    r"|too many (?:connections|clients)|connection slots|read-only transaction"
    r"|administrator command",
    re.IGNORECASE,
)
"""In the words of libpq and of the server, which has no code for them before there is a session:
what passes by itself, unlike a wrong name or password."""
_WRONG: Final = re.compile(
    r"authentication failed|password|pg_hba|does not exist|certificate", re.IGNORECASE
)
"""What does not pass, on one of several servers."""
_STATEMENT_MS: Final = 60_000


class PostgresConnection:
    """Implements `store.connection.Connection`; not thread-safe.

    Every method raises `DatabaseRefused` for values that cannot be stored, `ConnectionLost`, or
    another `DatabaseFailure`.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, reading: bool = False) -> None:
        self._connection = connection
        self._reading = reading
        self._pipeline: psycopg.Pipeline | None = None

    @property
    def in_transaction(self) -> bool:
        if self._pipeline is not None:
            return True
        return self._connection.info.transaction_status != TransactionStatus.IDLE

    @property
    def encoding(self) -> str:
        """Of the database."""
        return self._connection.info.parameter_status("server_encoding") or ""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> PostgresCursor:
        with self.failures():
            if sql.startswith("ROLLBACK") and self._pipeline is not None:
                self._abandon_pipeline()
            cursor = self._connection.cursor()
            # The texts are our own; without parameters they may contain several statements.
            values = tuple(map(_in_question, parameters) if self._reading else parameters) or None
            cursor.execute(_positional(sql).encode(), values, prepare=None if values else False)
        return PostgresCursor(self, cursor)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> None:
        for each in parameters:
            self.execute(sql, each)

    def begin_pipeline(self) -> None:
        """Statements that follow are sent without waiting for the results of those before."""
        with self.failures():
            self._pipelining = self._connection.pipeline()
            self._pipeline = self._pipelining.__enter__()

    def sync(self) -> None:
        """Waits for the results of what was sent."""
        if self._pipeline is not None:
            with self.failures():
                self._send_all()
                self._pipeline.sync()

    def end_pipeline(self) -> None:
        """Waits for all results."""
        if self._pipeline is not None:
            self._pipeline = None
            with self.failures():
                self._send_all()
                self._pipelining.__exit__(None, None, None)

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._abandon_pipeline()
        with suppress(psycopg.Error):
            self._connection.close()

    def _abandon_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline = None
            # Whatever failed in it was raised where it was looked at, or is rolled back.
            with suppress(psycopg.Error):
                self._pipelining.__exit__(None, None, None)

    def commit(self) -> None:
        """Raises `ConnectionLost` if the outcome is not known, or else `DatabaseFailure`."""
        cursor = self.execute("COMMIT")
        if cursor.status != "COMMIT":  # the server rolls a failed transaction back without an error
            raise DatabaseFailure("the transaction was rolled back")

    def _send_all(self) -> None:
        """Sends what waits in the client. psycopg's `sync` then only waits for answers, which do
        not come if the server has not got the whole of a large value: so there also has to be
        room for its own few bytes."""
        wire = self._connection.pgconn
        poll = select.poll()
        poll.register(wire.socket, select.POLLIN | select.POLLOUT)
        while True:
            unsent = wire.flush()
            events = poll.poll(_STATEMENT_MS)
            if not events:
                self._connection.close()
                raise ConnectionLost("the server does not take what is sent")
            (_, event) = events[0]
            if event & ~select.POLLOUT:
                wire.consume_input()
            if not unsent and event & select.POLLOUT:
                return

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Translates psycopg's errors."""
        try:
            yield
        except psycopg.errors.NotNullViolation as error:
            if error.diag.table_name == "writer":
                raise StoreTakenOver("another daemon has taken the store over") from error
            raise DatabaseRefused(_words(error)) from error
        except psycopg.errors.LockNotAvailable as error:
            raise DatabaseBusy(_words(error)) from error
        except psycopg.IntegrityError as error:
            raise DatabaseTaken(_words(error)) from error
        except _REFUSALS as error:
            raise DatabaseRefused(_words(error)) from error
        except psycopg.Error as error:
            if self._connection.closed or _ended_session(error):
                self._connection.close()
                raise ConnectionLost(_words(error)) from error
            raise DatabaseFailure(_words(error)) from error


class PostgresCursor:
    """Results of one statement; looking at them waits for those of a pipeline."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: PostgresConnection, cursor: psycopg.Cursor[Any]) -> None:
        self._connection = connection
        self._cursor = cursor

    @property
    def status(self) -> str | None:
        return self._cursor.statusmessage

    @property
    def rowcount(self) -> int:
        self._connection.sync()
        return self._cursor.rowcount

    def fetchone(self) -> Any:
        return self._fetch(self._cursor.fetchone)

    def fetchall(self) -> list[Any]:
        rows: list[Any] = self._fetch(self._cursor.fetchall)
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def _fetch(self, fetch: Callable[[], Any]) -> Any:
        self._connection.sync()
        with self._connection.failures():
            return fetch()


def connect(conninfo: str, *, reading: bool = False) -> PostgresConnection:
    """Raises `StoreUnavailable` with the reason, without the password."""
    given = conninfo_to_dict(conninfo)
    settings = {
        "search_path": SCHEMA,
        "statement_timeout": str(_STATEMENT_MS),
        "idle_in_transaction_session_timeout": str(_STATEMENT_MS),
        "client_min_messages": "warning",
        # The server, too, notices within 15 seconds that we are gone.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "3",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "15000",
        "timezone": "UTC",
    }
    if reading:
        settings["default_transaction_read_only"] = "on"
        settings["default_transaction_isolation"] = "repeatable\\ read"
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    own = {**_DEFAULTS, **given, "options": f"{given.get('options', '')} {options}".strip()}
    own["client_encoding"] = "UTF8"
    if own["target_session_attrs"] == "read-write":  # which our own readers would not be
        own["target_session_attrs"] = "primary"
    try:
        connection = psycopg.connect(make_conninfo("", **own), autocommit=True)
    except psycopg.Error as error:
        where = place_of(conninfo)
        raise unavailable(f"cannot connect to {where}", error) from error
    return PostgresConnection(connection, reading=reading)


@contextmanager
def opening(connection: PostgresConnection, purpose: str) -> Iterator[None]:
    """Closes the connection if the block fails. `purpose` begins the message of `StoreUnavailable`,
    which is raised for what the database refuses."""
    try:
        yield
    except DatabaseFailure as error:
        connection.close()
        raise unavailable(purpose, error) from error
    except BaseException:
        connection.close()
        raise


def unavailable(purpose: str, error: Exception) -> StoreUnavailable:
    """`StoreUnreachable` for what passes by itself. `purpose` begins the message."""
    away = _AWAY.search(str(error)) and not _WRONG.search(str(error))
    words = _words(error) if isinstance(error, psycopg.Error) else str(error)
    return (StoreUnreachable if away else StoreUnavailable)(f"{purpose}: {words}")


def place_of(conninfo: str) -> str:
    """Host and database, for messages. Raises `StoreUnavailable` for a malformed string."""
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        reason = f"this is not a connection string of PostgreSQL: {_words(error)}"
        raise StoreUnavailable(reason) from error
    hosts = str(given.get("host") or "the local server").split(",")
    ports = str(given.get("port") or "").split(",")
    if len(ports) == 1:  # for all of them
        ports *= len(hosts)
    found = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
    return f"PostgreSQL at {', '.join(found)}, database {given.get('dbname') or '(default)'}"


def with_password(conninfo: str, password: str) -> str:
    """Raises `StoreUnavailable` for a malformed string."""
    place_of(conninfo)
    return make_conninfo(conninfo, password=password)


def _in_question(value: Any) -> Any:
    return value.replace("\0", _NO_TEXT) if isinstance(value, str) else value


@lru_cache(maxsize=256)
def _positional(sql: str) -> str:
    """Our SQL has neither `?` nor `%` in its constants."""
    return sql.replace("?", "%s")


def _words(error: psycopg.Error) -> str:
    """One line, for a person."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split()) or type(error).__name__


def _ended_session(error: psycopg.Error) -> bool:
    """Whether an error is the client's or ends the session, and not an answer to a statement."""
    severity = error.diag.severity_nonlocalized
    return isinstance(error, psycopg.OperationalError) and severity != "ERROR"
