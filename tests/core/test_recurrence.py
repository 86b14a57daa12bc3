"""When a schedule fires, against an oracle that enumerates days, through every change of clocks."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from itertools import takewhile
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.recurrence import Recurrence, check_recurrence, notes_on
from nessus_sched.core.calendar.zones import BadCalendar, parse_moment
from support.cron_oracle import crons, transitions

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
    "Asia/Kathmandu",
)  # fmt: skip
"""Without clock changes, with them at night, of half an hour, at midnight, and with odd offsets."""
FIRST, END = date(2026, 1, 1), date(2036, 1, 1)


def moment(text: str, zone: str = "UTC") -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).timestamp()


def fires(recurrence: Recurrence, begin: float, end: float) -> list[float]:
    return list(takewhile(lambda at: at < end, recurrence.after(begin - 1)))


def compare_ten_years(count: int, seed: int) -> None:
    random = Random(seed)
    for number, cron in enumerate(crons(random, count, fixed=True)):
        name = ZONES[number % len(ZONES)]
        zone = ZoneInfo(name)
        begin, end = (
            datetime(*day.timetuple()[:3], tzinfo=zone).timestamp() for day in (FIRST, END)
        )
        found = fires(Recurrence(cron=cron.expression, zone=name), begin, end)
        assert found == cron.firings(FIRST, END, zone), (cron.expression, name)


@pytest.mark.slow
def test_fixed_times_of_ten_years_are_those_of_an_oracle() -> None:
    compare_ten_years(6, seed=1)


@pytest.mark.slow
def test_fixed_times_of_many_expressions_are_those_of_an_oracle() -> None:
    compare_ten_years(int(os.environ.get("CRON_EXPRESSIONS", "60")), seed=2)


def test_in_the_second_of_two_equal_hours_the_first_is_over() -> None:
    second = moment("2026-10-25T01:10+00:00")  # 02:10 in Berlin, for the second time
    found = Recurrence(cron="30 2 * * *", zone="Europe/Berlin").next_after(second)
    assert found == moment("2026-10-26T01:30+00:00")


@pytest.mark.slow
def test_hourly_and_minutely_expressions_follow_elapsed_time() -> None:
    random = Random(3)
    for number, cron in enumerate(crons(random, 12, fixed=False)):
        name = ZONES[number % len(ZONES)]
        zone = ZoneInfo(name)
        for day in transitions(zone, FIRST, date(2028, 1, 1)) or [moment("2026-03-01")]:
            begin, end = day - 3600, day + 2 * 86400
            found = fires(Recurrence(cron=cron.expression, zone=name), begin, end)
            assert found == cron.elapsed_firings(begin, end, zone), (cron.expression, name)


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        # In Berlin 02:00 to 03:00 does not exist on the first day, and is repeated on the second.
        ("30 2 * * *", "2026-03-29", ["2026-03-29T01:00+00:00"]),
        ("15,30 2 * * *", "2026-03-29", ["2026-03-29T01:00+00:00"]),
        ("30 2 * * *", "2026-10-25", ["2026-10-25T00:30+00:00"]),
        ("30 * * * *", "2026-10-25", None),
        ("0 2 29 feb *", "2028-02-29", ["2028-02-29T01:00+00:00"]),
    ],
)
def test_clock_changes_and_leap_days(expression: str, day: str, expected: list[str] | None) -> None:
    begin = moment(day, "Europe/Berlin")
    found = fires(
        Recurrence(cron=expression, zone="Europe/Berlin"),
        begin,
        parse_moment(f"{day} 23:59", "Europe/Berlin"),
    )
    if expected is None:
        assert len(found) == 25
    else:
        assert [datetime.fromtimestamp(at, UTC).isoformat(timespec="minutes") for at in found] == (
            expected
        )


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["30 2 * * *", "0 0 * * mon", "*/20 * * * *", "5 1-3 * * *", "0 0 L * *"]),
    st.floats(1_790_000_000, 1_900_000_000),
)
def test_the_next_firing_is_later_and_none_lies_between(zone: str, cron: str, after: float) -> None:
    recurrence = Recurrence(cron=cron, zone=zone)
    found = recurrence.next_after(after)
    assert found is not None
    assert found > after
    assert recurrence.next_after((after + found) / 2) == found


@given(st.integers(60, 10**7), st.floats(0, 2e9), st.floats(0, 2e9))
def test_intervals_count_elapsed_time(every: int, start: float, after: float) -> None:
    recurrence = Recurrence(every=float(every), start=start)
    found = recurrence.next_after(after)
    assert found is not None
    assert max(after, start) < found <= max(after, start) + every * (1 + 1e-9)
    assert (found - start) / every == pytest.approx(round((found - start) / every))


@pytest.mark.parametrize(
    ("recurrence", "said"),
    [
        (Recurrence(cron="0 2 * *"), "has 4 fields"),
        (Recurrence(cron="0 0 2 * * mon"), "has 6 fields"),
        (Recurrence(cron="@daily"), "has 1 fields"),
        (Recurrence(cron="61 2 * * *"), "invalid minute"),
        (Recurrence(cron="0 24 * * *"), "invalid hour"),
        (Recurrence(cron="0 2 32 * *"), "invalid day of month"),
        (Recurrence(cron="0 2 30 2 *"), "invalid day of month"),
        (Recurrence(cron="0 2 * 13 *"), "invalid month"),
        (Recurrence(cron="0 2 * * tues"), "invalid day of week"),
        (Recurrence(cron="0 2 5 * mon#6"), "invalid day of week"),
        (Recurrence(cron="*/10 * * * *"), "every 10 minutes"),
        (Recurrence(cron="0,5 2 * * *"), "every 5 minutes"),
        (Recurrence(cron="0 2 * * *", zone="Europe/Berln"), "Europe/Berlin"),
        (Recurrence(every=60.0), "every 1 minute; .* one firing in 15 minutes"),
        (Recurrence(at=1_000_000_000.0), "in the past"),
        (Recurrence(), "exactly one of"),
        (Recurrence(cron="0 2 * * *", every=3600.0), "exactly one of"),
    ],
)
def test_what_is_wrong_is_said(recurrence: Recurrence, said: str) -> None:
    with pytest.raises(BadCalendar, match=said):
        check_recurrence(recurrence, now=1_800_000_000.0, min_interval=900)


def test_a_day_that_some_months_lack_is_pointed_out() -> None:
    assert "without a day 31" in notes_on(Recurrence(cron="0 2 1,31 * *"))[0]
    assert notes_on(Recurrence(cron="0 2 L * *")) == []


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-02 02:00", "Europe/Berlin", "2026-03-02T01:00+00:00"),
        ("2026-03-02T02:00+05:00", "Europe/Berlin", "2026-03-01T21:00+00:00"),
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00+00:00"),
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30+00:00"),
        ("2026-10-04 02:10", "Australia/Lord_Howe", "2026-10-03T15:30+00:00"),
        ("2026-03-02", "UTC", "2026-03-02T00:00+00:00"),
    ],
)
def test_a_time_without_offset_is_local(text: str, zone: str, expected: str) -> None:
    found = parse_moment(text, zone)
    assert datetime.fromtimestamp(found, UTC).isoformat(timespec="minutes") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tomorrow", "is not a time"),
        ("2026-02-30", "is not a time"),
        ("9999-12-31 23:59", "too far away"),
        ("9999-12-31T23:59-12:00", "too far away"),
        ("0001-01-01", "too far away"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_what_is_no_time_is_said(text: str, said: str, zone: str) -> None:
    with pytest.raises(BadCalendar, match=said):
        parse_moment(text, zone)
