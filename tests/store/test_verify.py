"""Verifying the journal: whatever is changed behind its back is noticed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError, StoreUnavailable
from nessus_sched.store.tasks import verify
from nessus_sched.store.tasks.codec import encode_task
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.offline import read_offline
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.store.tasks.verify import VerifyReport
from support.stored import START, a_request, a_task, moved, submitted

TASKS = 30


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with some history: moves, notes, purges and a pruned beginning."""
    directory = tmp_path_factory.mktemp("written")

    async def write() -> None:
        async with TaskStore.open(directory, now=lambda: START) as store:
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
    return directory / FILE_NAME


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / FILE_NAME))


@pytest.fixture
def tamper(copy: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(copy, isolation_level=None)
    yield connection
    connection.close()


def verified(file: Path, expected: JournalHead | None = None) -> VerifyReport:
    with read_offline(file.parent) as store:
        return store.verify(expected)


def test_what_was_written_verifies(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = verified(written)
    assert report.ok, report.problems
    assert (report.rows, report.tasks) == (report.head.seq, TASKS - 2)
    for page in (1, 7, report.rows, report.tasks):
        monkeypatch.setattr(verify, "PAGE", page)
        assert verified(written) == report


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
    "INSERT INTO journal SELECT max(seq) + 1, NULL, NULL, NULL, content, hash FROM journal",
    "INSERT INTO journal SELECT max(seq) + 9, NULL, NULL, NULL, '{}', zeroblob(32) FROM journal",
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
def test_a_change_by_hand_is_noticed(copy: Path, tamper: sqlite3.Connection, sql: str) -> None:
    assert tamper.execute(sql).rowcount > 0
    tamper.close()
    assert not verified(copy).ok


def test_a_store_without_its_head_is_not_written_to(copy: Path, tamper: sqlite3.Connection) -> None:
    tamper.execute("DELETE FROM chain")
    tamper.close()

    async def open_it() -> None:
        async with TaskStore.open(copy.parent, now=lambda: START):
            raise AssertionError("opened")

    with pytest.raises(StoreUnavailable, match="restore a backup"):
        trio.run(open_it)


async def test_rows_put_behind_the_head_do_not_stop_the_daemon(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        await store.note(JournalEntry(at=START, event="drained"))
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    with connection:
        connection.execute("INSERT INTO journal VALUES (2, NULL, NULL, NULL, '{}', zeroblob(32))")
    connection.close()
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        task = a_task()
        await store.submit(task, submitted(task))
        assert await store.get(task.task_id) == task
        assert not (await store.verify()).ok


async def test_a_beginning_cut_off_without_a_pruning_is_noticed(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        for _ in range(3):
            await store.note(JournalEntry(at=START, event="drained"))
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.executescript(
        "UPDATE chain SET base_seq = 1, base_hash = (SELECT hash FROM journal WHERE seq = 1);"
        "DELETE FROM journal WHERE seq = 1"
    )
    connection.close()
    assert verified(tmp_path / FILE_NAME).problems == (
        "journal: rows up to 1 are gone without a pruning",
    )


def test_moving_the_journals_end_together_with_its_head_leaves_tasks_behind(
    copy: Path, tamper: sqlite3.Connection
) -> None:
    tamper.executescript(
        "DELETE FROM journal WHERE seq > 20;"
        "UPDATE chain SET (head_seq, head_hash) = (SELECT seq, hash FROM journal WHERE seq = 20)"
    )
    tamper.close()
    assert not verified(copy).ok


def test_setting_a_task_back_to_an_earlier_state_is_noticed(
    copy: Path, tamper: sqlite3.Connection
) -> None:
    """Back to what it once truly was, with the pointer that goes with it."""
    with read_offline(copy.parent) as store:
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
    assert verified(copy).problems == (
        f"task with order 6: points to journal row {seq}, its latest is {seq + 1}",
    )


def test_a_head_kept_elsewhere_shows_an_end_that_was_cut_off(copy: Path, tmp_path: Path) -> None:
    """Losing whole commits leaves a consistent store: only the head tells."""
    before = verified(copy).head
    kept = JournalHead.parse(before.text)
    assert kept == before

    async def write_more() -> None:
        async with TaskStore.open(tmp_path, now=lambda: START) as store:
            task = a_task(100)
            await store.submit(task, submitted(task))

    older = Path(shutil.copy(copy, tmp_path / "older"))
    trio.run(write_more)
    after = verified(copy)
    assert after.ok
    assert verified(copy, kept).ok
    shutil.copy(older, copy)
    assert not verified(copy, after.head).ok
    assert not verified(copy, JournalHead(5, bytes(32))).ok


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


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_is_noticed_wherever_it_says_anything(
    written: Path, copy: Path, seed: int
) -> None:
    """Free space within pages says nothing: there the contents must be as they were."""
    chance = random.Random(seed)
    original = written.read_bytes()
    whole = contents(written)
    noticed = 0
    for _ in range(40):
        changed = bytearray(original)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        copy.write_bytes(changed)
        try:
            problems = bool(verified(copy).problems)
        except StoreError:
            problems = True
        noticed += problems
        if not problems:
            assert contents(copy) == whole
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
