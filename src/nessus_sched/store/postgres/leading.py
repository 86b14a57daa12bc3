"""Which daemon leads, in the database: the session that holds a lock; the row `writer` says who.

A daemon that waits looks again and again, in a session of its own, and takes the lock once the
leader is gone (`core.leading.watch`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from nessus_sched.core.clock import Now, steady_clock
from nessus_sched.core.leading.leader import Daemon, Leader
from nessus_sched.core.leading.watch import Seen, Verdict, Watch
from nessus_sched.core.store_errors import OtherConfiguration
from nessus_sched.store.connection import Connection, DatabaseFailure
from nessus_sched.store.postgres.connection import PostgresConnection, unavailable
from nessus_sched.store.postgres.schema import check

Opens = Callable[[], PostgresConnection]

LOCK: Final = (0x6E737431, 1)
"""The advisory lock of the session that writes."""
_HOLDERS: Final = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = ? AND objid = ?
AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_LEADER: Final = "SELECT epoch, batch, released, host, addresses, sections, since FROM writer"
_END: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM unnest(?::int[]) AS pid
WHERE EXISTS (SELECT 1 FROM writer WHERE epoch = ? AND batch = ?)"""
"""Unless it has written since."""
_TRY: Final = "SELECT pg_try_advisory_lock(?, ?)"
_NAME: Final = """
UPDATE writer SET released = false, host = ?, addresses = ?, sections = ?"""
_SINCE: Final = "UPDATE writer SET since = extract(epoch FROM clock_timestamp())"


def name_leader(connection: Connection, daemon: Daemon) -> None:
    """Notes who leads, in a transaction of the leader."""
    connection.execute(
        _NAME, (daemon.host, json.dumps(daemon.addresses), json.dumps(dict(daemon.sections)))
    )


def begin_leading(connection: Connection, daemon: Daemon) -> None:
    """`name_leader`, with the time from which it leads."""
    name_leader(connection, daemon)
    connection.execute(_SINCE)


class Candidate:
    """A daemon that wants to lead. Its methods block; one thread at a time may use it.

    `opens` opens a session of a writer. Once `look` has returned True, `session` has the lock.
    """

    def __init__(self, opens: Opens, daemon: Daemon, steady: Now | None = None) -> None:
        self.daemon = daemon
        self.leader: Leader | None = None
        """As of the latest look."""
        self.differs: tuple[str, ...] = ()
        """The sections of the configuration because of which it would not take over now."""
        self.session: PostgresConnection | None = None
        self.accepts_any = False
        """Leads whatever the configuration of the last leader was, unless that one is alive."""
        self._opens = opens
        self._steady = steady or steady_clock()
        self._first = True
        self._watch = Watch()

    def look(self) -> bool:
        """Takes over if the leader is gone, and returns whether it did. Raises
        `StoreUnavailable` and `WrongSchema`; in the first look `OtherConfiguration` if the
        daemon may not even wait."""
        try:
            return self._look()
        except DatabaseFailure as error:
            self.close()
            raise unavailable("cannot use the database", error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def _look(self) -> bool:
        if self.session is None:
            self._watch = Watch()
            self.session = self._opens()
        session = self.session
        if session.execute("SHOW transaction_read_only").fetchone()[0] == "on":
            raise DatabaseFailure("it only takes read-only transactions")
        holders = [pid for (pid,) in session.execute(_HOLDERS, LOCK)]
        held = bool(holders)
        row = session.execute(_LEADER).fetchone() if check(session) else None
        self.leader = None if row is None or not row[3] else _leader(row)
        sign = (row[0], row[1]) if row is not None else (0, 0)
        self.differs = self._differences(held)
        verdict = self._watch.look(Seen(sign, held), self._steady())
        if self._first and not held:
            verdict = Verdict.LEAD
        # A leader that has said goodbye is about to close its session.
        self._first = self._first and held and self.leader is not None and self.leader.released
        if verdict is Verdict.WAIT or self.differs:
            return False
        if verdict is Verdict.END:
            session.execute(_END, (holders, *sign)).fetchall()
        return self._take(session)

    def _differences(self, held: bool) -> tuple[str, ...]:
        leader = self.leader
        found = () if leader is None else self.daemon.differs_in(leader.daemon)
        if not self._first or leader is None or not found or (held and leader.released):
            return found
        own = leader.daemon.host == self.daemon.host
        if not held and (leader.released or own or self.accepts_any):
            return ()
        raise OtherConfiguration(leader.daemon.host, found, leads=held)

    def _take(self, session: PostgresConnection) -> bool:
        return bool(session.execute(_TRY, LOCK).fetchone()[0])


def _leader(row: Any) -> Leader:
    _, _, released, host, addresses, sections, since = row
    daemon = Daemon(
        host=host, addresses=tuple(json.loads(addresses)), sections=json.loads(sections)
    )
    return Leader(daemon=daemon, since=since, released=released)
