"""Deleting: only what is settled and old, in batches, with the journal still whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import LIVE, SETTLED, TaskState
from nessus_sched.core.task import Task
from nessus_sched.store.tasks import retention, verify
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support.engines import Stores
from support.stored import START, a_task, moved, submitted

LATER = START + 1_000_000


async def settle(store: TaskStore, order: int, after: TaskState = TaskState.CANCELED) -> Task:
    task = a_task(order)
    await store.submit(task, submitted(task))
    settled, entry = moved(task, after)
    await store.record(settled, entry)
    return settled


async def test_the_old_and_settled_go_and_the_rest_stays(store: TaskStore) -> None:
    for order in range(1, 11):
        await settle(store, order)
    dead = await settle(store, 11, TaskState.DEAD)
    await store.submit(live := a_task(12), submitted(live))
    before = a_task(6).created_at + 1
    states = frozenset(TaskState)
    assert sum((await store.count_purgeable(states, before=before)).values()) == 5
    gone = await store.purge(states, before=before, at=LATER)
    assert gone == tuple(a_task(order).task_id for order in range(1, 6))
    assert await store.get(gone[0]) is None
    assert await store.purge({TaskState.DEAD}, before=before, at=LATER) == ()
    assert await store.purge({TaskState.DEAD}, before=LATER, at=LATER) == (dead.task_id,)
    assert store.counts() == {
        state: {TaskState.CANCELED: 5, TaskState.QUEUED: 1}.get(state, 0) for state in TaskState
    }
    assert [task.order for task in (await store.list()).tasks] == [12, 10, 9, 8, 7, 6]
    assert (await store.verify()).ok


async def test_a_batch_is_as_large_as_asked_and_oldest_first(store: TaskStore) -> None:
    for order in (3, 1, 2, 4):
        await settle(store, order)
    states = frozenset({TaskState.CANCELED, TaskState.DEAD})
    assert len(await store.purge(states, before=LATER, at=LATER, limit=3)) == 3
    assert await store.purge(states, before=LATER, at=LATER, limit=3) == (a_task(4).task_id,)
    assert await store.purge(states, before=LATER, at=LATER, limit=3) == ()


async def test_a_live_task_is_not_purged_even_by_name(store: TaskStore) -> None:
    await settle(store, 1)
    await store.submit(live := a_task(2), submitted(live))
    ids = [live.task_id, "nobody", a_task(1).task_id]
    assert await store.purge_tasks(ids, at=LATER, actor="cli:alice") == (a_task(1).task_id,)
    assert await store.get(live.task_id) == live


async def test_the_journal_of_a_purged_task_is_there_until_it_is_pruned(store: TaskStore) -> None:
    task = await settle(store, 1)
    await store.purge_tasks([task.task_id], at=LATER, actor="cli:alice")
    events = [record.entry for record in await store.journal_of(task.task_id)]
    assert [entry.event for entry in events] == ["submitted", "canceled", "purged"]
    assert (events[-1].actor, events[-1].before) == ("cli:alice", TaskState.CANCELED)
    assert await store.prune_journal(before=LATER + 1, at=LATER + 1) == 3
    assert await store.journal_of(task.task_id) == ()


async def test_pruning_stops_at_a_task_that_is_stored_or_a_row_that_is_young(
    store: TaskStore,
) -> None:
    for order in (1, 2, 3):
        await settle(store, order)
    await store.note(JournalEntry(at=START, event="drained"))
    await store.purge_tasks([a_task(1).task_id, a_task(3).task_id], at=LATER)
    assert await store.prune_journal(before=LATER, at=LATER) == 2
    assert await store.prune_journal(before=LATER, at=LATER) == 0
    report = await store.verify()
    assert report.ok
    assert report.base.seq == 2
    await store.purge_tasks([a_task(2).task_id], at=LATER)
    assert await store.prune_journal(before=LATER, at=LATER) == 5
    assert (await store.verify()).base.seq == 7


async def test_a_pruned_journal_verifies_after_reopening_and_goes_on(stores: Stores) -> None:
    async with stores.open() as store:
        await settle(store, 1)
        await store.purge_tasks([a_task(1).task_id], at=LATER)
        # Even when all that is left is the row that says so.
        assert await store.prune_journal(before=LATER + 1, at=LATER + 1) == 3
    async with stores.open() as store:
        await settle(store, 2)
        report = await store.verify()
        assert (report.ok, report.rows, report.head.seq) == (True, 3, 6)


async def test_the_order_of_a_purged_task_is_not_given_again(store: TaskStore) -> None:
    await settle(store, 7)
    await store.purge_tasks([a_task(7).task_id], at=LATER)
    assert await store.last_order() == 7


async def test_pruning_during_verification_is_no_gap(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "PAGE", 3)
    for _ in range(20):
        await store.note(JournalEntry(at=START, event="drained"))
    report = None

    async def check() -> None:
        nonlocal report
        report = await store.verify()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(check)
        while report is None:
            await store.note(JournalEntry(at=LATER, event="drained"))
            await store.prune_journal(before=LATER, at=LATER)
            await store.note(JournalEntry(at=START, event="drained"))
    assert report.ok, report.problems


async def test_pruning_goes_batch_by_batch(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    for _ in range(25):
        await store.note(JournalEntry(at=START, event="drained"))
    pruned = [await store.prune_journal(before=LATER, at=LATER) for _ in range(4)]
    assert pruned == [10, 10, 5, 0]
    assert (await store.verify()).ok


async def test_expired_keys_are_forgotten_and_a_key_of_a_purged_task_is_free(
    store: TaskStore,
) -> None:
    for order in (1, 2):
        task = a_task(order, idempotency_key=f"k{order}")
        await store.submit(task, submitted(task), key_ttl=100.0 * order)
        await store.record(*moved(task, TaskState.CANCELED))
    assert await store.purge_keys(START + 150) == 1
    assert await store.purge_keys(START + 150) == 0
    await store.purge_tasks([a_task(2).task_id], at=START + 150)
    again = a_task(3, idempotency_key="k2")
    assert (await store.submit(again, submitted(again))).created


@pytest.mark.slow
async def test_space_is_given_back(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        for first in range(1, 1001, 100):
            numbers = range(first, first + 100)
            tasks = [a_task(number, summary={"text": "x" * 2000}) for number in numbers]
            for task in tasks:
                await store.submit(task, submitted(task))
            await store.record_many([moved(task, TaskState.CANCELED) for task in tasks])
    full = (tmp_path / FILE_NAME).stat().st_size
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        while await store.purge(SETTLED, before=LATER, at=LATER):
            pass
        while await store.prune_journal(before=LATER, at=LATER):
            pass
        while await store.incremental_vacuum():
            pass
        assert (await store.verify()).ok
    assert (tmp_path / FILE_NAME).stat().st_size < full / 4


async def test_a_dead_letter_is_retried_in_one_step(store: TaskStore) -> None:
    dead = await settle(store, 1, TaskState.DEAD)
    queued, entry = moved(dead, TaskState.QUEUED, attempt=0)
    await store.record(queued, entry)
    assert store.counts()[TaskState.DEAD] == 0
    assert [task async for task in store.unfinished()] == [queued]


def test_only_settled_states_are_indexed_by_age() -> None:
    """The condition of the index and of the query is written out in SQL."""
    listed = retention._AGED.split("(")[1].split(")")[0].replace("'", "").split(", ")
    assert {TaskState(text) for text in listed} == SETTLED
    assert not SETTLED & LIVE
