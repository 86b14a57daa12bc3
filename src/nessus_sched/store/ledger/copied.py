"""A ledger that is replaced now and then by a later copy, on a daemon that does not write it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TypeVar

import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.ledger.schema import SCHEMA
from nessus_sched.store.ledger.store import Questions, open_current
from nessus_sched.store.reader import snapshot

T = TypeVar("T")


class CopiedLedger(Questions):
    """Opens the file for each question, one at a time and only while it holds `guard`, so that the
    file can be replaced in between. Implements the port `LedgerReader`."""

    def __init__(self, path: Path, guard: Lock) -> None:
        super().__init__(self._ask)
        self.waiting = 0
        self.copied_at: float | None = None
        """As of when the file is the database's latest copy (epoch seconds)."""
        self._path = path
        self._guard = guard
        self._turn = trio.CapacityLimiter(1)

    def caught_up(self, at: float) -> None:
        """The file, if there is one, is the database's latest copy as of that time."""
        if self._path.exists():
            self.copied_at = at

    async def entered(self) -> frozenset[str]:
        """The tasks whose scans are entered."""
        rows = await self._ask(lambda c: c.execute("SELECT task_id FROM runs").fetchall())
        return frozenset(task_id for (task_id,) in rows)

    async def _ask(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        def in_thread() -> T:
            with self._guard:
                if not self._path.exists():
                    raise StoreUnavailable("the ledger has not been copied here yet")
                with closing(open_current(self._path, SCHEMA)) as connection:
                    return snapshot(connection, work)

        return await trio.to_thread.run_sync(in_thread, limiter=self._turn, abandon_on_cancel=True)
