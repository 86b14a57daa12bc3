"""Hours and dates as people write them, and windows and blackouts together."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.periods import DAYS, parse_period
from nessus_sched.core.calendar.timetable import Rule, Timetable, own_hours, verdict
from nessus_sched.core.calendar.zones import BadCalendar, parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.core.targets.targets import targets_from

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> float:
    return parse_moment(text, zone)


def rule(*times: str, blackout: bool = False, name: str = "r", zone: str = BERLIN) -> Rule:
    return Rule(name=name, period=parse_period(times, zone), blackout=blackout)


@pytest.mark.parametrize(
    ("times", "inside", "outside"),
    [
        ("mon-fri 20:00-06:00", ["2026-03-02 20:00", "2026-03-03 05:59", "2026-03-07 05:59"],
         ["2026-03-02 19:59", "2026-03-03 06:00", "2026-03-07 20:00", "2026-03-02 05:00"]),
        ("sat,sun", ["2026-03-07 00:00", "2026-03-08 23:59"], ["2026-03-06 23:59", "2026-03-09"]),
        ("fri-mon", ["2026-03-06", "2026-03-09 23:59"], ["2026-03-05", "2026-03-10"]),
        ("22:00-24:00", ["2026-03-02 22:00", "2026-03-04 23:59"], ["2026-03-03", "2026-03-02"]),
        ("2026-12-20 to 2027-01-03", ["2026-12-20", "2027-01-03 23:59"], ["2027-01-04"]),
        ("2026-12-20", ["2026-12-20 12:00"], ["2026-12-21", "2026-12-19 23:59"]),
        ("2026-12-20 18:00 to 2026-12-21 06:00", ["2026-12-20 18:00"], ["2026-12-21 06:00"]),
        # Clock changes: the night of 2026-03-29 lasts an hour less, that of 10-25 an hour more.
        ("02:30-05:00", ["2026-03-29 03:00", "2026-03-29 04:59"], ["2026-03-29 01:59"]),
    ],
)  # fmt: skip
def test_what_is_inside(times: str, inside: list[str], outside: list[str]) -> None:
    period = parse_period([times], BERLIN)
    assert [period.span_at(at(text)) is not None for text in inside] == [True] * len(inside)
    assert [period.span_at(at(text)) is None for text in outside] == [True] * len(outside)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ("someday", "wrong day 'someday'"),
        ("mon-xyz 10:00-12:00", "wrong day 'mon-xyz'"),
        ("mon 10:00", "has no end"),
        ("mon 10:00-25:00", "wrong time '25:00'"),
        ("mon 10:60-12:00", "wrong time '10:60'"),
        ("mon 10:00-10:00", "is empty"),
        ("mon 10:00 12:00", "cannot be read"),
        ("2026-12-20 to 2026-12-01", "ends before it begins"),
        ("2026-13-20", "is not a time"),
        ("2026-12-20 to 9999-12-31", "too far away"),
        ("", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(times: str, said: str) -> None:
    with pytest.raises(BadCalendar, match=said):
        parse_period([times], BERLIN)


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 23), st.integers(1, 24)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 700 * 24),
    st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe"]),
)
def test_weekly_hours_are_those_of_the_wall_clock(
    hours: list[tuple[set[int], int, int]], number: int, zone: str
) -> None:
    hours = [(days, begin, end) for days, begin, end in hours if begin != end]
    texts = [
        f"{','.join(DAYS[day] for day in days)} {begin:02}:00-{end:02}:00"
        for days, begin, end in hours
    ]
    if not texts:
        return
    period = parse_period(texts, zone)
    exact = at("2026-01-01 00:30", "UTC") + number * 3600
    local = datetime.fromtimestamp(exact, ZoneInfo(zone))
    before = local - timedelta(days=1)
    expected = any(
        (local.weekday() in days and begin <= local.hour and (local.hour < end or end < begin))
        or (end < begin and before.weekday() in days and local.hour < end)
        for days, begin, end in hours
    )
    if _changes_near(local):
        return  # an edge may lie in a gap or be repeated
    assert (period.span_at(exact) is not None) is expected
    following = period.next_begin(exact)
    assert following is not None
    assert following > exact


def _changes_near(local: datetime) -> bool:
    offsets = {(local + timedelta(hours=hours)).utcoffset() for hours in range(-30, 30, 3)}
    return len(offsets) > 1


def test_a_window_and_a_blackout_together() -> None:
    nights = rule("mon-fri 20:00-06:00", name="nights")
    freeze = rule("2026-03-03 22:00 to 2026-03-05 12:00", blackout=True, name="freeze")
    open_now = verdict([nights, freeze], at("2026-03-02 21:00"))
    assert (open_now.allowed, open_now.until) == (True, at("2026-03-03 06:00"))
    assert open_now.length == 10 * 3600
    until_freeze = verdict([nights, freeze], at("2026-03-03 21:00"))
    assert (until_freeze.until, until_freeze.rule) == (at("2026-03-03 22:00"), freeze)
    frozen = verdict([nights, freeze], at("2026-03-04 21:00"))
    assert (frozen.allowed, frozen.rule, frozen.until) == (False, freeze, at("2026-03-05 20:00"))
    assert "blackout 'freeze' does not allow scans until Thu 2026-03-05 20:00 CET" in frozen.text
    day = verdict([nights], at("2026-03-07 12:00"))
    assert (day.allowed, day.until) == (False, at("2026-03-09 20:00"))


def test_between_two_blackouts_there_is_an_opening_with_a_length() -> None:
    """Else a scan that takes longer than it would wait for ever."""
    days = rule("mon-fri 08:00-18:00", blackout=True)
    night = verdict([days], at("2026-03-03 20:00"))
    assert (night.allowed, night.until) == (True, at("2026-03-04 08:00"))
    assert night.length == (6 + 48 + 8) * 3600, "the weekend is longer"
    nights = rule("08:00-18:00", blackout=True)
    assert verdict([nights], at("2026-03-03 20:00")).length == 14 * 3600
    once = rule("2026-03-03", blackout=True)
    assert verdict([once], at("2026-02-01")).length == math.inf
    assert verdict([once], at("2026-03-05")).until == math.inf


def test_windows_that_never_open_together() -> None:
    never = verdict([rule("mon"), rule("tue")], at("2026-03-02 12:00"))
    assert (never.allowed, never.until) == (False, None)
    assert "for a year" in never.text


def test_no_rules_allow_everything() -> None:
    found = verdict([], 0.0)
    assert (found.allowed, found.until) == (True, math.inf)


def test_rules_apply_to_what_they_name() -> None:
    closed = parse_period(["2020-01-01"], "UTC")
    networks = parse_rules(["192.0.2.0/25"]).networks
    table = Timetable(
        rules=(
            Rule(name="net", period=closed, blackout=False, networks=networks),
            Rule(name="west", period=closed, blackout=False, scanners=frozenset({"west"})),
            Rule(name="dmz", period=closed, blackout=False, pools=frozenset({"dmz"})),
        )
    )
    inside, outside = (pack(targets_from([text])) for text in ("192.0.2.0/24", "192.0.2.128/25"))
    now = at("2026-03-02")
    assert not table.scan(inside, None, "east", "nessus", now).allowed
    assert not table.scan(outside, "2020-01-01", "east", "nessus", now).allowed
    assert table.scanner("east", "nessus", now).allowed
    assert not table.scanner("west", "nessus", now).allowed
    assert not table.scanner("east", "dmz", now).allowed
    assert not table.scan(outside, None, "west", "nessus", now).allowed
    assert table.scan(outside, None, "east", "nessus", now).allowed


def test_the_hours_of_a_task_may_have_their_own_zone() -> None:
    found = own_hours("22:00-06:00; sat,sun (Asia/Tokyo)", "UTC")
    assert found.is_open(at("2026-03-02 23:00", "Asia/Tokyo"))
    assert not found.is_open(at("2026-03-02 23:00", "UTC"))
    with pytest.raises(BadCalendar, match="no time zone"):
        own_hours("22:00-06:00 (Nowhere)", "UTC")


def test_hours_in_a_zone_that_this_machine_does_not_know_never_come() -> None:
    """The task may have been accepted by another machine."""
    targets, hours = pack(targets_from(["192.0.2.1"])), "22:00-06:00 (Mars/Base)"
    found = Timetable().scan(targets, hours, "x", "nessus", 0)
    assert (found.allowed, found.until) == (False, None)


_SOME = (
    (("mon-fri 20:00-06:00",), False),
    (("08:00-18:00",), True),
    (("sat,sun", "22:00-23:00"), False),
    (("wed 01:00-04:00", "2026-03-20 to 2026-03-30"), True),
    (("2026-04-02 to 2026-04-09",), False),
)


@given(
    chosen=st.lists(st.sampled_from(_SOME), min_size=1, max_size=3),
    hours=st.lists(st.floats(0, 24 * 60), min_size=1, max_size=30),
)
def test_what_is_remembered_is_what_would_be_found(
    chosen: list[tuple[tuple[str, ...], bool]], hours: list[float]
) -> None:
    rules = [rule(*times, blackout=blackout) for times, blackout in chosen]
    table = Timetable(rules=tuple(rules))
    for moment in (at("2026-02-25") + hour * 3600 for hour in hours):
        alike = [
            attrs.evolve(each) for each in rules
        ]  # another rule: rules are compared by identity
        found, fresh = verdict(rules, moment), verdict(alike, moment)
        assert attrs.evolve(found, rule=None) == attrs.evolve(fresh, rule=None)
        assert found.rule is rules[alike.index(fresh.rule)] if fresh.rule else found.rule is None
        assert table.next_change(moment) == Timetable(rules=tuple(alike)).next_change(moment)


def test_an_opening_that_is_years_ahead_is_seen_when_it_comes_near() -> None:
    rules = [rule("2029-06-01")]
    assert verdict(rules, at("2026-01-01")).until is None
    assert verdict(rules, at("2029-05-01")).until == at("2029-06-01")


def test_a_window_that_is_always_open_leaves_days() -> None:
    rules = [rule("mon-sun")]
    begin = at("2026-03-01")
    for hour in range(24 * 60):
        found = verdict(rules, begin + hour * 3600)
        assert found.until is not None
        assert found.until - begin - hour * 3600 > 7 * 86400
