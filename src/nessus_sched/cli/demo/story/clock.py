"""A clock that skips the time in which nothing happens."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

import trio
import trio.testing
from trio.testing import MockClock

BEGIN: Final = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
"""A Monday."""


class StoryClock:
    """Trio's clock for the story, `trio`, and the story's wall clock, which may be asked from any
    thread."""

    def __init__(self) -> None:
        self.trio = MockClock()

    def now(self) -> float:
        """Epoch seconds."""
        return BEGIN + self.trio.current_time()


async def skip_idle_time(clock: StoryClock) -> None:
    """Whenever every task waits and no thread works, sets the clock to when the next task wakes.
    Until canceled.

    The clock's own way to do so does not see threads, and would skip what they work for.
    """
    while True:
        await trio.testing.wait_all_tasks_blocked()
        if trio.testing.active_thread_count():
            await trio.testing.wait_all_threads_completed()
            continue
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if seconds == math.inf:
            await trio.sleep(1.0)
        elif seconds > 0:
            clock.trio.jump(seconds)
