"""Short reads of a database on separate connections, next to the writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.connection import FAILURES, Connection, is_lost
from nessus_sched.store.executor import Executor

T = TypeVar("T")
C = TypeVar("C", bound=Connection)


class Readers(Generic[C]):
    """A pool of read-only connections, each lent for one short read. `opens` opens one, and raises
    `StoreUnavailable`.

    A read sees one snapshot and blocks checkpoints of the log while it lasts, so long work must
    proceed page by page.
    """

    def __init__(self, opens: Callable[[], C], executor: Executor) -> None:
        self._opens = opens
        self._executor = executor
        self._idle: list[C] = []
        self._closed = False

    async def read(self, work: Callable[[C], T]) -> T:
        """Raises `StoreUnavailable` if the file cannot be read."""
        return await self._executor.read(lambda: self._with_connection(work))

    async def run(self, step: Callable[[C], bool]) -> None:
        """Repeats `step`, each in a snapshot of its own, until it returns False."""
        while await self.read(step):
            pass

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _lend(self) -> C:
        # list.pop and list.append are atomic, so no lock is needed.
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._opens()
            if not is_lost(connection):
                return connection

    def _with_connection(self, work: Callable[[C], T]) -> T:
        connection = self._lend()
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


def snapshot(connection: C, work: Callable[[C], T]) -> T:
    """Runs `work` within one read transaction; raises `StoreUnavailable`."""
    try:
        connection.execute("BEGIN")
        try:
            return work(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except FAILURES as error:
        raise StoreUnavailable(f"the database cannot be read: {error}") from error
