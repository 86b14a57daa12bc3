"""kill -9 under load, and copies at arbitrary moments: nothing answered is lost."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TRANSITIONS, TaskState
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.store import TaskStore
from support import store_load
from support.stored import START

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

    def __init__(self, directory: Path, first: int) -> None:
        self.answered: dict[int, TaskState] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.store_load", str(directory), str(first)],
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
                self.answered[int(order)] = TaskState(state)
            if seconds:
                return

    def listen_until(self, answers: int) -> None:
        while len(self.answered) < answers:
            self.listen(10)
            assert self.process.poll() is None


@contextmanager
def under_load(directory: Path, first: int = 1) -> Iterator[Load]:
    load = Load(directory, first)
    try:
        yield load
    finally:
        load.process.kill()
        load.process.communicate()


async def look(directory: Path, answered: dict[int, TaskState]) -> int:
    """Opens the store as the daemon would after a crash; returns the next free order."""
    async with TaskStore.open(directory, now=lambda: START) as store:
        lost = []
        for order, state in answered.items():
            task = await store.get(f"t{order:08d}")
            if task is None or task.state not in FOLLOWING[state]:
                lost.append((order, state, task and task.state))
        assert not lost
        report = await store.verify()
        assert report.ok, report.problems
        return await store.last_order() + 1


@pytest.mark.slow
def test_killed_at_random_moments_nothing_answered_is_lost(tmp_path: Path) -> None:
    chance = random.Random()
    answered: dict[int, TaskState] = {}
    first = 1
    for _ in range(KILLS):
        with under_load(tmp_path, first) as load:
            load.listen_until(chance.randrange(1, 400))
            load.process.kill()
            load.listen(10)
            while load.process.poll() is None:
                load.listen(0.1)
            load.listen(0)
        answered |= load.answered
        first = trio.run(look, tmp_path, answered)


@pytest.mark.slow
def test_copies_at_arbitrary_moments_hold_what_was_answered(tmp_path: Path) -> None:
    """Both files at one instant, as a snapshot of the file system would have them."""
    chance = random.Random()
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    copies = 0
    with under_load(original) as load:
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
            trio.run(look, copy, dict(load.answered))
            copies += 1
