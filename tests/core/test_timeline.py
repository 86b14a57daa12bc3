"""A plan as it is drawn: pure."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.plan import plan
from nessus_sched.core.calendar.playing import Job, Slot
from nessus_sched.core.calendar.timeline import BarKind, Timeline, timeline
from nessus_sched.core.calendar.timetable import Rule, Timetable
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from

HOUR = 3600.0
NOW = parse_moment("2026-03-02 12:00", "UTC")
WITHIN = (NOW, NOW + 24 * HOUR)


def job(name: str, takes: float, scanners: str = "x", **changes: Any) -> Job:
    usual: dict[str, Any] = {
        "ready": NOW,
        "firing": False,
        "targets": pack(targets_from(["192.0.2.1"])),
        "between": None,
        "pool": "p",
        "durations": dict.fromkeys(scanners, (takes * HOUR,)),
    }
    return Job(name=name, **{**usual, **changes})


def slot(scanner_id: str, task_id: str | None = None, *free: float) -> Slot:
    if task_id is None:
        return Slot(scanner_id=scanner_id)
    left = tuple(each * HOUR for each in free)
    return Slot(scanner_id=scanner_id, running=job(task_id, 0, durations={scanner_id: left}))


def rule(text: str, **changes: Any) -> Rule:
    return Rule(name="r", period=parse_period([text], "UTC"), blackout=True, **changes)


def drawn(jobs: list[Job], slots: list[Slot], *rules: Rule, **changes: Any) -> Timeline:
    table = Timetable(rules=rules)
    usual: dict[str, Any] = {"pools": {"x": "p", "y": "p"}, "running": {}}
    return timeline(
        plan(jobs, slots, table, NOW), slots, timetable=table, within=WITHIN, **{**usual, **changes}
    )


def bars(found: Timeline) -> dict[str, list[tuple[str, BarKind, float, float]]]:
    return {
        row.scanner_id: [
            (bar.name, bar.kind, (bar.begin - NOW) / HOUR, (bar.end - NOW) / HOUR)
            for bar in row.bars
        ]
        for row in found.scanners
    }


def test_every_part_is_a_bar_on_its_scanner() -> None:
    found = drawn([job("whole", 2, "xy", scans=3)], [slot("x"), slot("y")])
    (one, other) = bars(found).values()
    assert sorted([*one, *other]) == [
        ("whole", BarKind.WAITING, 0, 2), ("whole", BarKind.WAITING, 0, 2),
        ("whole", BarKind.WAITING, 2, 4),
    ]  # fmt: skip
    assert [row.slots for row in found.scanners] == [1, 1]


def test_what_runs_is_drawn_until_its_likely_end_and_what_follows_after_it() -> None:
    slots = [slot("x", "t-1", 1, 2, 2), slot("y", "t-2", math.inf)]
    found = drawn([job("next", 1, firing=True)], slots, running={"t-1": "mine"})
    (running, following) = bars(found)["x"]
    assert running == ("mine", BarKind.RUNNING, 0, 2)
    assert following[1] is BarKind.FIRING
    assert bars(found)["y"] == [("", BarKind.RUNNING, 0, 24)]


def test_what_is_beyond_the_plan_is_not_drawn() -> None:
    found = drawn([job("long", 30), job("late", 1, ready=NOW + 25 * HOUR)], [slot("x")])
    assert bars(found)["x"] == [("long", BarKind.WAITING, 0, 24)]


def test_closed_hours_are_those_of_the_scanner_and_rules_of_networks_have_their_own() -> None:
    west = rule("14:00-16:00", scanners=frozenset({"x"}))
    net = rule("13:00-14:00", networks=targets_from(["192.0.2.0/24"]).ranges)
    found = drawn([], [slot("x"), slot("y")], west, net)
    closed = {
        row.scanner_id: [((c.begin - NOW) / HOUR, (c.end - NOW) / HOUR) for c in row.closed]
        for row in found.scanners
    }
    assert closed == {"x": [(2, 4)], "y": []}
    ((only,),) = [row.closed for row in found.rules]
    assert ((only.begin - NOW) / HOUR, (only.end - NOW) / HOUR) == (1, 2)
    assert only.reason == found.rules[0].text == "blackout 'r'"


def test_what_never_opens_is_closed_to_the_end() -> None:
    never = attrs.evolve(rule("2026-01-01"), blackout=False)
    (row, _) = drawn([], [slot("x")], never).scanners
    assert [(each.begin, each.end) for each in row.closed] == [WITHIN]


def test_nothing_to_draw_is_empty() -> None:
    assert drawn([], [slot("x")]).empty
    assert not drawn([job("a", 1)], [slot("x")]).empty
    assert not drawn([], [slot("x")], rule("13:00-14:00")).empty


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0.1, 30), st.integers(1, 5)), max_size=6),
    st.integers(1, 3),
    st.booleans(),
)
def test_a_scanner_never_has_more_bars_than_slots(
    jobs: list[tuple[float, int]], slots: int, closed: bool
) -> None:
    rules = [rule("14:00-22:00")] if closed else []
    found = drawn(
        [job(str(n), takes, scans=scans) for n, (takes, scans) in enumerate(jobs)],
        [slot("x")] * slots,
        *rules,
    )
    row = found.scanners[0]
    for bar in row.bars:
        assert WITHIN[0] <= bar.begin < bar.end <= WITHIN[1]
        assert sum(each.begin <= bar.begin < each.end for each in row.bars) <= slots
