"""Copying a store to another database, in each direction."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.delivery.outbox import RoutePosition
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import AlreadyRunning, CopyFailed
from nessus_sched.store.tasks import transfer
from nessus_sched.store.tasks.transfer import copy_tasks
from support import postgres
from support.cut_wire import Cut, cut_wire
from support.engines import Stores
from support.stored import START, a_request, a_task, moved, submitted

pytestmark = pytest.mark.slow
TASKS = 30


def message(number: int) -> Message:
    return Message(
        message_id=f"m{number}",
        route="soc",
        kind=MessageKind.EVENT,
        at=START,
        title="Käse",
        document={"a": number},
    )


async def fill(stores: Stores) -> None:
    async with stores.open() as store:
        for order in range(1, TASKS + 1):
            key = f"key {order}" if order % 5 == 0 else None
            request = a_request(name="Käse \0" if order == 4 else "half a \ud800 character")
            task = a_task(order, request=request, idempotency_key=key)
            await store.submit(task, submitted(task))
            if order % 3 == 0:
                await store.record(*moved(task, TaskState.CANCELED))
        await store.purge_tasks(["t00000003", "t00000006"], at=START + 90)
        await store.note(JournalEntry(at=START, event="drained"), switch=("drain", "local"))
        position = RoutePosition(route="soc", seq=3, digest_at=START)
        await store.outbox.put(position, [message(n) for n in (1, 2, 3)], at=START)
        await store.outbox.delivered(3)


def rows(stores: Stores) -> list[list[tuple[object, ...]]]:
    with stores.by_hand() as connection:
        return [
            [
                tuple(row)
                for row in connection.execute(
                    f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}"  # noqa: S608
                )
            ]
            for table in transfer._TABLES
        ]


def other(stores: Stores, cluster: postgres.Cluster, directory: Path) -> Stores:
    """An empty store in the other database."""
    if stores.conninfo is None:
        return Stores(cluster.database(), directory, cluster)
    new = directory / "new"
    new.mkdir()
    return Stores(None, new)


def test_a_copy_has_everything_and_is_a_store_to_go_on_with(
    stores: Stores, cluster: postgres.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAGE", 7)
    trio.run(fill, stores)
    there = other(stores, cluster, tmp_path)
    report = copy_tasks(stores.engine(), there.engine())
    assert (report.problems, report.tasks) == ((), TASKS - 2)
    assert report.head == stores.verified().head
    assert rows(there) == rows(stores)
    assert all(rows(there)[index] for index in (0, 1, 2, 3, 4, 5, 8, 9))

    async def go_on() -> None:
        async with stores.open() as store:
            seal = await store.seal()
        async with there.open() as store:
            assert await store.seal() == seal
            again = a_task(99, request=a_request(name="half a \ud800 character"))
            again = a_task(99, request=again.request, idempotency_key="key 5")
            assert not (await store.submit(again, submitted(again))).created
            position = RoutePosition(route="soc", seq=3, digest_at=START)
            await store.outbox.put(position, [message(4)], at=START)
            assert [item.number for item in await store.outbox.items()] == [1, 2, 4]
            assert (await store.verify(report.head)).ok

    trio.run(go_on)


def test_only_an_empty_store_is_copied_to(
    stores: Stores, cluster: postgres.Cluster, tmp_path: Path
) -> None:
    there = other(stores, cluster, tmp_path)
    trio.run(fill, stores)
    trio.run(fill, there)
    before = rows(there)
    with pytest.raises(CopyFailed, match="is not empty"):
        copy_tasks(stores.engine(), there.engine())
    assert rows(there) == before


def test_a_store_that_was_tampered_with_is_not_copied(
    stores: Stores, cluster: postgres.Cluster, tmp_path: Path
) -> None:
    trio.run(fill, stores)
    with stores.by_hand() as connection:
        connection.execute("DELETE FROM journal WHERE seq = 7")
    there = other(stores, cluster, tmp_path)
    with pytest.raises(CopyFailed, match="row 8 follows row 6"):
        copy_tasks(stores.engine(), there.engine())
    assert rows(there)[:2] == [[], []]


def test_a_copy_that_does_not_verify_is_not_kept(
    stores: Stores, cluster: postgres.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(value: object) -> object:
        return value.replace("alice", "mallo") if isinstance(value, str) else value

    trio.run(fill, stores)
    there = other(stores, cluster, tmp_path)
    monkeypatch.setattr(transfer, "_portable", lossy)
    with pytest.raises(CopyFailed, match="is not what was written"):
        copy_tasks(stores.engine(), there.engine())
    assert rows(there)[:2] == [[], []]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_an_interrupted_copy_is_there_as_a_whole_or_can_be_repeated(
    cluster: postgres.Cluster, tmp_path: Path, cut: Cut
) -> None:
    stores, there = Stores(None, tmp_path), Stores(cluster.database(), tmp_path, cluster)
    assert there.conninfo is not None
    trio.run(fill, stores)
    trio.run(_touch, there)
    with cut_wire(cluster.directory) as wire:
        name = there.conninfo.rsplit("=", 1)[1]
        broken = Stores(wire.conninfo(name, postgres.USER), tmp_path, cluster)
        wire.cut, wire.spared = cut, 1  # the first commit takes the store over
        if cut is Cut.AFTER:
            assert copy_tasks(stores.engine(), broken.engine()).ok
        else:
            with pytest.raises(CopyFailed, match="nothing was copied"):
                copy_tasks(stores.engine(), broken.engine())
            assert rows(there)[:2] == [[], []]
            assert copy_tasks(stores.engine(), there.engine()).ok
        assert wire.cuts == 1
    assert rows(there) == rows(stores)


async def _touch(stores: Stores) -> None:
    async with stores.open():
        pass


def test_a_store_in_use_is_not_copied(cluster: postgres.Cluster, tmp_path: Path) -> None:
    used, there = Stores(cluster.database(), tmp_path, cluster), Stores(None, tmp_path)

    async def use() -> None:
        async with used.open():
            with pytest.raises(AlreadyRunning):
                await trio.to_thread.run_sync(copy_tasks, used.engine(), there.engine())

    trio.run(use)
