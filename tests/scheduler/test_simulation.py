"""Many lives of the scheduler in virtual time: random stories, and deaths at every step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.life_story import Hazards, Story

SEEDS = int(os.environ.get("NESSUS_SCHED_LIVES", "160"))
FIRST_SEED = int(os.environ.get("NESSUS_SCHED_FIRST_LIFE", "0"))
BATCHES = 8
MEMORY = Path("/dev/shm")  # noqa: S108 - only a fresh directory of our own in it


@contextmanager
def directory() -> Iterator[Path]:
    """In memory where there is such a place: the disk's own safety is proved elsewhere."""
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_whatever_happens_nothing_is_lost_and_nothing_done_twice(batch: int) -> None:
    """More with NESSUS_SCHED_LIVES=5000; one again with NESSUS_SCHED_FIRST_LIFE=<seed>
    NESSUS_SCHED_LIVES=1."""
    for seed in range(FIRST_SEED + batch, FIRST_SEED + SEEDS, BATCHES):
        with directory() as place:
            try:
                Story(seed, place).tell()
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise


STRIDE = int(os.environ.get("NESSUS_SCHED_STRIDE", "40"))


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_step_it_goes_on_where_it_was(seed: int) -> None:
    """A step is right before or right after a commit or a request to a scanner takes
    effect. All of them with NESSUS_SCHED_STRIDE=1."""
    steps = short_story(seed, fatal=()).steps
    assert steps > STRIDE
    for step in range(1 + seed, steps, STRIDE):
        # Once more while it recovers.
        for again in (0, 1 + step % 13):
            short_story(seed, fatal={step, step + again})


def short_story(seed: int, *, fatal: Collection[int]) -> Story:
    hazards = Hazards(trouble=0.1 * (seed % 3), people=seed == 5, outages=seed > 3)
    with directory() as place:
        story = Story(seed, place, hazards=hazards, tasks=4, lasts=900.0, fatal=fatal)
        try:
            story.tell()
        except BaseException as error:
            error.add_note(f"seed {seed}, killed at steps {sorted(fatal)}")
            raise
    return story
