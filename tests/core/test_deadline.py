"""Deadlines as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.deadline import deadline_of
from nessus_sched.core.calendar.zones import BadCalendar, parse_moment

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")


@pytest.mark.parametrize(
    ("text", "begin", "expected"),
    [
        ("06:00", "2026-03-02 02:00", "2026-03-02 06:00"),
        ("6:00", "2026-03-02 06:00", "2026-03-03 06:00"),
        ("00:00", "2026-03-02 23:59", "2026-03-03 00:00"),
        ("90m", "2026-03-02 23:00", "2026-03-03 00:30"),
        ("8 h", "2026-03-28 22:00", "2026-03-29 07:00"),  # clocks change that night
        ("1d", "2026-03-28 22:00", "2026-03-29 23:00"),
        ("06:00", "2026-03-28 22:00", "2026-03-29 06:00"),
        ("02:30", "2026-03-28 22:00", "2026-03-29 03:00"),  # not a time of that night
        ("02:30", "2026-10-24 22:00", "2026-10-25T02:30+02:00"),  # twice: the first
        ("2026-03-05 06:00", "2026-03-02 02:00", "2026-03-05 06:00"),
        ("2026-03-05T06:00+00:00", "2026-03-02 02:00", "2026-03-05 07:00"),
    ],
)
def test_deadlines(text: str, begin: str, expected: str) -> None:
    found = deadline_of(text, BERLIN, parse_moment(begin, BERLIN))
    assert found == parse_moment(expected, BERLIN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tonight", "write one such as"),
        ("24:00", "write one such as"),
        ("", "write one such as"),
        ("0m", "not in the future"),
        ("2026-03-02 01:00", "not in the future"),
        ("9999-12-31", "too far away"),
    ],
)
def test_what_is_no_deadline(text: str, said: str) -> None:
    with pytest.raises(BadCalendar, match=said):
        deadline_of(text, BERLIN, parse_moment("2026-03-02 02:00", BERLIN))


@given(
    begin=st.integers(1_700_000_000, 1_900_000_000),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from(ZONES),
)
def test_a_clock_time_is_the_next_one(begin: int, hour: int, minute: int, zone: str) -> None:
    found = deadline_of(f"{hour}:{minute:02}", zone, begin)
    assert begin < found <= begin + timedelta(hours=25).total_seconds()
    shown = datetime.fromtimestamp(found, ZoneInfo(zone))
    if (shown.hour, shown.minute) != (hour, minute):  # left out by a clock change
        before = datetime.fromtimestamp(found - 1, ZoneInfo(zone))
        assert shown.utcoffset() != before.utcoffset()
