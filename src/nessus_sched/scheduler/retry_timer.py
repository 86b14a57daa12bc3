"""Tasks that wait for their next attempt: one timer for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable

import trio

from nessus_sched.core.clock import Now

IDLE = 3600.0


class RetryTimer:
    """Calls `due(task_id)` when a task's wait is over. A task that was canceled meanwhile
    is simply found to be so by then."""

    def __init__(self, now: Now, due: Callable[[str], Awaitable[None]]) -> None:
        self._now = now
        self._due = due
        self._heap: list[tuple[float, str]] = []
        self._earlier = trio.Event()

    def add(self, task_id: str, at: float) -> None:
        """`at` in epoch seconds; in the past means at once."""
        heapq.heappush(self._heap, (at, task_id))
        self._earlier.set()

    async def run(self) -> None:
        while True:
            self._earlier = trio.Event()
            while self._heap and self._heap[0][0] <= self._now():
                await self._due(heapq.heappop(self._heap)[1])
            wait = self._heap[0][0] - self._now() if self._heap else IDLE
            with trio.move_on_after(max(0.0, wait)):
                await self._earlier.wait()
