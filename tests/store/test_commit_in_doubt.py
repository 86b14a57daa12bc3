"""A store whose connection breaks: what was acknowledged is stored, and what was refused is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import trio
import trio.testing

from nessus_sched.core.store_errors import (
    OutcomeUnknown,
    StoreClosed,
    StoreTakenOver,
    StoreUnavailable,
)
from nessus_sched.core.task import Task
from nessus_sched.store.tasks.store import TaskStore
from support import postgres
from support.cut_wire import Cut, CutWire, cut_wire
from support.stored import START, a_request, a_task, submitted

_END: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"

pytestmark = pytest.mark.slow


@pytest.fixture
def wire(cluster: postgres.Cluster) -> Iterator[CutWire]:
    with cut_wire(cluster.directory) as wire:
        yield wire


def name_of(conninfo: str) -> str:
    return conninfo.rsplit("=", 1)[1]


def opened(conninfo: str) -> postgres.Opened:
    return postgres.open_store(conninfo, now=lambda: START)


async def submit(store: TaskStore, task: Task) -> None:
    await store.submit(task, submitted(task))


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.LATE])
async def test_a_commit_in_doubt_is_looked_up(
    cluster: postgres.Cluster, wire: CutWire, cut: Cut
) -> None:
    direct = cluster.database()
    async with opened(wire.conninfo(name_of(direct), postgres.USER)) as store:
        await submit(store, a_task(1))
        wire.cut = cut
        if cut is Cut.AFTER:
            await submit(store, a_task(2))
        else:
            with pytest.raises(StoreUnavailable):
                await submit(store, a_task(2))
        assert wire.cuts == 1
        wire.late.set()
        if cut is Cut.LATE:
            await trio.to_thread.run_sync(wire.arrived.wait, 10)
        expected = 2 if cut is Cut.AFTER else 1
        assert sum(store.counts().values()) == store.journal_head == expected
        await submit(store, a_task(3))
        assert store.health.ok
        assert (await store.verify()).problems == ()
    async with opened(direct) as store:
        assert sum(store.counts().values()) == expected + 1
        assert (await store.verify()).ok


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_a_change_without_a_journal_entry_is_looked_up_too(
    cluster: postgres.Cluster, wire: CutWire, cut: Cut
) -> None:
    conninfo = wire.conninfo(name_of(cluster.database()), postgres.USER)
    async with opened(conninfo) as store:
        task = a_task(1, request=a_request(), idempotency_key="k")
        await store.submit(task, submitted(task), key_ttl=1.0)
        wire.cut = cut
        if cut is Cut.AFTER:
            assert await store.purge_keys(START + 1e9) == 1
        else:
            with pytest.raises(StoreUnavailable):
                await store.purge_keys(START + 1e9)
            assert await store.purge_keys(START + 1e9) == 1


async def test_callers_wait_until_the_database_is_back_and_others_are_refused(
    cluster: postgres.Cluster, wire: CutWire
) -> None:
    conninfo = wire.conninfo(name_of(cluster.database()), postgres.USER)
    async with opened(conninfo) as store:
        done = []

        async def first() -> None:
            await submit(store, a_task(1))
            done.append(1)

        async with trio.open_nursery() as nursery:
            wire.cut, wire.refuses = Cut.AFTER, True
            nursery.start_soon(first)
            while store.health.ok:
                await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(StoreUnavailable):
                await submit(store, a_task(2))
            assert done == []
            assert not store.health.ok
            wire.refuses = False
        assert done == [1]
        assert store.health.ok
        assert store.journal_head == 1


async def test_a_store_that_closes_in_doubt_does_not_say_what_it_does_not_know(
    cluster: postgres.Cluster, wire: CutWire
) -> None:
    direct = cluster.database()
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            with pytest.raises(OutcomeUnknown):
                await submit(store, a_task(1))

        async with opened(wire.conninfo(name_of(direct), postgres.USER)) as store:
            wire.cut, wire.refuses = Cut.AFTER, True
            nursery.start_soon(first)
            while store.health.ok:
                await trio.testing.wait_all_tasks_blocked(0.01)
    async with opened(direct) as store:
        assert store.journal_head == 1


async def test_a_session_that_ended_while_idle_costs_nobody_anything(
    cluster: postgres.Cluster,
) -> None:
    conninfo = cluster.database()
    async with opened(conninfo) as store:
        await submit(store, a_task(1))
        assert await store.get("t00000001") is not None
        cluster.sql(_END.format(name_of(conninfo)))
        assert await store.get("t00000001") is not None  # readers connect again
        await submit(store, a_task(2))
        assert store.health.ok
        assert store.journal_head == 2
        assert (await store.verify()).ok


async def test_who_was_taken_over_writes_nothing(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    with pytest.RaisesGroup(pytest.RaisesExc(StoreTakenOver), flatten_subgroups=True):
        async with opened(conninfo) as store:
            await submit(store, a_task(1))
            cluster.sql(
                "UPDATE nessus_sched.writer SET epoch = epoch + 1", database=name_of(conninfo)
            )
            with pytest.raises(StoreClosed):
                await submit(store, a_task(2))
    async with opened(conninfo) as store:
        assert store.journal_head == 1


@pytest.mark.parametrize("change", ["owner = 'another'", "batch = batch - 1", "batch = batch + 1"])
async def test_who_comes_back_to_another_store_does_not_go_on(
    cluster: postgres.Cluster, change: str
) -> None:
    """Another daemon wrote meanwhile, or a replica or a backup took the database's place."""
    conninfo = cluster.database()
    with pytest.RaisesGroup(pytest.RaisesExc(StoreTakenOver), flatten_subgroups=True):
        async with opened(conninfo) as store:
            await submit(store, a_task(1))
            name = name_of(conninfo)
            cluster.sql(_END.format(name))
            cluster.sql(f"UPDATE nessus_sched.writer SET {change}", database=name)  # noqa: S608
            with pytest.raises(StoreClosed):
                await submit(store, a_task(2))
