"""A task store in one of the databases that it may be in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Final

import attrs
import pytest

from nessus_sched.core.clock import Now
from nessus_sched.store.connection import Connection
from nessus_sched.store.executor import Executor
from nessus_sched.store.sqlite import connect
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.offline import OfflineStore
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.store.tasks.verify import VerifyReport
from support import postgres
from support.stored import START

ENGINES: Final = ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)]
ONLY_SQLITE: Final = pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
"""For a test of what only files have."""


@attrs.frozen
class Stores:
    """One store that may be opened again and again, and touched by hand."""

    conninfo: str | None
    directory: Path
    cluster: postgres.Cluster | None = None

    @classmethod
    def at(cls, place: str) -> Stores:
        """The store of a directory or a connection string."""
        return cls(place, Path()) if "=" in place else cls(None, Path(place))

    @property
    def place(self) -> str:
        return self.conninfo or str(self.directory)

    def engine(self) -> Engine:
        if self.conninfo is None:
            return SqliteEngine(self.directory / FILE_NAME)
        from nessus_sched.store.postgres.engine import PostgresEngine

        return PostgresEngine(self.conninfo)

    def open(
        self, *, now: Now = lambda: START, executor: Executor | None = None
    ) -> AbstractAsyncContextManager[TaskStore]:
        return TaskStore.open_engine(self.engine(), now=now, executor=executor)

    @contextmanager
    def read(self) -> Iterator[OfflineStore]:
        connection = self.engine().open_reader()
        try:
            yield OfflineStore(connection)
        finally:
            connection.close()

    def verified(self, expected: JournalHead | None = None) -> VerifyReport:
        with self.read() as store:
            return store.verify(expected)

    def copy(self, directory: Path) -> Stores:
        """Another store with the same contents."""
        if self.cluster is None or self.conninfo is None:
            shutil.copy(self.directory / FILE_NAME, directory / FILE_NAME)
            return Stores(None, directory)
        return Stores(self.cluster.copy(self.conninfo), directory, self.cluster)

    @contextmanager
    def by_hand(self) -> Iterator[Connection]:
        """A connection beside the store's, for changes that it does not know of."""
        if self.conninfo is None:
            connection: Connection = connect(self.directory / FILE_NAME)
        else:
            from nessus_sched.store.postgres.connection import connect as dial

            connection = dial(self.conninfo)
        try:
            yield connection
        finally:
            connection.close()
