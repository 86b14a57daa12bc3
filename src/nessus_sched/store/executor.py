"""Runs blocking work: in threads, or inline for simulations.

Trio's `MockClock` does not see threads and would skip over their work, so a simulation with
virtual time runs the store in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Executor(Protocol):
    async def write(self, work: Callable[[], T]) -> T:
        """Runs `work` to completion, even if the caller is canceled."""

    async def read(self, work: Callable[[], T]) -> T: ...


class InThreads:
    """One thread for writing, a few for reading. `abandons`: who reads does not wait for the thread
    when canceled."""

    def __init__(self, readers: int = 4, *, abandons: bool = False) -> None:
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(readers)
        self._abandons = abandons

    async def write(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._writing)

    async def read(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(
            work, limiter=self._reading, abandon_on_cancel=self._abandons
        )


class Inline:
    """Runs in the event loop: deterministic, but blocks it (up to 0.1 s at a checkpoint)."""

    async def write(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return work()

    async def read(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work()
