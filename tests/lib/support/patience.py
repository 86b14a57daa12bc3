"""Limits on real time that hold on a busy machine, too."""

from __future__ import annotations

import sys
import time

import trio

_USUAL = 0.03
"""Seconds that a bare interpreter takes from start to end on a machine that is not busy."""


async def slowness() -> float:
    """How many times slower than usual processes are just now; at least 1."""
    started = time.perf_counter()
    await trio.run_process([sys.executable, "-I", "-S", "-c", "pass"])
    return max(1.0, (time.perf_counter() - started) / _USUAL)
