"""Where a period lies in the journal, and which scans are in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.pack.journal import (
    Bounds,
    ChainRow,
    Head,
    ScanEnd,
    find_bounds,
    scan_ends,
    whole_of,
)
from nessus_sched.results.pack.schedules import LISTED, Schedules

BASE = Head(7, bytes(32))
SINCE, UNTIL = 100.0, 200.0


def rows_of(entries: Sequence[dict[str, Any]]) -> list[ChainRow]:
    return [
        ChainRow(seq, None, json.dumps(entry), hashlib.sha256(bytes([seq])).digest())
        for seq, entry in enumerate(entries, BASE.seq + 1)
    ]


def entry(at: float, event: str, task_id: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"at": at, "event": event, "task_id": task_id, **fields}


def life(task_id: str, begun: float, ended: float) -> list[dict[str, Any]]:
    return [
        entry(begun, "taken", task_id, before="queued", after="launching",
              detail={"scanner_instance": "east"}),
        entry(begun, "launched", task_id, before="launching", after="running"),
        entry(ended, "completed", task_id, before="running", after="completed"),
    ]  # fmt: skip


def bounds(rows: Sequence[ChainRow]) -> Bounds:
    return find_bounds(rows, BASE, SINCE, UNTIL)


def ends(rows: Sequence[ChainRow]) -> list[ScanEnd]:
    return list(scan_ends(rows, bounds(rows)))


times = st.sampled_from([0.0, 50.0, 99.0, 100.0, 101.0, 150.0, 199.0, 200.0, 201.0, 250.0])
lives = st.lists(st.tuples(times, times).map(lambda two: (min(two), max(two))), max_size=6)


@st.composite
def journals(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Tasks at the same time, and clocks that are set back now and then."""
    entries: list[dict[str, Any]] = []
    for number, (begun, ended) in enumerate(draw(lives)):
        entries += life(f"t-{number}", begun, ended)
    entries.sort(key=lambda each: each["at"])
    for back in draw(st.lists(st.tuples(st.integers(0, 20), times), max_size=3)):
        entries.insert(min(back[0], len(entries)), entry(back[1], "reload"))
    return entries


@given(journal=journals())
def test_rows_that_come_later_move_nothing(journal: list[dict[str, Any]]) -> None:
    rows = rows_of(journal)
    over = next((number for number, row in enumerate(journal) if row["at"] >= UNTIL), None)
    if over is None:
        return
    found = bounds(rows)
    for length in range(over + 1, len(rows) + 1):
        then = bounds(rows[:length])
        assert (then.before, then.head) == (found.before, found.head)
        if not then.unfinished:
            assert then.last == found.last
            assert ends(rows[:length]) == ends(rows)


@given(journal=journals())
def test_the_rows_of_a_period(journal: list[dict[str, Any]]) -> None:
    rows = rows_of(journal)
    found = bounds(rows)
    assert found.before.seq <= found.head.seq
    inside = [each for each in rows if found.before.seq < each.seq <= found.head.seq]
    before = [each for each in rows if each.seq <= found.before.seq]
    assert all(each.entry["at"] < UNTIL for each in inside)
    assert all(each.entry["at"] < SINCE for each in before)
    assert not inside or inside[0].entry["at"] >= SINCE
    after = [each for each in rows if each.seq > found.head.seq]
    assert not after or after[0].entry["at"] >= UNTIL
    for place in (found.before, found.head):
        assert place == BASE or place.hash == rows[place.seq - BASE.seq - 1].hash


@given(some=lives)
def test_each_scan_that_ended_or_ran_in_the_period(some: list[tuple[float, float]]) -> None:
    entries = [each for number, two in enumerate(some) for each in life(f"t-{number}", *two)]
    rows = rows_of(sorted(entries, key=lambda each: each["at"]))
    found = {each.task_id: each for each in ends(rows)}
    wanted = {
        f"t-{number}": two
        for number, two in enumerate(some)
        if two[0] < UNTIL and two[1] >= SINCE
    }  # fmt: skip
    assert found.keys() == wanted.keys()
    assert not bounds(rows).unfinished
    for task_id, (begun, ended) in wanted.items():
        each = found[task_id]
        assert (each.began, each.settled, each.scanners) == (begun, ended, ("east",))


def test_a_scan_that_still_runs() -> None:
    rows = rows_of([*life("t-1", 150, 250)[:2], *life("t-2", 210, 260)[:2]])
    assert bounds(rows).unfinished == ("t-1",)
    assert bounds(rows_of(life("t-1", 150, 190)[:2])).unfinished == ("t-1",)


def test_a_split_task_has_the_scanners_of_its_parts() -> None:
    west = {"detail": {"scanner_instance": "west"}}
    journal = [
        entry(110, "running", "t-1", before="queued", after="running"),
        *life("t-1-1", 110, 120),
        {**life("t-1-2", 111, 121)[0], **west},
        entry(130, "settled", "t-1", before="exporting", after="partial", cause="one part"),
    ]
    (found,) = ends(rows_of(journal))
    assert (found.task_id, found.scanners, found.state) == ("t-1", ("east", "west"), "partial")
    assert (found.began, found.cause) == (110, "one part")


def test_a_task_that_ends_twice_has_two_ends() -> None:
    retried = entry(140, "retried_by_operator", "t-1", before="dead", after="queued")
    first = [*life("t-1", 110, 120)[:2], entry(120, "x", "t-1", before="running", after="dead")]
    journal = [*first, retried, *life("t-1", 150, 160)]
    found = ends(rows_of(journal))
    assert [(each.began, each.state) for each in found] == [(110, "dead"), (150, "completed")]
    noted = entry(170, "released", "t-1", before="completed", after="completed")
    assert ends(rows_of([*journal, noted])) == found


def test_only_the_first_end_after_the_period_is_of_it() -> None:
    died = entry(210, "failed", "t-1", before="running", after="dead")
    retried = entry(220, "retried_by_operator", "t-1", before="dead", after="queued")
    long = life("t-2", 195, 300)
    journal = [*life("t-1", 190, 0)[:2], *long[:2], died, retried, *life("t-1", 230, 240), long[2]]
    found = [(each.task_id, each.state) for each in ends(rows_of(journal))]
    assert found == [("t-1", "dead"), ("t-2", "completed")]


def test_no_rows_at_all() -> None:
    found = bounds([])
    assert (found.before, found.head, found.unfinished, found.first_at) == (BASE, BASE, (), None)


def test_parts() -> None:
    assert whole_of("t-5fk3m97k3m9pqr-12") == "t-5fk3m97k3m9pqr"
    assert whole_of("t-5fk3m97k3m9pqr") == "t-5fk3m97k3m9pqr"


# -- schedules


def fired(change: str, at: float, **detail: Any) -> dict[str, Any]:
    named = {"schedule": "office", "schedule_id": "s-1", "nominal": at, **detail}
    return entry(at, f"schedule_{change}", detail=named)


def test_only_firings_of_the_period_count() -> None:
    schedules = Schedules()
    schedules.read(fired("created", 50, when="0 2 * * * (UTC)", request={"x": 1}), inside=False)
    schedules.read(fired("fired", 60), inside=False)
    schedules.read(fired("fired", 110), inside=True)
    schedules.read(fired("failed", 120), inside=True)
    (found,) = schedules.documents()
    assert (found["fired"], found["failed"], found["when"]) == (1, 1, "0 2 * * * (UTC)")
    assert found["request"] == {"x": 1}
    assert [each["outcome"] for each in found["without_task"]] == ["failed"]
    schedules.read(fired("removed", 130), inside=True)
    assert [each["removed"] for each in schedules.documents()] == [True]


def test_a_schedule_that_was_removed_before_is_left_out() -> None:
    schedules = Schedules()
    schedules.read(fired("created", 50), inside=False)
    schedules.read(fired("removed", 60), inside=False)
    assert schedules.documents() == []


def test_the_lists_are_bounded() -> None:
    schedules = Schedules()
    for number in range(LISTED + 5):
        schedules.read(fired("skipped", 100.0 + number), inside=True)
    (found,) = schedules.documents()
    assert (len(found["without_task"]), found["left_out"]) == (LISTED, 5)
    assert found["skipped"] == LISTED + 5
