"""Killing a life of the daemon at a chosen moment, and a disk that fails for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from trio._core import _run

from nessus_sched.core.store_errors import StoreClosed

Step = Callable[[str, str], None]
"""Told of every step: what (`commit` or a scanner's request), and `before` or `after`."""


class Killed(Exception):
    """The process is dead: nothing reaches the disk any more."""


class Life:
    """One life of the daemon. `die` ends it at once: what waits for the disk never gets
    there, and no code of the daemon's runs on beyond its next wait."""

    def __init__(self) -> None:
        self.dead = False
        self.disk_fails = False
        self.scope = trio.CancelScope()

    def die(self) -> None:
        self.dead = True
        self.scope.cancel(reason="kill -9")


@asynccontextmanager
async def mortal(life: Life) -> AsyncIterator[None]:
    """What is in the block ends without a trace when `life` does."""
    try:
        with life.scope:
            yield
    except* (Killed, StoreClosed):
        assert life.dead


def mortal_connect(life: Life, step: Step) -> Callable[[Path], sqlite3.Connection]:
    """Connections on which commits can be counted, prevented by death, and fail."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if sql != "COMMIT":
                if sql == "BEGIN IMMEDIATE" and life.disk_fails:
                    raise sqlite3.OperationalError("disk I/O error")
                return super().execute(sql, parameters)
            step("commit", "before")
            if life.dead:
                raise Killed
            cursor = super().execute(sql, parameters)
            step("commit", "after")
            return cursor

    def opened(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Connection
        )

    return opened


def make_reproducible(seed: int) -> None:
    """From here on Trio chooses among runnable tasks by this seed alone."""
    _run._hypothesis_plugin_setup()
    _run._r.seed(seed)
