"""Where the time comes from: an argument, never a global.

Two clocks: the wall clock is for people and for what must outlive a restart, and may be set at
any moment, by hours and both ways. The steady clock is for everything that waits or measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Now = Callable[[], float]
"""Returns the present moment in seconds. Under virtual time it is Trio's."""

system_now: Now = time.time  # noqa: TID251 - the one place that may read the wall clock
"""The wall clock: epoch seconds, UTC."""

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where there is one, a clock that also counts the time a host was suspended: scanners work on
meanwhile."""


def steady_clock() -> Now:
    """A clock that nothing sets: begins at the wall clock's time, then only runs on."""
    offset = system_now() - time.clock_gettime(_CLOCK)
    return lambda: offset + time.clock_gettime(_CLOCK)
