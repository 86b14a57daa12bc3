"""A process that submits and moves tasks as fast as it can, and prints what was answered.

    python -m support.store_load DIRECTORY FIRST_ORDER
    python -m support.store_load "host=... dbname=..." FIRST_ORDER

One line an answer: order and state, or "refused". It is there to be killed, so it never ends.
"""

from __future__ import annotations

import os
import sys
from itertools import count

import trio

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store import sqlite
from support.engines import Stores
from support.stored import a_task, moved, submitted

CALLERS = 16
REFUSED = "refused"


async def load(place: str, first: int) -> None:
    orders = count(first)
    async with Stores.at(place).open() as store, trio.open_nursery() as nursery:

        async def caller() -> None:
            for order in orders:
                task = a_task(order, idempotency_key=f"key-{order}" if order % 3 == 0 else None)
                try:
                    await store.submit(task, submitted(task))
                except StoreUnavailable:
                    answered(order, REFUSED)
                    await trio.sleep(0.01)
                    continue
                answered(order, task.state)
                for state in (TaskState.LAUNCHING, TaskState.CANCELED):
                    task, entry = moved(task, state)
                    try:
                        await store.record(task, entry)
                    except StoreUnavailable:
                        break
                    answered(order, state)

        for _ in range(CALLERS):
            nursery.start_soon(caller)


def answered(order: int, state: str) -> None:
    # Unbuffered and in one piece: a line that is there was answered.
    os.write(1, f"{order} {state}\n".encode())


if __name__ == "__main__":
    # Checkpoints every few commits, so that the worst moments come often.
    sqlite.AUTOCHECKPOINT_PAGES = 50  # type: ignore[misc]
    trio.run(load, sys.argv[1], int(sys.argv[2]))
