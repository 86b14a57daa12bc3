"""Group commit: batches, cancellation, and what happens when the disk fails."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nessus_sched.core.leading.lease import SECONDS
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreClosed, StoreUnavailable
from nessus_sched.store.executor import Inline, InThreads
from nessus_sched.store.sqlite import connect as store_connect
from nessus_sched.store.tasks.engine import SqliteEngine
from nessus_sched.store.tasks.group_commit import PROBE_INTERVAL
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support.engines import Stores
from support.stored import START, a_task, moved, submitted

T = TypeVar("T")


class Gated(InThreads):
    """Holds commits back until the gate is opened; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.gate.set()
        self.writes = 0

    async def write(self, work: Callable[[], T]) -> T:
        await self.gate.wait()
        self.writes += 1
        return await super().write(work)

    def shut(self) -> None:
        self.gate = trio.Event()


class Fault:
    """What the disk does wrong, when it does; counts connections and commits."""

    def __init__(self) -> None:
        self.error: sqlite3.Error | None = None
        self.on = "COMMIT"
        self.opened = 0

    def connect(self, path: Path) -> sqlite3.Connection:
        self.opened += 1
        fault = self

        class Faulty(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                if fault.error is not None and fault.on in sql:
                    raise fault.error
                return super().execute(sql, *parameters)

        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Faulty)


FULL = sqlite3.OperationalError("database or disk is full")


async def submit(store: TaskStore, order: int) -> None:
    task = a_task(order)
    await store.submit(task, submitted(task))


async def orders(store: TaskStore) -> list[int]:
    return [task.order async for task in store.unfinished()]


async def test_whatever_waits_is_committed_together(stores: Stores) -> None:
    executor = Gated()
    async with stores.open(executor=executor) as store:
        executor.shut()
        writes = executor.writes
        async with trio.open_nursery() as nursery:
            for order in range(1, 101):
                nursery.start_soon(submit, store, order)
            await wait_all_tasks_blocked()
            executor.gate.set()
        # The first caller's batch had begun with as many as were there at that moment.
        assert executor.writes - writes <= 2
        assert await orders(store) == list(range(1, 101))
        statistics = store.statistics().writer
        assert (statistics.requests, statistics.waiting, statistics.failures) == (100, 0, 0)
        assert statistics.largest_batch >= 50
        assert 0 < statistics.commit_p50 <= statistics.commit_p99 <= statistics.commit_max


async def test_nobody_is_told_before_the_commit(stores: Stores) -> None:
    executor = Gated()
    async with stores.open(executor=executor) as store:
        executor.shut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, store, 1)
            await wait_all_tasks_blocked()
            assert await store.get(a_task(1).task_id) is None
            executor.gate.set()
        assert await store.get(a_task(1).task_id) is not None


async def test_cancelled_before_its_batch_a_change_is_wholly_out(stores: Stores) -> None:
    executor = Gated()
    async with stores.open(executor=executor) as store:
        executor.shut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, store, 1)
            await wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await submit(store, 2)
            with trio.move_on_after(0.01) as late:
                await submit(store, 3)
            executor.gate.set()
        assert scope.cancelled_caught
        assert late.cancelled_caught
        await submit(store, 4)
        assert await orders(store) == [1, 4]


async def test_cancelled_within_its_batch_a_change_is_wholly_in_and_says_so(
    stores: Stores,
) -> None:
    executor = Gated()
    returned = []
    async with stores.open(executor=executor) as store:
        executor.shut()

        async def one() -> None:
            await submit(store, 1)
            returned.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            nursery.cancel_scope.shield = True
            executor.gate.set()
        assert returned
        assert await orders(store) == [1]


@pytest.mark.parametrize("seed", range(5))
async def test_cancelled_at_any_moment_a_caller_knows_what_happened(
    stores: Stores, seed: int
) -> None:
    told: set[int] = set()
    async with stores.open() as store:

        async def one(order: int, patience: float) -> None:
            with trio.move_on_after(patience):
                await submit(store, order)
                told.add(order)

        async with trio.open_nursery() as nursery:
            for order in range(1, 301):
                nursery.start_soon(one, order, (order * 7 + seed) % 20 * 0.0005)
        assert set(await orders(store)) == told
        assert (await store.verify()).ok


async def test_a_shielded_clean_up_can_still_write(stores: Stores) -> None:
    with trio.CancelScope() as outer:
        async with stores.open() as store:
            outer.cancel()
            with trio.CancelScope(shield=True):
                await submit(store, 1)
            await trio.lowlevel.checkpoint()
    async with stores.open() as store:
        assert await orders(store) == [1]


async def test_the_end_of_the_block_commits_what_waits(stores: Stores) -> None:
    executor = Gated()
    async with (
        trio.open_nursery() as nursery,
        stores.open(executor=executor) as store,
    ):
        executor.shut()
        nursery.start_soon(submit, store, 1)
        await wait_all_tasks_blocked()
        nursery.start_soon(submit, store, 2)
        await wait_all_tasks_blocked()
        executor.gate.set()
    async with stores.open() as store:
        assert await orders(store) == [1, 2]


@pytest.mark.parametrize("where", ["COMMIT", "BEGIN", "UPDATE chain"])
async def test_a_full_disk_refuses_the_whole_batch_and_reads_go_on(
    tmp_path: Path, where: str
) -> None:
    fault = Fault()
    now = START
    async with TaskStore.open(tmp_path, now=lambda: now, connect=fault.connect) as store:
        await submit(store, 1)
        fault.error, fault.on = FULL, where
        for now in (START + 5, START + 9):  # noqa: B007 - read by the store's clock
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await submit(store, 2)
        assert not store.health.ok
        assert store.health.since == START + 5
        assert "disk is full" in store.health.reason
        assert await orders(store) == [1]
        assert store.counts()[TaskState.QUEUED] == 1
        fault.error = None
        await submit(store, 2)
        assert store.health.ok
        assert store.health.since is None
        assert await orders(store) == [1, 2]
        assert (await store.verify()).ok


async def test_every_caller_of_a_failed_batch_gets_an_error_of_its_own(tmp_path: Path) -> None:
    fault = Fault()
    errors: list[StoreUnavailable] = []
    async with TaskStore.open(tmp_path, now=lambda: START, connect=fault.connect) as store:
        fault.error = FULL

        async def one(order: int) -> None:
            with pytest.raises(StoreUnavailable) as caught:
                await submit(store, order)
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            for order in range(1, 21):
                nursery.start_soon(one, order)
    assert len({id(error) for error in errors}) == 20


async def test_a_probe_finds_the_disk_well_again_without_traffic(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fault = Fault()
    async with TaskStore.open(
        tmp_path, now=trio.current_time, connect=fault.connect, executor=Inline()
    ) as store:
        fault.error = FULL
        with pytest.raises(StoreUnavailable):
            await submit(store, 1)
        await trio.sleep(PROBE_INTERVAL * 3)
        assert not store.health.ok
        fault.error = None
        await trio.sleep(PROBE_INTERVAL * 1.5)
        assert store.health.ok
        opened = fault.opened
        await trio.sleep(PROBE_INTERVAL * 10)
        await submit(store, 1)
        assert fault.opened == opened


class Shared(SqliteEngine):
    """A store that another daemon would take over from one that does not write."""

    lease = SECONDS


async def test_the_lease_of_a_shared_store_lasts_while_it_can_be_written(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fault, inline = Fault(), Inline()
    engine = Shared(tmp_path / FILE_NAME, fault.connect)
    async with TaskStore.open_engine(
        engine, now=lambda: START, executor=inline, steady=trio.current_time
    ) as store:
        for _ in range(100):
            await trio.sleep(1)
            assert store.lease.held
        assert store.statistics().writer.commits == 0
        fault.error = FULL
        await trio.sleep(SECONDS * 2 / 3 - 0.1)
        assert store.lease.held
        await trio.sleep(SECONDS / 3 + 0.1)
        assert not store.lease.held
        assert not store.health.ok
        fault.error = None
        with trio.fail_after(SECONDS / 3):
            await store.lease.wait()
        assert store.health.ok


async def test_a_commit_that_takes_longer_than_the_lease_does_not_renew_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class Slow(Inline):
        seconds = 0.0

        async def write(self, work: Callable[[], T]) -> T:
            done = await super().write(work)
            await trio.sleep(self.seconds)
            return done

    slow = Slow()
    engine = Shared(tmp_path / FILE_NAME)
    async with TaskStore.open_engine(
        engine, now=lambda: START, executor=slow, steady=trio.current_time
    ) as store:
        slow.seconds = SECONDS
        await submit(store, 1)
        assert not store.lease.held
        slow.seconds = SECONDS / 2
        await submit(store, 2)
        assert store.lease.held
        slow.seconds = 0.0


@contextmanager
def no_room(at: int) -> Iterator[None]:
    """No file of this process may be written from that byte on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill(store: TaskStore, first: int) -> int:
    """Submits until the disk says no; returns the order of the one that was refused."""
    for order in range(first, first + 1000):
        try:
            await submit(store, order)
        except StoreUnavailable:
            return order
    raise AssertionError("the disk had room for everything")


async def test_sqlite_itself_finds_no_room_and_later_some(tmp_path: Path) -> None:
    connections: list[sqlite3.Connection] = []

    def connect(path: Path) -> sqlite3.Connection:
        connections.append(store_connect(path))
        return connections[-1]

    async with TaskStore.open(tmp_path, now=lambda: START, connect=connect) as store:
        await submit(store, 1)
        connections[-1].execute("PRAGMA max_page_count = 1")
        refused = await fill(store, 2)
        assert "full" in store.health.reason
        assert await orders(store) == list(range(1, refused))
        with pytest.raises(StoreUnavailable):
            await submit(store, refused)
        # The connection that failed again is given up, and its limit with it.
        await submit(store, refused)
        assert store.health.ok
        assert len(connections) == 2
        assert (await store.verify()).ok


async def test_the_kernel_lets_no_file_grow_and_later_does(tmp_path: Path) -> None:
    async with TaskStore.open(tmp_path, now=lambda: START) as store:
        await submit(store, 1)
        with no_room(store.statistics().wal_bytes):
            refused = await fill(store, 2)
            assert not store.health.ok
            assert await orders(store) == list(range(1, refused))
        await submit(store, refused)
        assert store.health.ok
        assert await orders(store) == list(range(1, refused + 1))
        assert (await store.verify()).ok


async def test_a_commit_that_failed_is_not_brought_back_from_the_log(tmp_path: Path) -> None:
    """A sync can fail when the commit is already in the file: the frames are whole then,
    and a log that is read anew would count them."""
    fault = Fault()
    names = (FILE_NAME, f"{FILE_NAME}-wal")
    twin = tmp_path / "twin"
    twin.mkdir()
    async with TaskStore.open(tmp_path, now=lambda: START, connect=fault.connect) as store:
        await submit(store, 1)
        for name in names:
            shutil.copy(tmp_path / name, twin / name)
        async with TaskStore.open(twin, now=lambda: START) as other:
            await submit(other, 2)
            log = (twin / names[1]).read_bytes()
        size = store.statistics().wal_bytes
        with (tmp_path / names[1]).open("ab") as file:
            file.write(log[size:])
        assert len(log) > size
        opened = fault.opened
        with no_room(0):
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await submit(store, 2)
        await submit(store, 3)
        assert fault.opened == opened + 1
        assert await orders(store) == [1, 3]
        assert (await store.verify()).ok


async def test_an_error_that_nobody_foresaw_wakes_the_callers_and_is_not_swallowed(
    stores: Stores,
) -> None:
    told: list[str] = []

    class Broken(InThreads):
        async def write(self, work: Callable[[], T]) -> T:
            if told == ["broken"]:
                raise LookupError("a bug")
            return await super().write(work)

    with pytest.RaisesGroup(pytest.RaisesExc(LookupError), flatten_subgroups=True):
        async with stores.open(executor=Broken()) as store:
            told.append("broken")
            with pytest.raises(StoreClosed):
                await submit(store, 1)
            with pytest.raises(StoreClosed):
                await submit(store, 2)
            told.append("woken")
    assert told == ["broken", "woken"]


async def test_virtual_time_works_with_the_store_in_line(
    stores: Stores, autojump_clock: MockClock
) -> None:
    async with stores.open(now=trio.current_time, executor=Inline()) as store:
        for order in (1, 2):
            await submit(store, order)
            await trio.sleep(3600)
        task = await store.get(a_task(1).task_id)
        assert task is not None
        await store.record(*moved(task, TaskState.CANCELED))
        assert await orders(store) == [2]
