"""The pool in virtual time: thousands of random schedules, and a year at once."""

from __future__ import annotations

import os

import pytest

from nessus_sched.core.pool import refiling
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.task import Priority
from support.pool_story import Story
from support.pool_year import DAY, Year, share
from support.pools import WatchedPool, entry, spec

SEEDS = int(os.environ.get("NESSUS_SCHED_SEEDS", "640"))
FIRST_SEED = int(os.environ.get("NESSUS_SCHED_FIRST_SEED", "0"))
BATCHES = 32
DAYS = int(os.environ.get("NESSUS_SCHED_DAYS", "10"))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other things happen in the midst of a reload."""
    monkeypatch.setattr(refiling, "PATIENCE", 2 * refiling.EACH)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.sampled(32)
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


@pytest.mark.slow
def test_a_year_of_twenty_scanners() -> None:
    """Days by NESSUS_SCHED_DAYS; 365 take well under a minute."""
    year = Year([spec(f"s{number}", 3) for number in range(20)], seed=1, load=0.9)
    year.run(DAYS)
    assert year.accepted > 400 * DAYS
    assert year.longest_wait < 3 * DAY


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.NORMAL])
@pytest.mark.parametrize("pinned", [None, "a"])
def test_nothing_starves_below_an_endless_stream_of_urgent_work(
    priority: Priority, pinned: str | None
) -> None:
    """Two urgent tasks a minute for a scanner that can do one."""
    settings = PoolSettings(fairness_after=60.0, ageing_after=600.0)
    pool = WatchedPool([spec("a", 1)], settings)
    patient = entry(0, priority=priority, pinned=pinned, accepted_at=0.0)
    pool.place(patient, 0.0)
    running = None
    for minute in range(1, 200):
        now = 60.0 * minute
        for number in (2 * minute, 2 * minute + 1):
            urgent = entry(number, priority=Priority.HIGH, accepted_at=now - 50.0, pinned="a")
            pool.place(urgent, now)
        if running is not None:
            pool.release(running.task_id, now)
        running = pool.take("a", now)
        if running == patient:
            # What comes before it arrives within so long, and takes twice as long to do.
            before = 600.0 * (1 if priority is Priority.NORMAL else 2) + (0 if pinned else 60.0)
            assert before <= now <= 2 * before + 120.0
            return
    pytest.fail("it never ran")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 5])
@pytest.mark.parametrize(("scanners", "limit", "days"), [(1, 2, 60), (5, 2, 25)])
def test_estimates_are_calibrated(scanners: int, limit: int, days: int, seed: int) -> None:
    """Of the 80 % intervals about 80 % hold what then happens, and half of the tasks start
    before the median, once enough scans have been measured."""
    specs = [spec(f"s{number}", limit) for number in range(scanners)]
    year = Year(specs, seed=seed, load=0.93, guess_every=3, overlaps=False)
    year.run(days)
    guesses = [guess for guess in year.guesses if guess.at > days * DAY / 4]
    assert len(guesses) > 100
    assert 0.68 <= share(guess.inside for guess in guesses) <= 0.92
    assert 0.35 <= share(guess.early for guess in guesses) <= 0.65


@pytest.mark.slow
def test_estimates_are_still_fair_where_targets_overlap_and_priorities_differ() -> None:
    year = Year([spec(f"s{n}", 2) for n in range(5)], seed=3, load=0.93, guess_every=5)
    year.run(40)
    guesses = [guess for guess in year.guesses if guess.at > 10 * DAY]
    assert 0.6 <= share(guess.inside for guess in guesses) <= 0.95
