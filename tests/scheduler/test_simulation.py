"""Many lives of the scheduler in virtual time: random stories, and deaths at every step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from random import Random

import attrs
import pytest

from nessus_sched.config.schema import RetentionSettings
from support.life_story import DAY, Hazards, Story
from support.many_lives import directory, told

STORIES = int(os.environ.get("NESSUS_SCHED_LIVES", "100"))
FIRST_SEED = int(os.environ.get("NESSUS_SCHED_FIRST_LIFE", "0"))
ENOUGH = 100
"""Stories in which everything happens."""
HAPPENS = frozenset(
    {
        "aborted while paused",
        "clock set in mid-scan",
        "lost in mid-scan",
        "partial results",
        "partial_results_kept",
        "paused while it waited",
        "stopped by a person",
        "stopped for a cancel",
        "stopped for idle slots",
        "stopped for its runtime",
    }
)


@pytest.mark.slow
@pytest.mark.timeout(900 + 5 * STORIES)
def test_whatever_happens_nothing_is_lost_and_nothing_done_twice() -> None:
    """More with NESSUS_SCHED_LIVES=50000; one again with NESSUS_SCHED_FIRST_LIFE=<seed>
    NESSUS_SCHED_LIVES=1."""
    troubles, happened = told(range(FIRST_SEED, FIRST_SEED + STORIES))
    assert not troubles, f"{len(troubles)} stories went wrong\n{troubles[0]}"
    if STORIES >= ENOUGH:
        assert not HAPPENS - (+happened).keys(), "the judges had nothing to judge"


TWINS = int(os.environ.get("NESSUS_SCHED_TWINS", "6"))


@pytest.mark.slow
@pytest.mark.timeout(60 + 10 * TWINS)
def test_a_clock_that_is_set_by_hours_changes_no_launch() -> None:
    """More with NESSUS_SCHED_TWINS=1000."""
    times_set = 0
    for seed in range(FIRST_SEED, FIRST_SEED + TWINS):
        as_ever, stepped = (one_life(seed, clock_can_be_set=each) for each in (False, True))
        if as_ever.judge.happened["asked:retry_dead:True"]:
            continue  # a dead letter that is tried again gets its place by the wall clock
        # Two that begin at the same moment may do so in either order.
        launches = sorted(as_ever.judge.launches)
        assert sorted(stepped.judge.launches) == launches, f"seed {seed}"
        times_set += stepped.judge.happened["clock set in mid-scan"]
    assert times_set or TWINS == 1


def one_life(seed: int, *, clock_can_be_set: bool) -> Story:
    """A story without a restart, after which a recorded moment has to be confirmed. Nothing is
    removed from the scanners in it: how long scans are kept goes by the wall clock. No request
    fails by chance: a request more or less would make it another story."""
    hazards = attrs.evolve(Hazards.of(Random(seed)), lives=1, clock=True, trouble=0.0)
    with directory() as place:
        story = Story(seed, place, hazards=hazards, tasks=6, lasts=1800.0)
        story.clock_can_be_set = clock_can_be_set
        story.config = attrs.evolve(
            story.config, retention=RetentionSettings(remote_scans=30 * DAY)
        )
        story.tell()
    return story


TELL = """
from support.many_lives import directory, story_of
for seed in (0, 1, 2, 3, 4):
    with directory() as place:
        story = story_of(seed, place)
        print(sorted(story.tell().items()), story.steps, story.judge.head)
"""


@pytest.mark.slow
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


@pytest.mark.slow
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
