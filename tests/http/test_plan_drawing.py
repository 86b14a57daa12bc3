"""The plan on the status page."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.plan import Interval
from nessus_sched.core.calendar.timeline import Bar, BarKind, Closed, ScannerRow, Timeline
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.pool.statistics import PoolStatistics
from nessus_sched.http.status_page import Overview, render
from nessus_sched.http.timeline import drawing, interval
from nessus_sched.scheduler.plan import Plan
from nessus_sched.telemetry.health import Health
from support.plans import HOUR, NOW, ZONE, night

EVIL = '<script>alert(1)</script>\u202e"'


def page(plan: Plan | None) -> str:
    none = QueueStatistics(length=0, parked=0, oldest=None)
    pool = PoolStatistics(
        paused=False, scanners=(), overflow=none, active=0, queued=0, capacity=0, free=0
    )
    return render(
        Overview(
            at=NOW,
            version="1.2.3",
            health=Health(components={}),
            pool=pool,
            scanners=[],
            active=[],
            waiting=[],
            ended=[],
            dead_letters=0,
            clients=0,
            plan=plan,
        )
    )


def bars(scans: list[tuple[float, float]], hours: float = 24, zone: str = ZONE) -> Timeline:
    row = ScannerRow(
        scanner_id="a",
        slots=1,
        closed=(),
        bars=tuple(
            Bar(kind=BarKind.WAITING, name="n", begin=NOW + b * HOUR, end=NOW + e * HOUR)
            for b, e in scans
        ),
    )
    return Timeline(begin=NOW, until=NOW + hours * HOUR, zone=zone, scanners=(row,))


@pytest.mark.slow
def test_the_plan_is_drawn_and_told() -> None:
    text = page(night())
    assert "Plan for the next 24 h" in text
    assert "as of Mon 16:20, Europe/Berlin" in text
    told = [unescape(each) for each in re.findall(r"<li>(.*?)</li>", text)]
    assert "east: web servers, running: Mon 16:20 to Mon 17:44" in told
    assert "west: closed by window 'nights': Mon 16:20 to Mon 18:00" in told
    assert "west: weekly-dmz, scheduled: Mon 20:02 to Mon 22:02" in told
    assert "blackout 'freeze': closed by blackout 'freeze': Mon 20:00 to Tue 04:00" in told
    assert len(re.findall(r'<svg class="waiting" x=', text)) == 9  # the parts
    assert "<td>not known</td>" in text
    assert "waits for blackout &#39;freeze&#39;" in text
    assert [unescape(each) for each in re.findall(r"<title>(.*?)</title>", text)[1:]] == [
        each.partition(": ")[2] for each in told
    ]


def test_names_in_it_are_escaped_and_it_loads_nothing() -> None:
    text = page(night(EVIL))
    assert "<script" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;") == 4  # in its bar, its title, the list and the table
    assert not re.search(r"\b(src|href|style|on[a-z]+)=\"(?!/)|url\((?!#)|https?:", text)


@pytest.mark.parametrize("plan", [None, attrs.evolve(night(), scans=[], timeline=bars([]))])
def test_nothing_planned_is_no_section(plan: Plan | None) -> None:
    assert "Plan for" not in page(plan)


def test_closed_hours_are_shown_though_nothing_is_planned() -> None:
    closed = Closed(begin=NOW, end=NOW + HOUR, reason="window 'w'")
    row = ScannerRow(scanner_id="a", slots=1, bars=(), closed=(closed,))
    text = page(attrs.evolve(night(), scans=[], timeline=attrs.evolve(bars([]), scanners=(row,))))
    assert "a: closed by window &#39;w&#39;: Mon 16:20 to Mon 17:20" in text
    assert "<th>Starts</th>" not in text


@given(
    st.lists(st.tuples(st.floats(0, 23), st.floats(0.01, 24)), max_size=80).map(
        lambda pairs: sorted((begin, min(24.0, begin + takes)) for begin, takes in pairs)
    )
)
def test_shapes_lie_in_the_picture_and_not_on_each_other(scans: list[tuple[float, float]]) -> None:
    found = drawing(bars(scans))
    (row,) = found.rows
    places: dict[int, list[tuple[float, float]]] = {}
    for shape in row.shapes:
        assert 0 <= shape.x <= shape.x + shape.width <= 100.01
        assert row.y < shape.y < shape.y + shape.height < row.y + row.height <= found.height
        places.setdefault(shape.y, []).append((shape.x, shape.x + shape.width))
    for lane in places.values():
        for (_, end), (begin, _) in pairwise(lane):
            assert end <= begin + 0.42  # short ones are drawn wider
    tops = sorted(places)
    heights = {shape.height for shape in row.shapes}
    assert all(low + min(heights) <= high for low, high in pairwise(tops))


def test_a_scan_of_seconds_can_be_seen() -> None:
    (row,) = drawing(bars([(1, 1.001), (23.9999, 24)])).rows
    assert [round(shape.width, 2) for shape in row.shapes] == [0.4, 0.4]
    assert row.shapes[1].x == pytest.approx(99.6)


@pytest.mark.parametrize(
    ("zone", "hours", "labels"),
    [
        ("Europe/Berlin", 24, "18:00 21:00 Tue 03:00 06:00 09:00 12:00 15:00"),
        ("Asia/Kolkata", 24, "21:00 Tue 03:00 06:00 09:00 12:00 15:00 18:00"),
        ("UTC", 6, "16:00 17:00 18:00 19:00 20:00 21:00"),
        ("UTC", 100, "Tue Wed Thu Fri"),
    ],
)
def test_hours_are_those_of_the_operators_zone(zone: str, hours: float, labels: str) -> None:
    assert [tick.label for tick in drawing(bars([], hours, zone)).ticks] == labels.split()


def test_hours_are_right_on_the_day_the_clocks_change() -> None:
    begin = parse_moment("2026-03-28 23:30", ZONE)
    found = attrs.evolve(bars([]), begin=begin, until=begin + 12 * HOUR)
    ticks = [(each.label, round(each.x * 12 / 100, 1)) for each in drawing(found).ticks]
    assert ticks == [("Sun", 0.5), ("03:00", 2.5), ("06:00", 5.5), ("09:00", 8.5), ("12:00", 11.5)]


@pytest.mark.parametrize(
    ("low", "middle", "high", "text"),
    [
        (0, 0, 0, "Mon 16:20"),
        (-1, 0, 2, "Mon 16:20 (15:20 to 18:20)"),
        (0, 1, float("inf"), "Mon 17:20 (16:20 to ?)"),
        (0, float("inf"), float("inf"), "not within a year"),
    ],
)
def test_intervals_are_short(low: float, middle: float, high: float, text: str) -> None:
    ends = (NOW + each * HOUR for each in (low, middle, high))
    found = Interval(**dict(zip(("low", "median", "high"), ends, strict=True)))
    assert interval(found, ZONE) == text
    assert interval(None, ZONE) == "not known"
