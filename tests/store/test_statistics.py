"""What the store says of itself, the settings durability rests on, and bounded memory."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.store.sqlite import WAL_LIMIT_BYTES, connect
from nessus_sched.store.tasks.store import TaskStore
from support.engines import ONLY_SQLITE, Stores
from support.stored import START, a_task, moved, submitted


@ONLY_SQLITE
async def test_a_snapshot_of_statistics(store: TaskStore, tmp_path: Path) -> None:
    before = store.statistics()
    assert (before.writer.commits, before.writer.commit_max) == (0, 0)
    for order in range(1, 4):
        await store.submit(task := a_task(order), submitted(task))
    await store.record(*moved(task, TaskState.CANCELED))
    now = store.statistics()
    assert now.health.ok
    assert (now.writer.commits, now.writer.requests) == (4, 4)
    assert now.counts[TaskState.QUEUED] == 2
    assert now.counts[TaskState.CANCELED] == 1
    assert now.wal_bytes > before.wal_bytes
    assert now.database_bytes == (tmp_path / "tasks.db").stat().st_size
    assert before.counts[TaskState.QUEUED] == 0


async def test_commits_are_synced_and_the_log_is_kept_short(tmp_path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def remember(path: Path) -> sqlite3.Connection:
        opened.append(connect(path))
        return opened[-1]

    async with TaskStore.open(tmp_path, now=lambda: START, connect=remember):
        settings = {
            name: opened[0].execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum", "journal_size_limit")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL: the log is synced at every commit
        "auto_vacuum": 2,  # INCREMENTAL
        "journal_size_limit": WAL_LIMIT_BYTES,
    }


@pytest.mark.slow
async def test_streaming_what_is_unfinished_needs_little_memory(tmp_path: Path) -> None:
    many = 2000
    async with TaskStore.open(tmp_path, now=lambda: START) as store:

        async def submit(first: int) -> None:
            for order in range(first, many + 1, 100):
                task = a_task(order, summary={"text": "x" * 1000})
                await store.submit(task, submitted(task))

        async with trio.open_nursery() as nursery:
            for first in range(1, 101):
                nursery.start_soon(submit, first)
        tracemalloc.start()
        try:
            seen = 0
            async for _ in store.unfinished(page=50):
                seen += 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen == many
    # All of them together are some 6 MB.
    assert peak < 1_500_000


async def test_sizes_grow_with_what_is_stored(stores: Stores) -> None:
    async with stores.open() as store:
        await store.measure()
        before = store.statistics()
        for order in range(1, 200):
            await store.submit(task := a_task(order), submitted(task))
        await store.measure()
        now = store.statistics()
    assert now.database_bytes + now.wal_bytes > before.database_bytes + before.wal_bytes > 0
