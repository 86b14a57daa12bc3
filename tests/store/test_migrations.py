"""Opening stores of every released schema, and refusing what is not ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable, WrongSchema
from nessus_sched.store.migrations import Schema, migrate
from nessus_sched.store.sqlite import connect, open_writer
from nessus_sched.store.tasks.offline import read_offline
from nessus_sched.store.tasks.schema import FILE_NAME, TASKS
from nessus_sched.store.tasks.store import TaskStore
from support.stored import START, a_task, submitted

RELEASED = Path(__file__).parent / "released"
"""A small store of each schema version, as the program of that version wrote it: the two
pragmas of `migrations`, then `sqlite3.Connection.iterdump`. Never made again."""


def tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_every_released_schema_has_its_dump() -> None:
    assert [file.name for file in sorted(RELEASED.glob("tasks-*.sql"))] == [
        f"tasks-{version}.sql" for version in range(1, TASKS.version + 1)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("version", range(1, TASKS.version + 1))
async def test_a_store_of_each_released_schema_opens_and_goes_on(
    tmp_path: Path, version: int
) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / f"tasks-{version}.sql").read_text())
    old.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        assert (await store.verify()).ok
        first = await store.get("t00000001")
        assert first is not None
        assert (first.state, first.request.name) == (TaskState.COMPLETED, "Weekly DMZ")
        assert first.summary == {"hosts": 3}
        again = a_task(50, idempotency_key="key")
        assert (await store.submit(again, submitted(again))).task.task_id == "t00000002"
        new = a_task(60)
        await store.submit(new, submitted(new))
        assert [task.order async for task in store.unfinished()] == [2, 60]
        assert (await store.verify()).ok


@pytest.mark.parametrize("version", range(1, TASKS.version + 1))
def test_a_store_of_each_released_schema_is_read_without_a_daemon(
    tmp_path: Path, version: int
) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / f"tasks-{version}.sql").read_text())
    old.close()
    with read_offline(tmp_path) as store:
        assert len(store.list().tasks) == sum(store.counts().values()) == 3
        assert store.verify().ok


async def test_the_schedules_of_a_released_schema_are_read(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / "tasks-5.sql").read_text())
    old.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        (schedule,) = await store.schedules()
    assert (schedule.name, schedule.recurrence.cron) == ("weekly", "0 2 * * mon")
    assert schedule.request.targets == ("192.0.2.0/24",)


async def test_the_outbox_of_a_released_schema_is_read(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / "tasks-7.sql").read_text())
    old.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        assert (await store.outbox.positions())["soc"].seq == 8
        item = await store.outbox.first("soc")
        assert [each.message.document for each in await store.outbox.items()] == [{}]
    assert item is not None
    assert (item.message.title, item.message.kind) == ("Weekly DMZ (failed)", "event")
    assert item.message.document["tasks"][0]["task_id"] == "t00000003"


async def test_the_exceptions_of_a_released_schema_are_read(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / "tasks-6.sql").read_text())
    old.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        (exception,) = await store.exceptions()
    assert exception.rule.hosts == ("192.0.2.0/24", "www.example.com")
    assert (exception.rule.plugins, exception.rule.cves) == ((51192,), ("CVE-2014-0160",))
    assert (exception.rule.port_text, exception.rule.severity) == ("443/tcp", 1)
    assert exception.in_force(START + 40)
    assert exception.known[51192].version == "1.9"
    assert exception.decider is not None
    assert exception.decider.user == "bob"


@pytest.mark.parametrize("version", range(1, TASKS.version + 1))
def test_a_migrated_schema_is_the_same_as_a_new_one(tmp_path: Path, version: int) -> None:
    old = connect(tmp_path / "old")
    old.executescript((RELEASED / f"tasks-{version}.sql").read_text())
    assert migrate(old, TASKS) == version
    new = connect(tmp_path / "new")
    assert migrate(new, TASKS) == 0
    assert tables(old) == tables(new)
    old.close()
    new.close()


def test_steps_run_in_order_once_and_whole(tmp_path: Path) -> None:
    one = Schema(name="x", application_id=7, steps=("CREATE TABLE a (x); ",))
    two = Schema(name="x", application_id=7, steps=(*one.steps, "CREATE TABLE b (y);"))
    broken = Schema(
        name="x", application_id=7, steps=(*two.steps, "CREATE TABLE c (z); CREATE TABLE a (x);")
    )
    connection = connect(tmp_path / "file")
    assert migrate(connection, one) == 0
    assert migrate(connection, two) == 1
    assert migrate(connection, two) == 2
    before = tables(connection)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, broken)
    assert tables(connection) == before
    assert migrate(connection, two) == 2
    connection.close()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("PRAGMA user_version = 99", "newer nessus-sched"),
        ("PRAGMA application_id = 1", "another program"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, sql: str, why: str
) -> None:
    path = tmp_path / FILE_NAME
    open_writer(path, TASKS).close()
    changed = connect(path)
    changed.execute(sql)
    changed.close()
    before = path.read_bytes()

    async def open_it() -> None:
        async with TaskStore.open(tmp_path, now=lambda: START):
            raise AssertionError("opened")

    with pytest.raises(WrongSchema, match=why):
        trio.run(open_it)
    with pytest.raises(WrongSchema, match=why), read_offline(tmp_path):
        pass
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("dear diary " * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_writer(path, TASKS)
    assert path.read_text().startswith("dear diary")


def test_new_files_are_ours_alone(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / FILE_NAME, TASKS)
    connection.execute("DELETE FROM probe")
    connection.execute("INSERT INTO probe VALUES (NULL)")
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    connection.close()
    assert modes == dict.fromkeys((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"), 0o600)


async def test_the_key_of_the_markers_is_made_once_and_is_in_backups(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "other").mkdir()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        seal = await store.seal()
        assert len(seal.key) == 32
        assert seal.plain_until == 0
    with read_offline(tmp_path) as offline:
        offline.backup(tmp_path / "copy" / FILE_NAME)
    for directory, same in (
        (tmp_path, True),
        (tmp_path / "copy", True),
        (tmp_path / "other", False),
    ):
        async with TaskStore.open(directory, now=lambda: START) as store:
            assert (await store.seal() == seal) is same


async def test_attempts_begun_before_markers_had_digests_are_known(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript((RELEASED / "tasks-1.sql").read_text())
    old.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        head = (await store.verify()).head
        assert (await store.seal()).plain_until == head.seq > 0
        task = a_task(60)
        await store.submit(task, submitted(task))
        assert (await store.seal()).plain_until == head.seq


async def test_a_store_without_its_key_is_not_used(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START):
        pass
    changed = connect(tmp_path / FILE_NAME)
    changed.execute("DELETE FROM seal")
    changed.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        with pytest.raises(StoreUnavailable, match="restore a backup"):
            await store.seal()
