"""Power loss: the log cut or torn anywhere still opens to all that was acknowledged."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support.stored import START, a_task, moved, submitted

TASKS = 40
WAL = FILE_NAME + "-wal"
Acknowledged = list[tuple[int, int, TaskState]]
"""What was true, (order, state), once the log had that many bytes."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Acknowledged]:
    """A store as a crash would leave it, and the length of its log at each answer."""
    directory = tmp_path_factory.mktemp("history")
    crashed = tmp_path_factory.mktemp("crashed")
    acknowledged: Acknowledged = []

    async def work() -> None:
        async with TaskStore.open(directory, now=lambda: START) as store:

            def note(order: int, state: TaskState) -> None:
                acknowledged.append((store.statistics().wal_bytes, order, state))

            async def one(order: int) -> None:
                task = a_task(order)
                await store.submit(task, submitted(task))
                note(order, TaskState.QUEUED)
                await store.record(*moved(task, TaskState.LAUNCHING))
                note(order, TaskState.LAUNCHING)

            for first in range(1, TASKS, 4):
                async with trio.open_nursery() as nursery:
                    for order in range(first, first + 4):
                        nursery.start_soon(one, order)
            for name in (FILE_NAME, WAL):
                shutil.copy(directory / name, crashed / name)

    trio.run(work)
    return crashed, acknowledged


async def survivors(directory: Path) -> dict[int, TaskState]:
    """Opens what is left as the daemon would, checks it, and goes on with it."""
    async with TaskStore.open(directory, now=lambda: START) as store:
        found = {task.order: task.state async for task in store.unfinished()}
        report = await store.verify()
        assert report.ok, report.problems
        assert report.rows == len(found) + sum(s is TaskState.LAUNCHING for s in found.values())
        new = a_task(1000)
        await store.submit(new, submitted(new))
        assert (await store.verify()).ok
    return found


def expected(acknowledged: Acknowledged, length: int) -> dict[int, TaskState]:
    return {order: state for size, order, state in acknowledged if size <= length}


def includes(found: dict[int, TaskState], promised: dict[int, TaskState]) -> bool:
    return all(
        found.get(order) in (state, TaskState.LAUNCHING) for order, state in promised.items()
    )


def put_back(crashed: Path, directory: Path, log: bytes) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    shutil.copy(crashed / FILE_NAME, directory / FILE_NAME)
    (directory / WAL).write_bytes(log)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_cut_anywhere(history: tuple[Path, Acknowledged], tmp_path: Path, seed: int) -> None:
    crashed, acknowledged = history
    log = (crashed / WAL).read_bytes()
    chance = random.Random(seed)
    # As it happens: anywhere, around the edges of frames, and right at an answer.
    cuts = [chance.randrange(len(log) + 1) for _ in range(12)]
    cuts += [size + chance.randrange(-30, 30) for size, _, _ in chance.sample(acknowledged, 6)]
    cuts += [size for size, _, _ in chance.sample(acknowledged, 4)] + [0, len(log)][: seed + 1]
    for cut in cuts:
        found = await survivors(put_back(crashed, tmp_path / "cut", log[:cut]))
        assert includes(found, expected(acknowledged, cut)), cut


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_torn_behind_the_last_answer(
    history: tuple[Path, Acknowledged], tmp_path: Path, seed: int
) -> None:
    """Sectors not yet synced reach the disk in any order, or never."""
    crashed, acknowledged = history
    log = (crashed / WAL).read_bytes()
    chance = random.Random(seed)
    for synced, _, _ in chance.sample(acknowledged, 12):
        torn = bytearray(log)
        for sector in range(-(-synced // 512) * 512, len(log), 512):
            if chance.random() < 0.3:
                torn[sector : sector + 512] = chance.choice((bytes(512), chance.randbytes(512)))
        found = await survivors(put_back(crashed, tmp_path / "torn", bytes(torn[: len(log)])))
        assert includes(found, expected(acknowledged, synced)), synced
