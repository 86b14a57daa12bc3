"""Many lives of the scheduler in virtual time: random stories, and deaths at every step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection

import pytest

from support.life_story import Hazards, Story
from support.many_lives import directory, troubles

STORIES = int(os.environ.get("NESSUS_SCHED_LIVES", "100"))
FIRST_SEED = int(os.environ.get("NESSUS_SCHED_FIRST_LIFE", "0"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_happens_nothing_is_lost_and_nothing_done_twice() -> None:
    """More with NESSUS_SCHED_LIVES=50000; one again with NESSUS_SCHED_FIRST_LIFE=<seed>
    NESSUS_SCHED_LIVES=1."""
    found = troubles(range(FIRST_SEED, FIRST_SEED + STORIES))
    assert not found, f"{len(found)} stories went wrong\n{found[0]}"


TELL = """
from support.many_lives import directory, story_of
for seed in (0, 1, 2, 3, 4):
    with directory() as place:
        story = story_of(seed, place)
        print(sorted(story.tell().items()), story.steps, story.judge.head)
"""


def test_a_story_is_the_same_whatever_the_hashes_of_the_process() -> None:
    tellings = [
        subprocess.run(
            [sys.executable, "-c", TELL],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    first, second = (
        [line for line in told.splitlines() if line.startswith("[(")] for told in tellings
    )
    assert first == second
    assert len(first) == 5


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
    hazards = Hazards(trouble=0.1 * (seed % 3), people=seed == 5, outages=seed > 3, lost=seed == 2)
    with directory() as place:
        story = Story(seed, place, hazards=hazards, tasks=4, lasts=900.0, fatal=fatal)
        try:
            story.tell()
        except BaseException as error:
            error.add_note(f"seed {seed}, killed at steps {sorted(fatal)}")
            raise
    return story
