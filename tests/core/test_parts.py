"""Splitting a task into parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core import parts
from nessus_sched.core.parts import PartSizes
from nessus_sched.core.states import LIVE, SPLIT_TRANSITIONS, TaskState
from nessus_sched.core.targets.ranges import V4, Ranges, address_text, merged
from nessus_sched.core.targets.remainder import remainder
from nessus_sched.core.targets.targets import (
    TargetSet,
    parse_targets,
    targets_from,
    without_networks,
)
from nessus_sched.core.task import PartGroup, RequestedState, ScanKind, ScanRequest, Split, Task

BASE = V4 + 0xC0000200
"""192.0.2.0"""
SIZES = PartSizes(duration=1800.0, minimum=8, maximum=128, most=50)

ranges = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 60)).map(
        lambda pair: (BASE + pair[0], BASE + pair[0] + pair[1])
    ),
    max_size=8,
).map(merged)
names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5).map(
    lambda found: tuple(f"{name}.example.com" for name in sorted(found))
)
addresses = st.dictionaries(
    st.sampled_from([f"{name}.example.com" for name in "abcdef"]),
    st.lists(st.integers(0, 255).map(lambda last: f"192.0.2.{last}"), min_size=1, max_size=2),
)
networks = st.dictionaries(st.sampled_from("wxyz"), st.none() | ranges)
counted = st.dictionaries(st.sampled_from(list(TaskState)), st.integers(1, 5), max_size=5)


def numbers(ranges: Ranges) -> Counter[int]:
    return Counter(each for first, last in ranges for each in range(first, last + 1))


def pieces(group: PartGroup, sizes: list[int]) -> list[TargetSet]:
    """The parts of a group that are cut in these sizes, the last one as large as it takes."""
    found: list[TargetSet] = []
    start = 0
    while start < group.size:
        size = min(group.size - start, sizes[len(found) % len(sizes)])
        found.append(parts.targets_between(group, start, size)[0])
        start += size
    return found


@pytest.mark.slow
@given(
    ranges=ranges,
    names=names,
    addresses=addresses,
    networks=networks,
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=5),
)
def test_the_parts_are_the_request_and_do_not_overlap(
    ranges: Ranges,
    names: tuple[str, ...],
    addresses: Mapping[str, list[str]],
    networks: Mapping[str, Ranges | None],
    sizes: list[int],
) -> None:
    targets = TargetSet(ranges=ranges, names=names)
    split, _ = parts.plan(targets, addresses, networks)
    found = [piece for group in split.groups for piece in pieces(group, sizes)]
    if split.unreachable:
        found.append(parse_targets(split.unreachable))
    assert sum((numbers(piece.ranges) for piece in found), Counter[int]()) == numbers(ranges)
    assert Counter(name for piece in found for name in piece.names) == Counter(names)


@pytest.mark.slow
@given(ranges=ranges, names=names, addresses=addresses, networks=networks)
def test_the_scanners_of_a_group_reach_all_of_it_and_others_do_not(
    ranges: Ranges,
    names: tuple[str, ...],
    addresses: Mapping[str, list[str]],
    networks: Mapping[str, Ranges | None],
) -> None:
    split, scanners = parts.plan(TargetSet(ranges=ranges, names=names), addresses, networks)
    reach = {name: None if each is None else numbers(each) for name, each in networks.items()}
    for number, group in enumerate(split.groups):
        for address in numbers(parse_targets(group.ranges).ranges if group.ranges else ()):
            able = {name for name, each in reach.items() if each is None or address in each}
            assert able == scanners[number]


@pytest.mark.slow
@given(ranges=ranges, names=names, addresses=addresses)
def test_names_for_one_host_are_scanned_together(
    ranges: Ranges, names: tuple[str, ...], addresses: Mapping[str, list[str]]
) -> None:
    requested = numbers(ranges)
    split, _ = parts.plan(TargetSet(ranges=ranges, names=names), addresses, {"x": None})
    for group in split.groups:
        for piece in pieces(group, [1]):
            if not piece.names:
                continue
            meant = {each for name in piece.names for each in addresses.get(name, ())}
            for other in set(names) - set(piece.names):
                assert meant.isdisjoint(addresses.get(other, ()))
            named = requested & numbers(parse_targets(meant).ranges if meant else ())
            assert named.keys() <= numbers(piece.ranges).keys()


@given(
    total=st.integers(1, 5000),
    slots=st.integers(0, 40),
    pace=st.none() | st.floats(0.001, 1000),
)
def test_every_part_is_within_its_bounds_and_there_are_not_too_many(
    total: int, slots: int, pace: float | None
) -> None:
    left, found = total, []
    while left:
        size = parts.part_size(left, total, slots, pace, SIZES)
        assert 0 < size <= left
        found.append(size)
        left -= size
    least = max(SIZES.minimum, -(-total // SIZES.most))
    assert all(size >= least for size in found) or found == [total]
    assert all(size < max(SIZES.maximum, least) + least for size in found)
    assert len(found) <= SIZES.most


@given(
    states=counted,
    desired=st.sampled_from(list(RequestedState)),
    size=st.integers(1, 9),
    cut=st.integers(0, 9),
)
def test_a_split_task_is_live_while_a_part_is(
    states: Mapping[TaskState, int], desired: RequestedState, size: int, cut: int
) -> None:
    split = Split(groups=(PartGroup(size=size, hosts=size, cut=min(cut, size)),))
    state = parts.state_of(split, states, desired)
    if LIVE & states.keys():
        assert state in {TaskState.QUEUED, TaskState.RUNNING, TaskState.PAUSED}
    elif desired is RequestedState.CANCEL:
        assert state in {TaskState.EXPORTING, TaskState.CANCELED}
    elif parts.uncut(split) and not parts.hopeless(states):
        assert state in {TaskState.QUEUED, TaskState.RUNNING, TaskState.PAUSED}
    else:
        assert state is TaskState.EXPORTING
    assert parts.final_state(states, desired, whole=False) in SPLIT_TRANSITIONS[TaskState.EXPORTING]


@given(ranges=ranges)
def test_a_network_that_is_cut_is_sent_as_ranges(ranges: Ranges) -> None:
    texts = without_networks(TargetSet(ranges=ranges).texts)
    assert not any("/" in text for text in texts)
    assert (parse_targets(texts).ranges if texts else ()) == ranges


def test_a_license_counts_all_that_its_scanners_may_get() -> None:
    targets = parse_targets("192.0.2.0-192.0.2.99")
    west = parse_targets("192.0.2.0-192.0.2.59").ranges
    east = parse_targets("192.0.2.40-192.0.2.99").ranges
    split, _ = parts.plan(targets, {}, {"west": west, "east": east, "off": ()})
    assert {group.ranges: group.hosts for group in split.groups} == {
        ("192.0.2.40-192.0.2.59",): 100,
        ("192.0.2.0-192.0.2.39",): 60,
        ("192.0.2.60-192.0.2.99",): 60,
    }


@pytest.mark.parametrize(
    ("total", "pace", "expected"),
    [
        (250, None, False),
        (264, None, True),
        (200, 30.0, True),
        (60, 30.0, False),
        (135, 0.1, False),
    ],
)
def test_only_a_long_task_is_split(total: int, pace: float | None, expected: bool) -> None:
    sizes = PartSizes(duration=1800.0, minimum=8, maximum=4096, most=50)
    assert parts.worth_splitting(total, pace, sizes) is expected


@given(
    ranges=ranges,
    names=names,
    addresses=addresses,
    start=st.integers(0, 300),
    size=st.integers(1, 200),
    finished=st.sets(st.integers(0, 500)),
    finished_names=st.sets(st.sampled_from("abcdef")),
)
def test_the_rest_of_a_part_is_what_it_has_not_finished(
    ranges: Ranges,
    names: tuple[str, ...],
    addresses: Mapping[str, list[str]],
    start: int,
    size: int,
    finished: set[int],
    finished_names: set[str],
) -> None:
    split, _ = parts.plan(TargetSet(ranges=ranges, names=names), addresses, {"x": None})
    if not split.groups or start >= split.groups[0].size:
        return
    (group,) = split.groups
    size = min(size, group.size - start)
    part = next_part(split, start, size)
    done = [
        *(address_text(BASE + each) for each in finished),
        *(f"{each}.example.com" for each in finished_names),
    ]
    left = remainder(part.request.targets, done)
    kept = remainder(part.request.targets, left_hosts(left))
    after = attrs.evolve(part, request=attrs.evolve(part.request, targets=kept), remaining=left)
    groups = parts.rest_groups(group, after)
    assert all((each.rest_of, each.depth, each.hosts) == (7, 1, group.hosts) for each in groups)
    found = [targets for each in groups for targets in pieces(each, [3, 50])]
    expected = targets_from(left)
    counted = sum((numbers(each.ranges) for each in found), Counter[int]())
    assert counted == numbers(expected.ranges)
    assert Counter(name for each in found for name in each.names) == Counter(expected.names)
    whole = attrs.evolve(split, groups=(*split.groups, *groups))
    assert parts.total_of(whole) == group.size


def next_part(split: Split, start: int, size: int) -> Task:
    texts = ("192.0.2.1",)
    task = Task(
        task_id="t-5fk3m97k3m9pqr",
        trace_id="",
        request=ScanRequest(kind=ScanKind.BASIC, targets=texts),
        actor="me",
        created_at=0.0,
        order=1,
        split=split,
    )
    return parts.next_part(task, number=7, group=0, start=start, size=size)


def left_hosts(texts: tuple[str, ...]) -> list[str]:
    targets = targets_from(texts)
    return [*map(address_text, numbers(targets.ranges)), *targets.names]


def test_what_lies_ahead_is_cut_before_what_was_passed() -> None:
    split, _ = parts.plan(parse_targets("192.0.2.0/24"), {}, {"x": None})
    part = next_part(split, 0, 256)
    after = attrs.evolve(
        part,
        request=attrs.evolve(part.request, targets=("192.0.2.10", "192.0.2.100")),
        remaining=("192.0.2.0-192.0.2.9", "192.0.2.11-192.0.2.99", "192.0.2.101-192.0.2.255"),
    )
    ahead, passed = parts.rest_groups(split.groups[0], after)
    assert ahead.ranges == ("192.0.2.101-192.0.2.255",)
    assert passed.ranges == ("192.0.2.0-192.0.2.9", "192.0.2.11-192.0.2.99")
    assert (ahead.size, passed.size) == (155, 99)


def test_the_rest_of_a_part_is_cut_finer() -> None:
    plan = PartGroup(size=500, hosts=500)
    rest = PartGroup(size=100, hosts=500, rest_of=3, depth=1)
    split = Split(groups=(plan, rest), parts=SIZES.most - 10)
    assert parts.sizes_for(split, plan, SIZES) is SIZES
    fine = parts.sizes_for(split, rest, SIZES)
    assert (fine.minimum, fine.most) == (1, 5)


@given(
    left=st.integers(1, 5000),
    slots=st.floats(0, 40),
    slower=st.floats(1, 10),
    pace=st.none() | st.floats(0.001, 1000),
)
def test_a_slower_scanner_gets_no_larger_part(
    left: int, slots: float, slower: float, pace: float | None
) -> None:
    fast = parts.part_size(left, 5000, slots, pace, SIZES)
    slow = parts.part_size(left, 5000, slots * slower, pace and pace * slower, SIZES)
    assert slow <= fast
