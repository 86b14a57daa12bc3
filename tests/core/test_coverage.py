"""Every requested target has one status."""

from __future__ import annotations

from itertools import islice
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.coverage import (
    LISTED,
    NO_END,
    Coverage,
    Segment,
    Status,
    Unfinished,
    cover,
    unfinished,
)
from nessus_sched.core.ids import part_id
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import TargetSet, parse_targets, targets_from
from nessus_sched.core.task import (
    Part,
    PartGroup,
    ScanKind,
    ScanRequest,
    Split,
    Task,
    TaskError,
)

NAMES = ("a.example.com", "b.example.com", "c.example.com")
WORDS = [f"192.0.2.{number}" for number in range(12)] + list(NAMES)
some = st.sets(st.sampled_from(WORDS)).map(lambda words: targets_from(sorted(words)))
lefts = st.lists(st.builds(Unfinished, some, st.sampled_from(["x", "y", "z"])), max_size=4)


def has(targets: TargetSet, word: str) -> bool:
    one = parse_targets([word])
    return targets.overlaps(one)


def place(word: str) -> int | str:
    if word in NAMES:
        return word
    return parse_targets([word]).ranges[0][0]


def spelled_out(segments: list[Segment]) -> list[str]:
    """The addresses and names of the segments, in order."""
    return [word for each in segments for word in WORDS if has(parse_targets([each.text]), word)]


def test_it_says_what_was_not_reached() -> None:
    asked = parse_targets(["192.0.2.0/27", "www.example.com"])
    left = Unfinished(parse_targets(["192.0.2.30", "192.0.2.31", "www.example.com"]), "why")
    answered = parse_targets(["192.0.2.0/29", "198.51.100.1"])
    assert cover(asked, [left], answered, TargetSet()).document() == {
        "requested": 33,
        "answered": 8,
        "silent": 22,
        "not_reached": 3,
        "not_reached_targets": ["192.0.2.30/31", "www.example.com"],
        "not_reached_left_out": 0,
    }


@pytest.mark.slow
@given(asked=some, left=lefts, answered=some, no_end=some)
def test_every_target_has_the_status_that_follows_from_the_facts(
    asked: TargetSet, left: list[Unfinished], answered: TargetSet, no_end: TargetSet
) -> None:
    found = cover(asked, left, answered, no_end)
    segments = list(found.segments())
    status = {word: each for each in segments for word in spelled_out([each])}
    assert sorted(spelled_out(segments)) == sorted(word for word in WORDS if has(asked, word))
    for word, each in status.items():
        reasons = [one.why for one in left if has(one.targets, word)]
        if has(answered, word):
            assert (each.status, each.why) == (Status.ANSWERED, None)
        elif reasons or has(no_end, word):
            assert (each.status, each.why) == (Status.NOT_REACHED, [*reasons, NO_END][0])
        else:
            assert (each.status, each.why) == (Status.SILENT, None)
    counts = found.counts()
    assert counts["requested"] == sum(each.size for each in segments) == asked.address_count
    for one in Status:
        assert counts[one] == sum(each.size for each in segments if each.status is one)


@given(asked=some, left=lefts, answered=some, wanted=st.sets(st.sampled_from(Status), min_size=1))
def test_a_page_begins_behind_the_one_before(
    asked: TargetSet, left: list[Unfinished], answered: TargetSet, wanted: set[Status]
) -> None:
    found = cover(asked, left, answered, TargetSet())
    listed = spelled_out(list(found.segments(wanted)))
    assert listed == sorted(listed, key=WORDS.index)
    for behind, after in enumerate(WORDS):
        rest = spelled_out(list(found.segments(wanted, place(after))))
        assert rest == [word for word in listed if WORDS.index(word) > behind]


def test_hosts_that_answered_come_one_at_a_time_and_others_in_ranges() -> None:
    found = cover(
        parse_targets(["192.0.2.0/29", "2001:db8::/64", "www.example.com"]),
        [Unfinished(parse_targets(["192.0.2.6", "192.0.2.7"]), "why")],
        parse_targets(["192.0.2.1", "192.0.2.2"]),
        TargetSet(),
    )
    assert [(each.text, str(each.status)) for each in found.segments()] == [
        ("2001:db8::/64", "silent"),
        ("192.0.2.0", "silent"),
        ("192.0.2.1", "answered"),
        ("192.0.2.2", "answered"),
        ("192.0.2.3-192.0.2.5", "silent"),
        ("192.0.2.6/31", "not_reached"),
        ("www.example.com", "silent"),
    ]


def test_a_page_of_a_huge_network_is_not_made_of_all_its_addresses() -> None:
    asked = parse_targets(["2001:db8::/32"])
    found = cover(asked, [], parse_targets(["2001:db8::/40"]), TargetSet())
    assert [each.text for each in islice(found.segments(), 2)] == ["2001:db8::", "2001:db8::1"]
    assert found.counts()["silent"] == 2**96 - 2**88


def test_a_long_list_is_cut() -> None:
    every_other = targets_from(f"192.0.2.{number}" for number in range(0, 256, 2))
    asked = parse_targets(["192.0.2.0/24"])
    found = cover(asked, [Unfinished(every_other, "")], TargetSet(), TargetSet()).document()
    assert len(found["not_reached_targets"]) == LISTED
    assert found["not_reached_left_out"] == 128 - LISTED


def task(*targets: str, **changes: Any) -> Task:
    plain: dict[str, Any] = {
        "task_id": "t-1",
        "trace_id": "x",
        "request": ScanRequest(kind=ScanKind.BASIC, targets=targets or ("192.0.2.0/28",)),
        "actor": "me",
        "created_at": 0.0,
        "order": 1,
        "state": TaskState.COMPLETED,
        "summary": {"hosts": 1},
    }
    return Task(**{**plain, **changes})


def failed(message: str) -> TaskError:
    return TaskError(kind="scanner_error", message=message, transient=False, at=0.0)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, {}),
        (
            {"partial": "it was stopped", "remaining": ("192.0.2.8/29",)},
            {"the scan ended early: it was stopped": ("192.0.2.8/29",)},
        ),
        ({"partial": "old"}, {"the scan ended early: old": ("192.0.2.0/28",)}),
        (
            {"state": TaskState.DEAD, "summary": None, "last_error": failed("refused")},
            {"refused": ("192.0.2.0/28",)},
        ),
        (
            {"state": TaskState.CANCELED, "summary": None},
            {"canceled before it was scanned": ("192.0.2.0/28",)},
        ),
        ({"summary": None}, {"the results were discarded": ("192.0.2.0/28",)}),
    ],
)
def test_why_targets_were_not_reached(
    changes: dict[str, Any], reasons: dict[str, tuple[str, ...]]
) -> None:
    assert {each.why: each.targets.texts for each in unfinished(task(**changes))} == reasons


def split_of(*groups: tuple[str, int, int], **changes: Any) -> Split:
    made = (PartGroup(ranges=(text,), size=size, hosts=size, cut=cut) for text, size, cut in groups)
    return Split(groups=tuple(made), **changes)


def part(number: int, target: str, **changes: Any) -> Task:
    where = Part(task_id="t-1", number=number, group=0, start=0, size=4, hosts=4)
    return task(target, **{"task_id": part_id("t-1", number), "part": where, **changes})


def test_every_target_of_a_split_task_has_the_reason_of_its_part() -> None:
    whole = task(
        "192.0.2.0/28",
        "198.51.100.1",
        state=TaskState.PARTIAL,
        partial="2 parts ended",
        split=split_of(("192.0.2.0/28", 16, 12), unreachable=("198.51.100.1",)),
        last_error=failed("part 3: gone"),
    )
    parts = [
        part(1, "192.0.2.0/30"),
        part(
            2, "192.0.2.4/30", state=TaskState.PARTIAL, partial="aborted",
            remaining=("192.0.2.7",),
        ),
        part(3, "192.0.2.8/30", state=TaskState.DEAD, summary=None, last_error=failed("gone")),
    ]  # fmt: skip
    found: Coverage = cover(
        parse_targets(whole.request.targets),
        unfinished(whole, parts),
        parse_targets(["192.0.2.0/31"]),
        TargetSet(),
    )
    assert {each.why: each.targets.texts for each in found.not_reached} == {
        "no scanner reaches it": ("198.51.100.1",),
        "the scan ended early: aborted": ("192.0.2.7",),
        "gone": ("192.0.2.8/30",),
        "part 3: gone": ("192.0.2.12/30",),
    }
    assert found.silent.texts == ("192.0.2.2-192.0.2.6",)


def test_discarded_results_leave_no_target_covered() -> None:
    whole = task(
        state=TaskState.CANCELED,
        summary=None,
        discard=True,
        split=split_of(("192.0.2.0/28", 16, 8)),
    )
    left = unfinished(whole, [part(1, "192.0.2.0/29")])
    found = cover(parse_targets(whole.request.targets), left, TargetSet(), TargetSet())
    assert found.missed == parse_targets(["192.0.2.0/28"])


def test_a_completed_split_task_has_nothing_left() -> None:
    whole = task(split=split_of(("192.0.2.0/28", 16, 16)))
    parts = [part(1, "192.0.2.0/28")]
    assert not any(each.targets.address_count for each in unfinished(whole, parts))
    again = [attrs.evolve(parts[0], state=TaskState.DEAD)]
    assert any(each.targets.address_count for each in unfinished(whole, again))
