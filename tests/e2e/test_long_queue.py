"""A long queue: what a start with it costs, compared with a start without.

`python -m tests.bench startup` has the full hundred thousand, and a million.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.crowd import cost

TASKS = 10_000
SHARE = TASKS / 100_000
START = 10.0
"""Seconds that a start with 100,000 queued tasks may take."""
SLACK = 4
MEMORY = 256.0
"""MiB that a daemon with 100,000 queued tasks may take."""


@pytest.mark.slow
async def test_a_start_with_a_long_queue_keeps_to_time_and_memory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    empty = await cost(tmp_path / "empty", 0, times=1)
    full = await cost(tmp_path / "full", TASKS, times=20)
    print(empty, full, sep="\n")
    # Processor time, and four times as much of it as a quiet machine has been seen to need:
    # this finds what grows faster than the queue; the bench measures the promise itself.
    assert full.worked - empty.worked < SLACK * SHARE * START
    assert full.memory - empty.memory < SHARE * (MEMORY - empty.memory)
