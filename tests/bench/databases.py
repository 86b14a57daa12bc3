"""Durable submissions in PostgreSQL beside SQLite, on one disk, and what each step costs.

The server is Debian's with its own settings, on a Unix socket; it syncs every commit.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import cast

import psycopg
import trio

from nessus_sched.core.task import Task
from nessus_sched.core.task_store import KEY_TTL
from nessus_sched.daemon.lifecycle import tune_interpreter
from nessus_sched.store.connection import Connection
from nessus_sched.store.postgres import engine as postgres_engine
from nessus_sched.store.postgres.connection import PostgresConnection
from nessus_sched.store.postgres.engine import PostgresEngine
from nessus_sched.store.tasks.committer import BatchCommitter, Request
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.store.tasks.submission import Submit
from support import postgres
from support.stored import START, submitted
from tests.bench.figures import Figure, medians, percentiles
from tests.bench.peers import Peer, document, sync_rate
from tests.bench.peers import Submit as Submits
from tests.bench.submissions import WHAT, new_tasks, ours, submission_rate

CALLERS = (1, 16, 256)
SECONDS = 1.0
OURS_HERE, OURS_THERE = "nessus-sched, SQLite", "nessus-sched, PostgreSQL"
SESSIONS = 16
"""Connections of the peer that commits one by one."""
_TABLE = "CREATE TABLE queue (id text PRIMARY KEY, content text NOT NULL)"
_INSERT = b"INSERT INTO queue VALUES (%s, %s)"
_ROUNDS = {1: 400, 16: 150, 256: 30}


@contextmanager
def database(cluster: postgres.Cluster) -> Iterator[str]:
    """A new one, dropped afterwards."""
    conninfo = cluster.database()
    yield conninfo
    cluster.sql(f"DROP DATABASE {conninfo.rsplit('=', 1)[1]} WITH (FORCE)")


@asynccontextmanager
async def ours_there(conninfo: str, _directory: Path) -> AsyncIterator[Submits]:
    tune_interpreter()
    async with TaskStore.open_engine(PostgresEngine(conninfo), now=lambda: START) as store:
        yield lambda task: store.submit(task, submitted(task))


class _Pipeline:
    """psycopg by hand: one connection in pipeline mode, one transaction for all who wait."""

    def __init__(self, connection: psycopg.Connection[object]) -> None:
        self._connection = connection
        self._waiting: list[tuple[Task, trio.Event]] = []
        self._wake = trio.Event()

    async def submit(self, task: Task) -> None:
        done = trio.Event()
        self._waiting.append((task, done))
        self._wake.set()
        await done.wait()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            batch, self._waiting = self._waiting, []
            rows = [(task.task_id, document(task).decode()) for task, _ in batch]
            await trio.to_thread.run_sync(self._store, rows)
            for _, done in batch:
                done.set()

    def _store(self, rows: Sequence[tuple[str, str]]) -> None:
        with self._connection.pipeline(), self._connection.cursor() as cursor:
            for row in rows:
                cursor.execute(_INSERT, row)
        self._connection.commit()


@asynccontextmanager
async def raw_pipeline(conninfo: str, _directory: Path) -> AsyncIterator[Submits]:
    connection = psycopg.connect(conninfo)
    connection.execute(_TABLE)
    connection.commit()
    peer = _Pipeline(connection)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.run)
        yield peer.submit
        nursery.cancel_scope.cancel(reason="measured")
    connection.close()


@asynccontextmanager
async def one_by_one(conninfo: str, _directory: Path) -> AsyncIterator[Submits]:
    """What one writes first: a commit for each, in threads with a connection of their own."""
    local, opened = threading.local(), list[psycopg.Connection[object]]()
    limiter = trio.CapacityLimiter(SESSIONS)
    with psycopg.connect(conninfo) as connection:
        connection.execute(_TABLE)

    def insert(task: Task) -> None:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(conninfo, autocommit=True)
            opened.append(local.connection)
        local.connection.execute(_INSERT, (task.task_id, document(task).decode()))

    async def submit(task: Task) -> None:
        await trio.to_thread.run_sync(insert, task, limiter=limiter)

    yield submit
    for each in opened:
        each.close()


def one_round(cluster: postgres.Cluster) -> list[Figure]:
    """Everybody once, in turn. Files are beside the server's, so on the same disk."""
    with tempfile.TemporaryDirectory() as name:
        found = [sync_rate(Path(name), SECONDS).figure(WHAT, "the disk: one fdatasync each", 1)]
    for callers in CALLERS:
        for who, peer in (
            (OURS_HERE, None),
            (OURS_THERE, ours_there),
            ("psycopg, raw pipeline", raw_pipeline),
            (f"psycopg, one commit each, {SESSIONS} sessions", one_by_one),
        ):
            with tempfile.TemporaryDirectory() as name, database(cluster) as conninfo:
                chosen: Peer = ours if peer is None else partial(peer, conninfo)
                got = trio.run(submission_rate, chosen, Path(name), callers, SECONDS)
                found.append(got.figure(WHAT, who, callers))
    return found


def measure(rounds: int = 5) -> list[Figure]:
    """Nothing without a PostgreSQL."""
    if postgres.programs() is None:
        return []
    with postgres.running(durable=True) as cluster:
        found = medians([one_round(cluster) for _ in range(rounds)])
        with tempfile.TemporaryDirectory() as name, database(cluster) as conninfo:
            for who, engine in (
                (OURS_HERE, SqliteSteps(Path(name) / FILE_NAME)),
                (OURS_THERE, PostgresSteps(conninfo)),
            ):
                found += steps(who, engine)
    return found


class Steps:
    """Times of the steps of a batch, in seconds."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}
        self._since = 0.0

    def begin(self) -> None:
        self._since = perf_counter()

    def end(self, step: str) -> None:
        now = perf_counter()
        self.taken.setdefault(step, []).append(now - self._since)
        self._since = now


class SqliteSteps(SqliteEngine):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps = Steps()

    def begin(self, connection: Connection, *, together: bool = True) -> None:
        self.steps.begin()
        super().begin(connection, together=together)
        self.steps.end("begin")

    def wait(self, connection: Connection) -> None:
        super().wait(connection)
        self.steps.end("statements")

    def commit(self, connection: Connection) -> None:
        super().commit(connection)
        self.steps.end("commit")


class PostgresSteps(PostgresEngine):
    """Waits after each step, which the daemon does only before the commit."""

    def __init__(self, conninfo: str) -> None:
        super().__init__(conninfo)
        self.steps = Steps()

    def begin(self, connection: Connection, *, together: bool = True) -> None:
        ours_ = cast("PostgresConnection", connection)
        self.steps.begin()
        ours_.begin_pipeline()
        ours_.execute("BEGIN")
        ours_.sync()
        self.steps.end("begin")
        ours_.execute(postgres_engine._FENCE, (self._epoch, self._batch))
        ours_.sync()
        self.steps.end("fence: nobody else has written")

    def wait(self, connection: Connection) -> None:
        super().wait(connection)
        self.steps.end("statements")

    def commit(self, connection: Connection) -> None:
        super().commit(connection)
        self.steps.end("commit")


def steps(who: str, engine: SqliteSteps | PostgresSteps) -> list[Figure]:
    """Of batches of each size."""
    tune_interpreter()
    committer = BatchCommitter(cast("Engine", engine))
    committer.open()
    tasks, found = new_tasks(), []
    for size, rounds in _ROUNDS.items():
        engine.steps.taken.clear()
        encoding: list[float] = []
        for _ in range(rounds):
            batch = list(islice(tasks, size))
            begun = perf_counter()
            requests = [Request(Submit.encode(each, submitted(each), KEY_TTL)) for each in batch]
            encoding.append(perf_counter() - begun)
            committer.commit(requests)
        for step, taken in {"encode": encoding, **engine.steps.taken}.items():
            p50, p99 = percentiles(taken)
            found.append(
                Figure(
                    what=step, who=who, unit="ms", value=statistics.median(taken) * 1000,
                    at=size, of="submissions in a batch", p50=p50, p99=p99,
                )
            )  # fmt: skip
    committer.close()
    return found
