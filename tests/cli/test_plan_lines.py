"""The plan as lines of text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.cli.schedules.timeline import LEGEND, timeline_lines
from nessus_sched.core.calendar.timeline import Timeline
from support.plans import NOW, ZONE, answered, night


@pytest.fixture(autouse=True)
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the time zone of these plans."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", ZONE)
        time.tzset()
        yield
    time.tzset()


def test_a_night_is_a_line_for_each_scanner_and_rule() -> None:
    hours, east, west, spare, freeze, legend = timeline_lines(answered(night()), 80)
    assert hours.split() == ["18:00", "21:00", "Tue", "03:00", "06:00", "09:00", "12:00"]
    assert east == (
        "east              █████████▆▃··············▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▃·····················"
    )
    assert west == (
        "west              ░░░░▃████▆████▆···············▇▄···░░░░░░░░░░░░░░░░░░░░░░░░░░░"
    )
    assert spare == "spare".ljust(18) + "·" * 62
    assert freeze.startswith("blackout 'freez…  ·········░░")
    assert legend == LEGEND


def test_hours_stand_above_their_minutes() -> None:
    hours, _, west, *_ = timeline_lines(answered(night()), 200)
    opens = 18 + len(re.match("░+", west[18:])[0])  # type: ignore[index]
    assert abs(hours.index("18:00") - opens) <= 1
    assert abs(hours.index("06:00") - west.index("·░") - 1) <= 1


def test_days_of_a_month_have_dates() -> None:
    hours = timeline_lines(answered(night(hours=744)), 80)[0]
    assert hours.split()[:4] == ["Mar", "03", "Mar", "07"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [20, 60, 80, 200])
@pytest.mark.parametrize("hours", [6, 24, 744])
def test_it_is_as_wide_as_the_terminal(width: int, hours: int) -> None:
    lines = timeline_lines(answered(night(hours=hours)), width)[:-1]
    assert {len(line) for line in lines[1:]} == {max(width, len("blackout 'freez…") + 2 + 24)}
    assert len(lines[0]) <= len(lines[1])


def test_a_fleet_is_cut_and_counted() -> None:
    lines = timeline_lines(answered(night()), 80, most=1)
    assert [line.split()[0] for line in lines[1:-1]] == ["east"]
    assert lines[-1] == f"{LEGEND} (3 more rows)"


def test_names_cannot_control_the_terminal() -> None:
    found = answered(night())
    found["timeline"]["scanners"][0]["scanner"] = "\x1b[31mred\n"
    assert "\x1b" not in "".join(timeline_lines(found, 80))


def empty(found: dict[str, Any]) -> dict[str, Any]:
    timeline = Timeline(begin=NOW, until=NOW + 1, zone=ZONE)
    return {**found, "timeline": attrs.asdict(timeline)}


@pytest.mark.parametrize("timeline", [None, {"scanners": [], "rules": []}])
def test_nothing_planned_is_no_lines(timeline: Any) -> None:
    assert timeline_lines({**answered(night()), "timeline": timeline}, 80) == []


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 1440), st.integers(1, 600)), max_size=20))
def test_the_cells_have_the_time_that_scans_take(scans: list[tuple[int, int]]) -> None:
    found = answered(night())
    east = found["timeline"]["scanners"][0]
    begin = found["begin"]
    east["slots"] = 100
    east["scans"] = [
        {"begin": _at(begin, since), "end": _at(begin, min(1440, since + takes))}
        for since, takes in scans
    ]
    line = timeline_lines(
        {
            **found,
            "timeline": {
                **found["timeline"],
                "scanners": [
                    {
                        **east,
                        "closed": [],
                        "scans": [{**each, "kind": "waiting"} for each in east["scans"]],
                    }
                ],
            },
        },
        80,
    )[1:2]
    if scans:
        cells = line[0][-62:]
        busy = sum(("·▁▂▃▄▅▆▇█".index(cell)) for cell in cells) / 8 / 62
        real = sum(min(1440, since + takes) - since for since, takes in scans) / 1440 / 100
        assert real - 0.03 <= busy <= real + 1 / 8


def _at(begin: str, minutes: int) -> str:
    from datetime import datetime, timedelta

    return (datetime.fromisoformat(begin) + timedelta(minutes=minutes)).isoformat()
