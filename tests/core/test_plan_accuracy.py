"""Plans measured against what happened: pure."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.accuracy import (
    LEAST,
    MOST,
    NIGHTS,
    SLACK,
    Followed,
    Side,
    Tally,
    night_of,
    restored,
    sentence,
    stored,
)
from nessus_sched.core.calendar.plan import Interval, Planned
from nessus_sched.core.calendar.playing import Job
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from

TARGETS = pack(targets_from(["192.0.2.1"]))
START, END = (1000.0, 1500.0, 2000.0), (3000.0, 3500.0, 4000.0)
UNTIL = 10_000.0


def planned(
    key: str = "t-1",
    start: tuple[float, float, float] | None = START,
    end: tuple[float, float, float] = END,
    *,
    firing: bool = False,
) -> Planned:
    def interval(values: tuple[float, float, float]) -> Interval:
        low, median, high = values
        return Interval(low=low, median=median, high=high)

    job = Job(
        name=key, ready=0.0, firing=firing, targets=TARGETS, between=None, pool="p", durations={},
        key=key,
    )  # fmt: skip
    if start is None:
        return Planned(job=job)
    return Planned(job=job, start=interval(start), end=interval(end))


def following(*plans: Planned) -> Followed:
    found = Followed()
    found.note(plans, UNTIL)
    return found


@pytest.mark.parametrize(
    ("moment", "within"),
    [
        (START[0] - SLACK - 1, False), (START[0] - SLACK, True), (1500.0, True),
        (START[2] + SLACK, True), (START[2] + SLACK + 1, False),
    ],
)  # fmt: skip
def test_a_start_is_within_its_interval_or_a_minute_off(moment: float, *, within: bool) -> None:
    assert following(planned()).happened("t-1", Side.START, moment) is within


def test_each_is_measured_once_and_by_the_first_plan() -> None:
    found = following(planned())
    found.note([planned(start=(0.0, 0.0, 0.0))], UNTIL)
    assert found.happened("t-1", Side.START, 1500.0) is True
    assert found.happened("t-1", Side.START, 1500.0) is None  # a second attempt
    assert found.happened("t-1", Side.END, 9000.0) is False
    assert len(found) == 0
    assert found.happened("t-2", Side.END, 9000.0) is None


def test_what_is_not_known_or_beyond_the_plan_is_not_measured() -> None:
    late, never = (UNTIL + 1,) * 3, (math.inf,) * 3
    assert len(following(planned(start=None), planned("b", late), planned("c", never))) == 0


def test_what_did_not_happen_in_time_is_counted_once() -> None:
    found = following(planned())
    assert found.overdue(START[2] + SLACK) == {Side.START: 0, Side.END: 0}
    assert found.overdue(START[2] + SLACK + 1) == {Side.START: 1, Side.END: 0}
    assert found.overdue(START[2] + SLACK + 1) == {Side.START: 0, Side.END: 0}
    assert found.happened("t-1", Side.START, 2500.0) is None
    assert found.overdue(END[2] + SLACK + 1) == {Side.START: 0, Side.END: 1}
    assert len(found) == 0


def test_a_canceled_task_and_a_firing_that_was_skipped_are_not_counted() -> None:
    found = following(planned("canceled"), planned("s-1@9", firing=True))
    found.forget("canceled")
    assert found.overdue(START[2] + SLACK + 1) == {Side.START: 0, Side.END: 0}
    assert len(found) == 0


def test_a_firing_that_became_a_task_is_counted() -> None:
    found = following(planned("s-1@9", firing=True))
    found.submitted("s-1@9")
    found.submitted("unknown")
    assert found.overdue(START[2] + SLACK + 1) == {Side.START: 1, Side.END: 0}


def test_the_number_followed_is_bounded() -> None:
    assert len(following(*(planned(str(number)) for number in range(MOST + 5)))) == MOST


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.booleans(), st.integers(1, 50))))
def test_a_tally_keeps_count(events: list[tuple[Side, bool, int]]) -> None:
    tally = Tally()
    for side, within, count in events:
        tally = tally.plus(side, within=within, count=count)
    for side, total, right in (
        (Side.START, tally.starts, tally.starts_within),
        (Side.END, tally.ends, tally.ends_within),
    ):
        assert total == sum(count for each, _, count in events if each is side)
        assert right == sum(count for each, within, count in events if each is side and within)


def test_nights_go_from_noon_to_noon_of_the_operator() -> None:
    moments = [
        parse_moment(text, "Europe/Berlin")
        for text in ("2026-03-28 12:00", "2026-03-29 04:00", "2026-03-29 11:59")
    ]
    assert {night_of(each, "Europe/Berlin") for each in moments} == {"2026-03-28"}
    assert night_of(moments[-1] + 60, "Europe/Berlin") == "2026-03-29"


def test_it_is_told_in_a_sentence_once_there_is_enough() -> None:
    few = Tally(starts=LEAST - 1, starts_within=9, ends=LEAST, ends_within=9)
    assert sentence([]) is None
    assert sentence([few]) is None
    nights = [Tally(starts=30, starts_within=25, ends=20, ends_within=16), few]
    assert sentence(nights) == (
        "In the last 2 nights, 69 % of the scans started and 62 % ended within their intervals."
    )


def test_the_latest_nights_survive_in_the_store() -> None:
    nights = {f"2026-03-{day:02}": Tally(starts=day) for day in range(1, 11)}
    found = restored(stored(nights))
    assert list(found) == sorted(nights)[-NIGHTS:]
    assert all(found[night] == nights[night] for night in found)
    assert all(early < late for early, late in pairwise(found))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"2026-03-01": 3}', '{"2026-03-01": [1,2,3,4,5]}']
)
def test_a_store_that_cannot_be_read_is_no_error(text: str) -> None:
    assert restored(text) == {}
