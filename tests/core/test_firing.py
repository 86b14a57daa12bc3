"""What becomes of firings that are due: a model of clocks, deaths and tasks that take long."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.firing import PUNCTUAL, decide
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import (
    Firing,
    FiringOutcome,
    Missed,
    Overlap,
    Schedule,
)
from nessus_sched.core.task import ScanKind, ScanRequest

HOUR = 3600.0
START = 1_800_000_000.0 - 1_800_000_000 % HOUR


def schedule(**changes: Any) -> Schedule:
    usual: dict[str, Any] = {
        "schedule_id": "s-1",
        "name": "hourly",
        "recurrence": Recurrence(cron="0 * * * *", start=START),
        "request": ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.1",)),
        "actor": "uid:1",
        "created_at": START,
        "catch_up": HOUR,
        "decided": START,
    }
    return Schedule(**{**usual, **changes})


def test_nothing_is_due_before_its_time() -> None:
    assert decide(schedule(), START + HOUR - 1, unfinished=False) is None


def test_a_firing_is_submitted_in_time() -> None:
    found = decide(schedule(), START + HOUR, unfinished=False)
    assert found is not None
    assert (found.fire, found.late, found.skipped) == (START + HOUR, "", ())
    assert found.schedule.decided == START + HOUR


@pytest.mark.parametrize(
    ("missed", "late", "fires"),
    [
        (Missed.ONCE, PUNCTUAL + 1, True),
        (Missed.ONCE, HOUR - 1, True),
        (Missed.SKIP, PUNCTUAL - 1, True),
        (Missed.SKIP, PUNCTUAL + 1, False),
    ],
)
def test_a_missed_firing_is_made_up_for_if_it_may_be(
    missed: Missed, late: float, fires: bool
) -> None:
    found = decide(schedule(missed=missed), START + HOUR + late, unfinished=False)
    assert found is not None
    assert (found.fire is not None) is fires
    assert [each.outcome for each in found.skipped] == [] if fires else [FiringOutcome.SKIPPED]


def test_several_missed_firings_are_one_late_task() -> None:
    found = decide(schedule(), START + 100.5 * HOUR, unfinished=False)
    assert found is not None
    assert found.fire == START + 100 * HOUR
    assert "30 min" in found.late
    (skipped,) = found.skipped
    assert "99 earlier firings missed" in skipped.reason


def test_what_is_too_late_is_skipped() -> None:
    rare = schedule(recurrence=Recurrence(every=10 * HOUR, start=START))
    found = decide(rare, START + 12 * HOUR, unfinished=False)
    assert found is not None
    assert found.fire is None
    assert "missed by 2 h" in found.skipped[0].reason


@pytest.mark.parametrize("overlap", list(Overlap))
def test_the_task_before_may_not_have_ended(overlap: Overlap) -> None:
    found = decide(schedule(overlap=overlap, last_task="t-1"), START + HOUR, unfinished=True)
    assert found is not None
    if overlap is Overlap.REPLACE:
        assert (found.fire, found.replace) == (START + HOUR, True)
    elif overlap is Overlap.SKIP:
        assert found.schedule.skipped_in_row == 1
        assert "t-1" in found.skipped[0].reason
    else:
        assert found.fire is None
        assert decide(found.schedule, START + 1.5 * HOUR, unfinished=True) is None
        later = decide(found.schedule, START + 1.5 * HOUR, unfinished=False)
        assert later is not None
        assert later.fire == START + HOUR
        assert later.schedule.pending is None


def test_jitter_delays_every_firing_by_the_same_time() -> None:
    spread = [schedule(schedule_id=f"s-{n}", jitter=600.0).delay for n in range(200)]
    assert all(0 <= delay < 600 for delay in spread)
    assert max(Counter(int(delay // 60) for delay in spread).values()) < 60
    delayed = schedule(jitter=600.0)
    due = START + HOUR + delayed.delay
    assert decide(delayed, due - 1, unfinished=False) is None
    found = decide(delayed, due, unfinished=False)
    assert found is not None
    assert (found.fire, found.late) == (START + HOUR, "")


def test_a_paused_one_and_one_that_has_ended_do_not_fire() -> None:
    late = START + 10 * HOUR
    assert decide(schedule(paused=True), late, unfinished=False) is None
    assert decide(schedule(max_firings=2, fired=2), late, unfinished=False) is None
    last = decide(schedule(until=START + 2 * HOUR), START + 2 * HOUR, unfinished=False)
    assert last is not None
    assert last.fire == START + 2 * HOUR
    assert last.schedule.ended
    assert decide(last.schedule, late, unfinished=False) is None


def test_firings_are_skipped_on_request() -> None:
    found = decide(schedule(skip_next=2), START + HOUR, unfinished=False)
    assert found is not None
    assert (found.fire, found.schedule.skip_next) == (None, 1)
    assert schedule(skip_next=2).next_firings(START, 2) == [START + 3 * HOUR, START + 4 * HOUR]


def test_a_clock_that_was_far_ahead_does_not_silence_a_schedule() -> None:
    """The firing that took place too early is not repeated; the others take place."""
    now, found = START + 1000 * HOUR, decide(schedule(), START + 1000 * HOUR, unfinished=False)
    assert found is not None
    assert found.fire == now
    after = found.schedule.with_firing(
        Firing(nominal=now, at=now, outcome=FiringOutcome.SUBMITTED, task_id="t-1")
    )
    back = decide(after, START + 2 * HOUR + 10, unfinished=False)
    assert back is not None
    assert back.fire is None
    third = decide(back.schedule, START + 3 * HOUR, unfinished=False)
    assert third is not None
    assert third.fire == START + 3 * HOUR
    again = attrs.evolve(third.schedule, decided=now - 1)
    assert decide(again, now, unfinished=False) is None


@attrs.define
class Life:
    """A daemon with a schedule: `stored` survives its deaths."""

    stored: Schedule
    submitted: list[float] = attrs.field(factory=list)
    skipped: list[float] = attrs.field(factory=list)


STEPS = st.lists(
    st.tuples(
        st.floats(1, 5 * HOUR),
        st.booleans(),
        st.sampled_from(["look", "die before storing", "look", "sleep"]),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from(list(Overlap)), st.sampled_from(list(Missed)))
def test_no_time_is_submitted_twice_and_each_is_submitted_or_accounted_for(
    steps: list[tuple[float, bool, str]], overlap: Overlap, missed: Missed
) -> None:
    life, now = Life(schedule(overlap=overlap, missed=missed, last_task="t-0")), START
    keys: set[float] = set()
    accounted = 0
    for seconds, unfinished, what in steps:
        now += seconds
        if what == "sleep":
            continue
        found = decide(life.stored, now, unfinished=unfinished)
        if found is None:
            continue
        after = found.schedule
        if found.fire is not None:
            keys.add(found.fire)  # submitting twice with a key gives the same task
            after = after.with_firing(
                Firing(nominal=found.fire, at=now, outcome=FiringOutcome.SUBMITTED)
            )
        if what == "look":
            life.stored = after
            if found.fire is not None:
                assert found.fire not in life.submitted
                life.submitted.append(found.fire)
            accounted += sum(_count(each.reason) for each in found.skipped)
    due = int((life.stored.decided - START) // HOUR)
    waiting = life.stored.pending is not None
    assert len(life.submitted) + accounted + waiting == due
    assert all(at % HOUR == 0 for at in keys)


def _count(reason: str) -> int:
    first, second = reason.split()[:2]
    return int(first) if second == "earlier" else 1
