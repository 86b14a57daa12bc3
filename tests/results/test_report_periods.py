"""The periods that reports are about."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.reports.period import DAY, Last, last, usual

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "America/Sao_Paulo")


def local(at: float, zone: str) -> datetime:
    return datetime.fromtimestamp(at, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("unit", "zone", "text"),
    [
        (Last.WEEK, "UTC", "2026-11-16 to 2026-11-22 (UTC)"),
        (Last.MONTH, "Europe/Berlin", "2026-10-01 to 2026-10-31 (Europe/Berlin)"),
        (Last.QUARTER, "America/New_York", "2026-07-01 to 2026-09-30 (America/New_York)"),
    ],
)
def test_the_last_whole_period_before_now(unit: Last, zone: str, text: str) -> None:
    assert last(unit, datetime(2026, 11, 28, 20, tzinfo=UTC).timestamp(), zone).text == text


@given(
    at=st.floats(min_value=10**9, max_value=4 * 10**9),
    zone=st.sampled_from(ZONES),
    unit=st.sampled_from(Last),
)
def test_it_is_whole_and_the_latest(at: float, zone: str, unit: Last) -> None:
    found = last(unit, at, zone)
    begin, end = local(found.since, zone), local(found.until, zone)
    assert found.until <= at
    days = {Last.WEEK: 7, Last.MONTH: 31, Last.QUARTER: 92}[unit]
    assert at - found.until < days * DAY + 7200
    if unit is Last.WEEK:
        assert begin.weekday() == end.weekday() == 0
    else:
        assert begin.day == end.day == 1
        assert unit is Last.MONTH or begin.month % 3 == end.month % 3 == 1
    assert last(unit, found.since + 1, zone).until == found.since


def test_the_usual_period_ends_now() -> None:
    found = usual(90 * DAY, "UTC")
    assert (found.since, found.until) == (60 * DAY, 90 * DAY)
    assert found.text == "1970-03-02 to 1970-03-31 (UTC)"
