"""kill -9 under load, and copies at arbitrary moments: nothing answered is lost."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TRANSITIONS, TaskState
from nessus_sched.store.tasks.schema import FILE_NAME
from support import postgres, store_load
from support.engines import Stores

KILLS = int(os.environ.get("NESSUS_SCHED_STORE_KILLS", "6"))
COPIES = int(os.environ.get("NESSUS_SCHED_STORE_COPIES", "12"))
PYTHONPATH = str(Path(store_load.__file__).parents[1])
FOLLOWING = {
    state: {state, *TRANSITIONS[state], TaskState.CANCELED}
    for state in (TaskState.QUEUED, TaskState.LAUNCHING, TaskState.CANCELED)
}
"""What an answered state may have become by moves that were not answered any more."""


class Load:
    """The process under load, and what it has said so far."""

    def __init__(self, place: str, first: int) -> None:
        self.answered: dict[int, TaskState] = {}
        self.refused: set[int] = set()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.store_load", place, str(first)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": PYTHONPATH},
        )
        self._rest = b""

    def listen(self, seconds: float) -> None:
        """Takes in answers for a while; ends early when the process has ended."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while select.select([pipe], [], [], seconds)[0]:
            read = os.read(pipe, 1 << 20)
            if not read:
                return
            *lines, self._rest = (self._rest + read).split(b"\n")
            for line in lines:
                order, state = line.decode().split()
                if state == store_load.REFUSED:
                    self.refused.add(int(order))
                else:
                    self.answered[int(order)] = TaskState(state)
            if seconds:
                return

    def listen_until(self, answers: int) -> None:
        while len(self.answered) < answers:
            self.listen(10)
            assert self.process.poll() is None


@contextmanager
def under_load(stores: Stores, first: int = 1) -> Iterator[Load]:
    load = Load(stores.place, first)
    try:
        yield load
    finally:
        load.process.kill()
        load.process.communicate()


async def look(
    stores: Stores, answered: dict[int, TaskState], refused: Collection[int] = ()
) -> int:
    """Opens the store as the daemon would after a crash; returns the next free order."""
    async with stores.open() as store:
        lost = []
        for order, state in answered.items():
            task = await store.get(f"t{order:08d}")
            if task is None or task.state not in FOLLOWING[state]:
                lost.append((order, state, task and task.state))
        assert not lost
        assert [order for order in refused if await store.get(f"t{order:08d}")] == []
        report = await store.verify()
        assert report.ok, report.problems
        return await store.last_order() + 1


@pytest.mark.slow
def test_killed_at_random_moments_nothing_answered_is_lost(stores: Stores) -> None:
    chance = random.Random()
    answered: dict[int, TaskState] = {}
    first = 1
    for _ in range(KILLS):
        with under_load(stores, first) as load:
            load.listen_until(chance.randrange(1, 400))
            load.process.kill()
            load.listen(10)
            while load.process.poll() is None:
                load.listen(0.1)
            load.listen(0)
        answered |= load.answered
        first = trio.run(look, stores, answered)


@pytest.mark.slow
def test_copies_at_arbitrary_moments_hold_what_was_answered(tmp_path: Path) -> None:
    """Both files at one instant, as a snapshot of the file system would have them."""
    chance = random.Random()
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    copies = 0
    with under_load(Stores(None, original)) as load:
        load.listen_until(20)
        while copies < COPIES:
            load.listen(chance.random() * 0.02)
            load.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, load.process.pid, os.WSTOPPED)
            load.listen(0)
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
            for suffix in ("", "-wal"):
                shutil.copy(original / (FILE_NAME + suffix), copy / (FILE_NAME + suffix))
            load.process.send_signal(signal.SIGCONT)
            trio.run(look, Stores(None, copy), dict(load.answered))
            copies += 1


@pytest.fixture(scope="module")
def durable() -> Iterator[postgres.Cluster]:
    pytest.importorskip("psycopg", reason="needs the extra nessus-sched[postgres]")
    try:
        with postgres.running(durable=True) as running:
            yield running
    except LookupError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_server_that_dies_and_returns_loses_nothing_answered_and_keeps_nothing_refused(
    durable: postgres.Cluster, tmp_path: Path
) -> None:
    """The process under load stays, finds out what became of its commits, and goes on."""
    chance = random.Random()
    stores = Stores(durable.database(), tmp_path, durable)
    with under_load(stores) as load:
        for _ in range(KILLS):
            load.listen_until(len(load.answered) + chance.randrange(50, 400))
            durable.stop()
            load.listen(chance.random() * 0.3)
            durable.start()
        load.listen_until(len(load.answered) + 50)
        load.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, load.process.pid, os.WSTOPPED)
        load.listen(0)
        load.process.kill()
        while load.process.poll() is None:
            load.listen(0.1)
        load.listen(0)
    assert load.refused
    trio.run(look, stores, load.answered, load.refused)
