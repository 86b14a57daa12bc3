"""Verifying the journal: whatever is changed behind its back is noticed."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError, StoreUnavailable
from nessus_sched.store.connection import Connection
from nessus_sched.store.tasks import verify
from nessus_sched.store.tasks.codec import encode_task
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support.engines import Stores
from support.stored import START, a_request, a_task, moved, submitted

TASKS = 30


@pytest.fixture(scope="module")
def written(shared_stores: Stores) -> Stores:
    """A store with some history: moves, notes, purges and a pruned beginning."""

    async def write() -> None:
        async with shared_stores.open() as store:
            for order in range(1, TASKS + 1):
                task = a_task(order, request=a_request(name=f"Käse {order}"))
                await store.submit(task, submitted(task))
                if order % 3 == 0:
                    await store.record(*moved(task, TaskState.CANCELED))
                if order % 7 == 0:
                    await store.note(JournalEntry(at=START, event="drained", actor="cli:bob"))
            await store.purge_tasks(["t00000003", "t00000015"], at=START + 90)
            await store.purge_tasks(["t00000001", "t00000002"], at=START + 90)  # not settled

    trio.run(write)
    return shared_stores


@pytest.fixture
def copy(written: Stores, tmp_path: Path) -> Stores:
    return written.copy(tmp_path)


@pytest.fixture
def tamper(copy: Stores) -> Iterator[Connection]:
    with copy.by_hand() as connection:
        yield connection


def by_hand(sql: str, connection: Connection) -> str:
    """SQL as the database behind the connection has it."""
    if isinstance(connection, sqlite3.Connection):
        return sql
    return re.sub(r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", sql)


def test_what_was_written_verifies(written: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    report = written.verified()
    assert report.ok, report.problems
    assert (report.rows, report.tasks) == (report.head.seq, TASKS - 2)
    for page in (1, 7, report.rows, report.tasks):
        monkeypatch.setattr(verify, "PAGE", page)
        assert written.verified() == report


CHANGES = [
    "UPDATE journal SET content = replace(content, 'alice', 'mallo') WHERE seq = 5",
    "UPDATE journal SET content = replace(content, '\"event\":', '\"Event\":') WHERE seq = 1",
    "UPDATE journal SET task_ord = 9 WHERE seq = 5",
    "UPDATE journal SET task_ord = NULL WHERE seq = 5",
    "UPDATE journal SET purged_id = 't00000001' WHERE seq = 1",
    "UPDATE journal SET purged_id = NULL WHERE purged_id IS NOT NULL",
    "UPDATE journal SET task_digest = zeroblob(32) WHERE seq = 5",
    "UPDATE journal SET task_digest = NULL WHERE seq = 5",
    "UPDATE journal SET task_digest = zeroblob(0) WHERE task_digest IS NULL",
    "UPDATE journal SET hash = zeroblob(32) WHERE seq = 5",
    "UPDATE journal SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM journal)",
    "UPDATE journal SET seq = -1 WHERE seq = 1",
    "DELETE FROM journal WHERE seq = 1",
    "DELETE FROM journal WHERE seq = 20",
    "DELETE FROM journal WHERE seq >= (SELECT max(seq) FROM journal)",
    "DELETE FROM journal WHERE seq > 10",
    "DELETE FROM journal",
    """INSERT INTO journal (seq, content, hash)
    SELECT seq + 1, content, hash FROM journal ORDER BY seq DESC LIMIT 1""",
    """INSERT INTO journal (seq, content, hash)
    SELECT max(seq) + 9, '{}', zeroblob(32) FROM journal""",
    "INSERT INTO journal VALUES (0, NULL, NULL, NULL, '{}', zeroblob(32))",
    "UPDATE chain SET head_seq = head_seq - 1",
    "UPDATE chain SET head_hash = zeroblob(32)",
    "UPDATE chain SET base_seq = 4, base_hash = (SELECT hash FROM journal WHERE seq = 4)",
    "DELETE FROM chain",
    "DELETE FROM task WHERE ord = 1",
    "DELETE FROM task WHERE ord = 9",
    "UPDATE task SET document = replace(document, 'alice', 'mallo') WHERE ord = 1",
    "UPDATE task SET state = 'completed' WHERE ord = 1",
    "UPDATE task SET scanner = 'other' WHERE ord = 1",
    "UPDATE task SET words = 'other' WHERE ord = 1",
    "UPDATE task SET owed = 1 WHERE ord = 1",
    "UPDATE task SET part_of = 'other' WHERE ord = 1",
    "UPDATE task SET actor = 'other', kind = 'quick' WHERE ord = 1",
    "UPDATE task SET updated_at = updated_at + 1 WHERE ord = 1",
    "UPDATE task SET created_at = created_at + 1 WHERE ord = 1",
    "UPDATE task SET journal_seq = journal_seq + 1 WHERE ord = 1",
    "UPDATE task SET ord = 999 WHERE ord = 1",
    "UPDATE task SET task_id = 'other' WHERE ord = 1",
    """INSERT INTO task SELECT 999, 'copy', state, scanner, kind, pool, priority, actor,
    created_at, updated_at, journal_seq, words, document, owed, part_of FROM task WHERE ord = 1""",
]


@pytest.mark.parametrize("sql", CHANGES)
def test_a_change_by_hand_is_noticed(copy: Stores, tamper: Connection, sql: str) -> None:
    assert tamper.execute(by_hand(sql, tamper)).rowcount > 0
    tamper.close()
    assert not copy.verified().ok


def test_a_store_without_its_head_is_not_written_to(copy: Stores, tamper: Connection) -> None:
    tamper.execute("DELETE FROM chain")
    tamper.close()

    async def open_it() -> None:
        async with copy.open():
            raise AssertionError("opened")

    with pytest.raises(StoreUnavailable, match="restore a backup"):
        trio.run(open_it)


async def test_rows_put_behind_the_head_do_not_stop_the_daemon(stores: Stores) -> None:
    async with stores.open() as store:
        await store.note(JournalEntry(at=START, event="drained"))
    with stores.by_hand() as connection:
        sql = "INSERT INTO journal VALUES (2, NULL, NULL, NULL, '{}', zeroblob(32))"
        connection.execute(by_hand(sql, connection))
    async with stores.open() as store:
        task = a_task()
        await store.submit(task, submitted(task))
        assert await store.get(task.task_id) == task
        assert not (await store.verify()).ok


async def test_a_beginning_cut_off_without_a_pruning_is_noticed(stores: Stores) -> None:
    async with stores.open() as store:
        for _ in range(3):
            await store.note(JournalEntry(at=START, event="drained"))
    with stores.by_hand() as connection:
        connection.execute(
            "UPDATE chain SET base_seq = 1, base_hash = (SELECT hash FROM journal WHERE seq = 1)"
        )
        connection.execute("DELETE FROM journal WHERE seq = 1")
    assert stores.verified().problems == ("journal: rows up to 1 are gone without a pruning",)


def test_moving_the_journals_end_together_with_its_head_leaves_tasks_behind(
    copy: Stores, tamper: Connection
) -> None:
    tamper.execute("DELETE FROM journal WHERE seq > 20")
    tamper.execute(
        "UPDATE chain SET (head_seq, head_hash) = (SELECT seq, hash FROM journal WHERE seq = 20)"
    )
    tamper.close()
    assert not copy.verified().ok


def test_setting_a_task_back_to_an_earlier_state_is_noticed(
    copy: Stores, tamper: Connection
) -> None:
    """Back to what it once truly was, with the pointer that goes with it."""
    with copy.read() as store:
        seq = store.journal_of("t00000006")[0].seq
        task = store.get("t00000006")
    assert task is not None
    earlier = a_task(6, request=task.request)

    row = encode_task(earlier, updated_at=earlier.created_at)
    tamper.execute(
        "UPDATE task SET state = ?, updated_at = ?, document = ?, journal_seq = ? WHERE ord = 6",
        (row.state, row.updated_at, row.document, seq),
    )
    tamper.close()
    assert copy.verified().problems == (
        f"task with order 6: points to journal row {seq}, its latest is {seq + 1}",
    )


def test_a_head_kept_elsewhere_shows_an_end_that_was_cut_off(copy: Stores, tmp_path: Path) -> None:
    """Losing whole commits leaves a consistent store: only the head tells."""
    before = copy.verified().head
    kept = JournalHead.parse(before.text)
    assert kept == before

    async def write_more() -> None:
        async with copy.open() as store:
            task = a_task(100)
            await store.submit(task, submitted(task))

    directory = tmp_path / "older"
    directory.mkdir()
    older = copy.copy(directory)
    trio.run(write_more)
    after = copy.verified()
    assert after.ok
    assert copy.verified(kept).ok
    assert older.verified(kept).ok
    assert not older.verified(after.head).ok
    assert not copy.verified(JournalHead(5, bytes(32))).ok


@pytest.mark.parametrize("text", ["", "5", "5:zz", "x:" + "00" * 32, "5:00"])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        JournalHead.parse(text)


def contents(file: Path) -> list[object]:
    """All that tasks and journal say."""
    connection = sqlite3.connect(file)
    try:
        return [
            connection.execute(sql).fetchall()
            for sql in (
                "SELECT * FROM task ORDER BY ord",
                "SELECT * FROM journal ORDER BY seq",
                "SELECT * FROM chain",
                "SELECT task_id FROM task INDEXED BY task_by_state",
            )
        ]
    finally:
        connection.close()


@pytest.mark.parametrize("shared_stores", ["sqlite"], indirect=True)
@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_is_noticed_wherever_it_says_anything(
    written: Stores, tmp_path: Path, seed: int
) -> None:
    """Free space within pages says nothing: there the contents must be as they were."""
    chance = random.Random(seed)
    copy = written.copy(tmp_path)
    file = tmp_path / FILE_NAME
    original = file.read_bytes()
    whole = contents(file)
    noticed = 0
    for _ in range(40):
        changed = bytearray(original)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        file.write_bytes(changed)
        try:
            problems = bool(copy.verified().problems)
        except StoreError:
            problems = True
        noticed += problems
        if not problems:
            assert contents(file) == whole
    assert noticed


async def test_verify_runs_beside_the_work(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "PAGE", 10)

    async def work() -> None:
        for order in range(1, 201):
            task = a_task(order)
            await store.submit(task, submitted(task))
            await store.record(*moved(task, TaskState.CANCELED))
            if order % 10 == 0:
                await store.purge_tasks([task.task_id], at=START)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        reports = [await store.verify() for _ in range(10)]
    assert [report.problems for report in reports] == [()] * 10
    final = await store.verify()
    assert (final.rows, final.tasks, final.ok) == (420, 180, True)
