"""The pool in virtual time: thousands of random schedules, and a year at once."""

from __future__ import annotations

import os

import pytest

from support.pool_story import Story

SEEDS = int(os.environ.get("NESSUS_SCHED_SEEDS", "160"))
FIRST_SEED = int(os.environ.get("NESSUS_SCHED_FIRST_SEED", "0"))
BATCHES = 8


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_schedules(batch: int) -> None:
    """More with NESSUS_SCHED_SEEDS=20000; one again with NESSUS_SCHED_FIRST_SEED=<seed>
    NESSUS_SCHED_SEEDS=1."""
    for seed in range(FIRST_SEED + batch, FIRST_SEED + SEEDS, BATCHES):
        try:
            Story(seed).tell(arrivals=30)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
