"""A process that submits and moves tasks as fast as it can, and prints what was answered.

    python -m support.store_load DIRECTORY FIRST_ORDER

One line an answer: order and state. It is there to be killed, so it never ends.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

import trio

from nessus_sched.core.states import TaskState
from nessus_sched.store import sqlite
from nessus_sched.store.tasks.store import TaskStore
from support.stored import START, a_task, moved, submitted

CALLERS = 16


async def load(directory: Path, first: int) -> None:
    orders = count(first)
    async with (
        TaskStore.open(directory, now=lambda: START) as store,
        trio.open_nursery() as nursery,
    ):

        async def caller() -> None:
            for order in orders:
                task = a_task(order, idempotency_key=f"key-{order}" if order % 3 == 0 else None)
                await store.submit(task, submitted(task))
                answered(order, task.state)
                for state in (TaskState.LAUNCHING, TaskState.CANCELED):
                    task, entry = moved(task, state)
                    await store.record(task, entry)
                    answered(order, state)

        for _ in range(CALLERS):
            nursery.start_soon(caller)


def answered(order: int, state: TaskState) -> None:
    # Unbuffered and in one piece: a line that is there was answered.
    os.write(1, f"{order} {state}\n".encode())


if __name__ == "__main__":
    # Checkpoints every few commits, so that the worst moments come often.
    sqlite.AUTOCHECKPOINT_PAGES = 50  # type: ignore[misc]
    trio.run(load, Path(sys.argv[1]), int(sys.argv[2]))
