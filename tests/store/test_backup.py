"""Backups and offline reading: copies of a store in use, and no traces left behind."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import BackupFailed, StoreUnavailable
from nessus_sched.store import backup
from nessus_sched.store.tasks.offline import read_offline
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support.engines import ONLY_SQLITE
from support.stored import START, a_task, moved, submitted


@ONLY_SQLITE
async def submit(store: TaskStore, *orders: int) -> None:
    for order in orders:
        task = a_task(order)
        await store.submit(task, submitted(task))


def back_up(directory: Path, destination: Path) -> int:
    with read_offline(directory) as store:
        return store.backup(destination)


def orders(directory: Path) -> list[int]:
    with read_offline(directory) as store:
        assert store.verify().ok
        return [task.order for task in reversed(store.list(limit=10_000).tasks)]


@pytest.mark.slow
@ONLY_SQLITE
async def test_a_backup_under_load_holds_what_was_acknowledged_before_it(
    store: TaskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 5)
    copies = tmp_path / "copies"
    copies.mkdir()
    acknowledged = 0

    async def work() -> None:
        nonlocal acknowledged
        for order in range(1, 501):
            await submit(store, order)
            acknowledged = order

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        while acknowledged < 500:
            already = acknowledged
            size = await trio.to_thread.run_sync(back_up, tmp_path, copies / FILE_NAME)
            assert size == (copies / FILE_NAME).stat().st_size
            assert stat.S_IMODE((copies / FILE_NAME).stat().st_mode) == 0o600
            found = orders(copies)
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= already
    assert [file.name for file in copies.iterdir()] == [FILE_NAME]


@ONLY_SQLITE
async def test_a_backup_is_a_store_to_go_on_with(store: TaskStore, tmp_path: Path) -> None:
    await submit(store, 1)
    restored = tmp_path / "restored"
    restored.mkdir()
    back_up(tmp_path, restored / FILE_NAME)
    async with TaskStore.open(restored, now=lambda: START) as again:
        await submit(again, 2)
        assert (await again.verify()).ok
    assert orders(restored) == [1, 2]


@ONLY_SQLITE
async def test_a_backup_that_cannot_be_written_leaves_the_old_one(
    store: TaskStore, tmp_path: Path
) -> None:
    with pytest.raises(BackupFailed, match="cannot back up"):
        back_up(tmp_path, tmp_path / "nowhere" / "copy")
    folder = tmp_path / "folder"
    (folder / "copy").mkdir(parents=True)
    with pytest.raises(BackupFailed):
        back_up(tmp_path, folder / "copy")
    assert [file.name for file in folder.iterdir()] == ["copy"]


@ONLY_SQLITE
async def test_offline_reading_sees_what_the_daemon_has_committed(
    store: TaskStore, tmp_path: Path
) -> None:
    await submit(store, 1, 2)
    await store.record(*moved(a_task(1), TaskState.CANCELED))
    with read_offline(tmp_path) as offline:
        assert offline.get(a_task(2).task_id) == a_task(2)
        assert offline.get("nobody") is None
        assert offline.counts()[TaskState.CANCELED] == 1
        assert [record.entry.event for record in offline.journal_of(a_task(1).task_id)] == [
            "submitted",
            "canceled",
        ]
        assert [record.seq for record in offline.journal(after=1)] == [2, 3]
        await submit(store, 3)
        assert offline.get(a_task(3).task_id) == a_task(3)
        assert offline.backup(tmp_path / "copy") > 0


async def test_offline_reading_of_a_stopped_store_leaves_no_files(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        await submit(store, 1)
    assert orders(tmp_path) == [1]
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


@ONLY_SQLITE
async def test_offline_reading_after_a_crash_sees_the_log(store: TaskStore, tmp_path: Path) -> None:
    await submit(store, 1)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / (FILE_NAME + suffix), crashed / (FILE_NAME + suffix))
    assert orders(crashed) == [1]


def test_a_store_that_is_not_there_is_said_so_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no"), read_offline(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
