"""A task store in PostgreSQL: one writer at a time, and commits that can be looked up."""

from __future__ import annotations

import secrets
from socket import gethostname
from typing import Final, cast

from nessus_sched.core.leading.leader import Daemon
from nessus_sched.core.leading.lease import SECONDS
from nessus_sched.core.store_errors import AlreadyRunning, StoreTakenOver, StoreUnavailable
from nessus_sched.store.connection import (
    CommitInDoubt,
    Connection,
    ConnectionLost,
    DatabaseBusy,
)
from nessus_sched.store.postgres.connection import (
    PostgresConnection,
    connect,
    opening,
    place_of,
    with_password,
)
from nessus_sched.store.postgres.leading import LOCK, Candidate, begin_leading, name_leader
from nessus_sched.store.postgres.schema import check_migrated, migrate
from nessus_sched.store.tasks.engine import Sizes

_WAIT_MS: Final = 5000
"""For the session of a process that has just ended."""
_FENCE: Final = "UPDATE writer SET batch = CASE WHEN epoch = ? AND batch = ? THEN batch + 1 END"
"""Fails, and with it the transaction, unless we were the last to write: `batch` is not null. It is
the server that checks, so this holds for what arrives late, too."""
_WRITER: Final = "SELECT epoch, owner, batch, released FROM writer FOR NO KEY UPDATE"
_SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint FROM pg_class
WHERE relnamespace = 'nessus_sched'::regnamespace AND relkind = 'r'
AND relname NOT IN ('export', 'export_chunk', 'mirror', 'mirror_block')"""
"""Of tasks and what belongs to them, in bytes."""
_SESSION: Final = """
SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
_END_SESSION: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid = ? AND backend_start::text = ?"""


class PostgresEngine:
    """Implements `store.tasks.engine.Engine` for a connection string or URL of libpq.

    The writer's session holds a lock that ends with it, so there is one writer for each database.
    When its connection is lost, the next one ends the old session, waits for its transaction, and
    only then looks whether the last commit was stored. If another process has written in between,
    or if the database was reset to an earlier state, `StoreTakenOver` is raised.
    """

    lease = SECONDS

    def __init__(
        self, conninfo: str, password: str | None = None, daemon: Daemon | None = None
    ) -> None:
        self.place = place_of(conninfo)
        self.candidate = Candidate(self._open_session, daemon or Daemon(host=gethostname()))
        """Says who we are. A daemon that shares the store waits with it, before `open_writer`."""
        self.took_over = False
        self.conninfo = conninfo if password is None else with_password(conninfo, password)
        """With the password: never shown."""
        self.owner = secrets.token_hex(16)
        """Of this process, in the database."""
        self._epoch = 0
        self._batch: int | None = None
        """Committed by this process as far as it knows; None before its first session."""
        self._session: tuple[int, str] | None = None
        self._in_doubt = self._stored = False
        self._size = 0

    def open_writer(self) -> Connection:
        """Raises `AlreadyRunning` and `StoreTakenOver` in addition."""
        connection, self.candidate.session = self.candidate.session, None
        if connection is None:
            connection = self._open_session()
        with opening(connection, f"cannot use {self.place}"):
            self._lock(connection)
            migrate(connection, secrets.token_bytes(32))
            self._take_over(connection)
        return connection

    def _open_session(self) -> PostgresConnection:
        connection = connect(self.conninfo)
        if (encoding := connection.encoding) != "UTF8":
            connection.close()
            reason = f"{self.place} has the encoding {encoding}, not UTF8"
            raise StoreUnavailable(reason)
        return connection

    def open_reader(self) -> Connection:
        connection = connect(self.conninfo, reading=True)
        with opening(connection, f"cannot read {self.place}"):
            check_migrated(connection)
        return connection

    def begin(self, connection: Connection, *, together: bool = True) -> None:
        if together:
            _ours(connection).begin_pipeline()
        connection.execute("BEGIN")
        connection.execute(_FENCE, (self._epoch, self._batch))

    def wait(self, connection: Connection) -> None:
        _ours(connection).end_pipeline()

    def commit(self, connection: Connection) -> None:
        ours = _ours(connection)
        # Every failure is known before the commit is sent; without it, nothing is stored.
        ours.end_pipeline()
        try:
            ours.commit()
        except ConnectionLost as error:
            self._in_doubt = True
            raise CommitInDoubt(str(error)) from error
        assert self._batch is not None
        self._batch += 1

    def was_stored(self) -> bool:
        assert not self._in_doubt
        return self._stored

    def announce(self, connection: Connection, daemon: Daemon) -> None:
        self.candidate.daemon = daemon
        name_leader(connection, daemon)

    def release(self, connection: Connection) -> None:
        self.begin(connection)
        connection.execute("UPDATE writer SET released = true")
        self.commit(connection)

    def measure(self, connection: Connection) -> None:
        (self._size,) = connection.execute(_SIZE).fetchone()

    def sizes(self) -> Sizes:
        return Sizes(self._size, 0)

    def _lock(self, connection: Connection) -> None:
        """Makes this the only session that writes."""
        if self._session is not None:
            connection.execute(_END_SESSION, self._session).fetchall()
        connection.execute(f"SET lock_timeout = {_WAIT_MS}")
        try:
            connection.execute("SELECT pg_advisory_lock(?, ?)", LOCK).fetchall()
        except DatabaseBusy as error:
            if self._batch is not None:
                raise StoreTakenOver(f"another daemon has taken over {self.place}") from error
            message = f"another daemon already uses {self.place}"
            raise AlreadyRunning(message, pid=None) from error
        connection.execute("SET lock_timeout = 0")
        connection.execute("SET synchronous_commit = on")

    def _take_over(self, connection: Connection) -> None:
        """Fences off earlier sessions, and settles what they left in doubt."""
        connection.execute("BEGIN")
        # Waits for what an earlier session has begun.
        row = connection.execute(_WRITER).fetchone()
        if row is None:
            raise StoreUnavailable(f"the writer of {self.place} is not noted; restore a backup")
        epoch, owner, batch, released = row
        if self._batch is not None:
            possible = {self._batch, self._batch + 1} if self._in_doubt else {self._batch}
            if owner != self.owner or batch not in possible:
                raise StoreTakenOver(f"{self.place} was changed by another daemon, or reset")
        connection.execute("UPDATE writer SET epoch = epoch + 1, owner = ?", (self.owner,))
        if self._batch is None:
            begin_leading(connection, self.candidate.daemon)
            self.took_over = not released
        session = connection.execute(_SESSION).fetchone()
        connection.execute("COMMIT")
        self._stored = batch != self._batch
        self._in_doubt = False
        self._epoch, self._batch, self._session = epoch + 1, batch, session


def _ours(connection: Connection) -> PostgresConnection:
    return cast("PostgresConnection", connection)
