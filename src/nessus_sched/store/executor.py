"""Where blocking work runs: in threads, or in-line for simulations.

Trio's `MockClock` does not see threads and would jump over what they do, so a simulation
with virtual time runs the store on the loop itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Executor(Protocol):
    async def write(self, work: Callable[[], T]) -> T:
        """Runs `work` to its end, also when the caller is canceled."""

    async def read(self, work: Callable[[], T]) -> T: ...


class InThreads:
    """One thread at a time for writing, a few for reading."""

    def __init__(self, readers: int = 4) -> None:
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(readers)

    async def write(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._writing)

    async def read(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._reading)


class InLine:
    """On the loop: deterministic, and blocks it (up to 0.1 s at a checkpoint)."""

    async def write(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return work()

    async def read(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work()
