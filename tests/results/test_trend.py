"""The weeks and months of a trend, and limits of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.core.calendar.zones import BadCalendar
from nessus_sched.results.ledger.sla import SlaCounts, SlaState, limit_of, state_of
from nessus_sched.results.ledger.trend import MOST_POINTS, Step, TrendQuery

DAY = 86_400
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("step", "since", "until", "expected"),
    [
        (Step.WEEK, "2026-10-21", "2026-11-04 12:00",
         ["2026-10-21", "2026-10-26", "2026-11-02", "2026-11-04 12:00"]),
        (Step.WEEK, "2026-10-19", "2026-11-02", ["2026-10-19", "2026-10-26", "2026-11-02"]),
        (Step.MONTH, "2026-01-31", "2026-04-01",
         ["2026-01-31", "2026-02-01", "2026-03-01", "2026-04-01"]),
        (Step.MONTH, "2026-03-05", "2026-03-06", ["2026-03-05", "2026-03-06"]),
    ],
)  # fmt: skip
def test_points_are_whole_weeks_and_months_of_the_time_zone(
    step: Step, since: str, until: str, expected: list[str]
) -> None:
    query = TrendQuery(since=at(since), until=at(until), step=step, zone="Europe/Berlin")
    assert query.bounds == tuple(int(at(each)) for each in expected)


@given(
    begin=st.integers(1_600_000_000, 1_900_000_000),
    days=st.floats(0.1, 900.0),
    step=st.sampled_from(Step),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia"]),
)
def test_points_cover_the_period_without_gaps(
    begin: int, days: float, step: Step, zone: str
) -> None:
    until = begin + int(days * DAY)
    bounds = TrendQuery(since=begin, until=until, step=step, zone=zone).bounds
    assert (bounds[0], bounds[-1]) == (begin, until)
    assert list(bounds) == sorted(set(bounds))
    longest = 8 * DAY if step is Step.WEEK else 32 * DAY
    assert all(b - a <= longest for a, b in pairwise(bounds))
    for bound in bounds[1:-1]:
        day = datetime.fromtimestamp(bound, ZoneInfo(zone))
        before = datetime.fromtimestamp(bound - 1, ZoneInfo(zone))
        if step is Step.WEEK:
            assert day.isocalendar()[:2] != before.isocalendar()[:2]
        else:
            assert day.month != before.month


def test_a_long_trend_has_its_latest_points_only() -> None:
    until = datetime(2026, 11, 2, tzinfo=UTC)
    query = TrendQuery(since=0, until=until.timestamp())
    assert len(query.bounds) == MOST_POINTS + 1
    assert query.bounds[0] == (until - timedelta(weeks=MOST_POINTS)).timestamp()


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(BadCalendar, match="Europe/Berlim"):
        _ = TrendQuery(since=0, until=DAY, zone="Europe/Berlim").bounds


LIMITS = SlaSettings(
    critical=10.0 * DAY, high=20.0 * DAY, medium=None, low=None, exploited=15.0 * DAY,
    due_soon=5.0 * DAY,
)  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "exploited", "days"),
    [
        (4, False, 10), (4, True, 10), (3, False, 20), (3, True, 15), (2, False, None),
        (1, True, 15), (0, True, None), (0, False, None), (-1, False, 10),
    ],
)  # fmt: skip
def test_the_limit_is_that_of_the_severity_or_sooner_if_exploited(
    severity: int, exploited: bool, days: int | None
) -> None:
    limit = limit_of(LIMITS, severity, exploited=exploited)
    assert limit == (None if days is None else days * DAY)


@pytest.mark.parametrize(
    ("now", "fixed_at", "state"),
    [
        (15, None, SlaState.ON_TIME), (15.1, None, SlaState.DUE), (20, None, SlaState.DUE),
        (20.1, None, SlaState.BREACHED), (50, 20, SlaState.MET), (50, 20.1, SlaState.MET_LATE),
    ],
)  # fmt: skip
def test_states_change_at_their_limits(now: float, fixed_at: float | None, state: SlaState) -> None:
    end = None if fixed_at is None else fixed_at * DAY
    found = state_of(LIMITS, first_seen=0, severity=3, exploited=False, now=now * DAY, fixed_at=end)
    assert found is state


def test_the_share_in_time_counts_what_is_due_and_was_met() -> None:
    counts = SlaCounts(
        counts={
            SlaState.ON_TIME: {"high": 1}, SlaState.DUE: {"low": 2}, SlaState.MET: {"high": 3},
            SlaState.BREACHED: {"high": 1}, SlaState.MET_LATE: {"low": 1},
        },
        excepted={}, unlimited=7,
    )  # fmt: skip
    assert counts.share_in_time == 0.75
    assert SlaCounts(counts={}, excepted={}, unlimited=1).share_in_time is None
