"""Reports from elsewhere: whose they are, how large, how many, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.core.scanner import ScannerInfo
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.scheduler.importing import FORGOTTEN_AFTER, OPEN_AT_ONCE, Imports
from nessus_sched.store.tasks.store import TaskStore
from support.world import FakeExports

HOSTS = [{"host": "192.0.2.1"}, {"host": "no target!"}]
SUMMARY = {"hosts": 2, "findings": 0, "complete": True, "problems": [], "host_verdicts": HOSTS}


@attrs.define
class Bench:
    imports: Imports
    directory: Path
    store: TaskStore
    now: float = 1_800_000_000.0

    def left(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("*.part"))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async def digest(
        task: Task, paths: Sequence[Path], _info: ScannerInfo | None
    ) -> Mapping[str, Any]:
        return (
            SUMMARY
            if paths[0].read_bytes() == b"onetwo"
            else {**SUMMARY, "hosts": 0, "complete": 0}
        )

    async with TaskStore.open(tmp_path, now=lambda: made.now) as store:
        imports = Imports(
            store=store,
            reports=FakeExports(tmp_path),
            digest=digest,
            now=lambda: made.now,
            wall=lambda: made.now,
            random=Random(1),
            next_order=lambda: 7,
            most=lambda: 10,
        )
        made = Bench(imports, tmp_path, store)
        yield made


async def test_pieces_become_a_completed_task(bench: Bench) -> None:
    task_id = bench.imports.begin(name="old", file="old.nessus", owner="c1")
    for piece in (b"one", b"two"):
        await bench.imports.add(task_id, piece, owner="c1")
    await bench.imports.finish(task_id, owner="c1", actor="uid:7")
    task = await bench.store.get(task_id)
    assert task is not None
    assert (task.state, task.actor, task.order) == (TaskState.COMPLETED, "uid:7", 7)
    assert task.request.targets == ("192.0.2.1",)
    assert not bench.left()


async def test_a_report_is_its_senders_alone(bench: Bench) -> None:
    task_id = bench.imports.begin(name="", file="", owner="c1")
    with pytest.raises(RequestError, match="no report"):
        await bench.imports.add(task_id, b"x", owner="c2")
    with pytest.raises(RequestError, match="no report"):
        await bench.imports.finish(task_id, owner="c2", actor="uid:8")
    await bench.imports.add(task_id, b"onetwo", owner="c1")
    await bench.imports.finish(task_id, owner="c1", actor="uid:7")
    with pytest.raises(RequestError, match="no report"):
        await bench.imports.add(task_id, b"x", owner="c1")


async def test_what_is_too_large_or_unreadable_leaves_nothing(bench: Bench) -> None:
    task_id = bench.imports.begin(name="", file="", owner="c1")
    await bench.imports.add(task_id, b"0123456789", owner="c1")
    with pytest.raises(RequestError, match=r"limits\.export_size"):
        await bench.imports.add(task_id, b"x", owner="c1")
    other = bench.imports.begin(name="", file="bad.nessus", owner="c1")
    with pytest.raises(RequestError, match=r"bad\.nessus: nothing could be read"):
        await bench.imports.finish(other, owner="c1", actor="uid:7")
    assert not bench.left()
    assert await bench.store.last_order() == 0


async def test_only_so_many_at_once_and_the_forsaken_are_forgotten(bench: Bench) -> None:
    for _ in range(OPEN_AT_ONCE):
        task_id = bench.imports.begin(name="", file="", owner="c1")
        await bench.imports.add(task_id, b"x", owner="c1")
    with pytest.raises(RequestError, match="being imported already"):
        bench.imports.begin(name="", file="", owner="c1")
    assert len(bench.left()) == OPEN_AT_ONCE
    bench.now += FORGOTTEN_AFTER + 1
    bench.imports.begin(name="", file="", owner="c1")
    assert not bench.left()


async def test_a_client_that_leaves_makes_room(bench: Bench) -> None:
    for number in range(OPEN_AT_ONCE):
        task_id = bench.imports.begin(name="", file="", owner=f"c{number}")
        await bench.imports.add(task_id, b"one", owner=f"c{number}")
    bench.imports.abandon("c0")
    assert len(bench.left()) == OPEN_AT_ONCE - 1
    bench.imports.begin(name="", file="", owner="c9")
    with pytest.raises(RequestError):
        bench.imports.begin(name="", file="", owner="c9")


async def test_one_that_is_being_read_counts_and_is_not_forgotten(bench: Bench) -> None:
    reading = trio.Event()

    async def digest(
        _task: Task, _paths: Sequence[Path], _info: ScannerInfo | None
    ) -> Mapping[str, Any]:
        reading.set()
        await trio.sleep_forever()
        raise AssertionError

    imports = attrs.evolve(bench.imports, digest=digest)
    task_id = imports.begin(name="", file="", owner="c1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(imports.finish, task_id, owner="c1", actor="uid:7"))
        await reading.wait()
        bench.now += FORGOTTEN_AFTER + 1
        for _ in range(OPEN_AT_ONCE - 1):
            imports.begin(name="", file="", owner="c1")
        with pytest.raises(RequestError, match="being imported already"):
            imports.begin(name="", file="", owner="c1")
        with pytest.raises(RequestError, match="no report"):
            await imports.add(task_id, b"x", owner="c1")
        assert bench.left()
        nursery.cancel_scope.cancel()
    assert not bench.left()
