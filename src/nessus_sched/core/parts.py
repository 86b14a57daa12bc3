"""Splitting a task into parts: who scans what, how much at a time, and what follows for the
task from the states of its parts. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.ids import part_id
from nessus_sched.core.states import LIVE, TaskState
from nessus_sched.core.targets.address import parse_range, usual_address
from nessus_sched.core.targets.ranges import (
    Range,
    Ranges,
    address_text,
    count,
    difference,
    intersection,
    merged,
)
from nessus_sched.core.targets.targets import TargetSet, parse_targets, targets_from
from nessus_sched.core.task import NamedTarget, Part, PartGroup, RequestedState, Split, Task

UNKNOWN_PACE: Final = 256
"""Addresses of a part while nothing is known about how long they take: a usual subnet."""
TURNS: Final = 1.5
"""What is left of a group is spread over this many parts for each slot. Parts get smaller toward
the end, so that all slots finish at about the same time."""
FINER: Final = 8
"""The rest of a part that was stopped for idle slots is cut into parts that may be this many times
smaller than others: their overhead takes only time in which these slots would do nothing."""
DEEPEST: Final = 2
"""How often the same targets may be in a part that is stopped for idle slots."""
HOPELESS: Final = 3
"""Dead parts, with no other result, after which no more are made."""

Addresses = Mapping[str, Iterable[str]]
"""The addresses of each host name, as texts."""


@attrs.frozen(kw_only=True)
class PartSizes:
    """Limits on parts. `duration` is how long one should take, in seconds; `minimum` and
    `maximum` are addresses; `most` is the number of parts of one task."""

    duration: float
    minimum: int
    maximum: int
    most: int


# -- the plan


def reach_groups(
    targets: Ranges, networks: Mapping[str, Ranges | None]
) -> Mapping[frozenset[str], Ranges]:
    """`targets` by the scanners that reach them, given what each one reaches (None:
    everything). What none reaches is under the empty set."""
    alike: dict[Ranges | None, set[str]] = {}
    for scanner_id, reached in networks.items():
        alike.setdefault(reached, set()).add(scanner_id)
    found: dict[frozenset[str], Ranges] = {frozenset(alike.pop(None, ())): targets}
    for reached, scanner_ids in alike.items():
        assert reached is not None
        pieces: dict[frozenset[str], list[Range]] = {}
        for reach, ranges in found.items():
            inside = intersection(ranges, reached)
            pieces.setdefault(reach | scanner_ids, []).extend(inside)
            pieces.setdefault(reach, []).extend(difference(ranges, inside))
        found = {reach: merged(ranges) for reach, ranges in pieces.items() if ranges}
    return found


def named_targets(targets: TargetSet, addresses: Addresses) -> tuple[NamedTarget, ...]:
    """The names of a request, each with all others that share an address with it and with the
    requested addresses that they mean."""
    units: list[tuple[set[str], set[int]]] = []
    for name in targets.names:
        known = parse_targets(addresses.get(name, ())) if addresses.get(name) else TargetSet()
        meant = {first for first, _last in _single(known.ranges)}
        names = {name}
        for unit in [unit for unit in units if unit[1] & meant]:
            units.remove(unit)
            names |= unit[0]
            meant |= unit[1]
        units.append((names, meant))
    return tuple(_named(names, meant, targets.ranges) for names, meant in units)


def _single(ranges: Ranges) -> Iterator[Range]:
    return ((number, number) for first, last in ranges for number in range(first, last + 1))


def _named(names: set[str], meant: set[int], requested: Ranges) -> NamedTarget:
    ranges = merged((number, number) for number in meant)
    texts = TargetSet(ranges=intersection(ranges, requested), names=tuple(sorted(names))).texts
    return NamedTarget(targets=texts, resolved=tuple(map(address_text, sorted(meant))))


def plan(
    targets: TargetSet, addresses: Addresses, networks: Mapping[str, Ranges | None]
) -> tuple[Split, Mapping[int, frozenset[str]]]:
    """How a request would be split, given what each scanner reaches (None: everything), and the
    scanners of each group. `addresses` are those of its names."""
    named = named_targets(targets, addresses)
    of_names = merged(each for unit in named for each in parse_targets(unit.targets).ranges)
    by_reach = reach_groups(difference(targets.ranges, of_names), networks)
    names_by_reach: dict[frozenset[str], list[NamedTarget]] = {}
    for unit in named:
        names_by_reach.setdefault(_reach_of(unit, networks), []).append(unit)
    reaches = sorted({*by_reach, *names_by_reach}, key=lambda reach: (-len(reach), sorted(reach)))
    unreachable: list[str] = []
    groups: list[PartGroup] = []
    scanners: dict[int, frozenset[str]] = {}
    for reach in reaches:
        ranges, units = by_reach.get(reach, ()), tuple(names_by_reach.get(reach, ()))
        texts = TargetSet(ranges=ranges).texts
        size = count(ranges) + len(units)
        if not size:
            continue
        if not reach:
            unreachable += [*texts, *(text for unit in units for text in unit.targets)]
            continue
        scanners[len(groups)] = reach
        groups.append(PartGroup(named=units, ranges=texts, size=size, hosts=size))
    groups = [
        attrs.evolve(
            group,
            hosts=sum(
                other.size for at, other in enumerate(groups) if scanners[at] & scanners[number]
            ),
        )
        for number, group in enumerate(groups)
    ]
    return Split(groups=tuple(groups), unreachable=tuple(unreachable)), scanners


def _reach_of(unit: NamedTarget, networks: Mapping[str, Ranges | None]) -> frozenset[str]:
    ranges = parse_targets(unit.resolved).ranges if unit.resolved else ()
    return frozenset(
        scanner_id
        for scanner_id, reached in networks.items()
        if reached is None or not difference(ranges, reached)
    )


def reach_of(group: PartGroup, networks: Mapping[str, Ranges | None]) -> frozenset[str]:
    """The scanners that reach a group, which are the same for all of its targets."""
    if group.named:
        return _reach_of(group.named[0], networks)
    first = (_range(group.ranges[0]),) if group.ranges else ()
    return next(
        (reach for reach, found in reach_groups(first, networks).items() if found), frozenset()
    )


def part_size(left: int, total: int, slots: float, pace: float | None, sizes: PartSizes) -> int:
    """How many of the `left` targets of a group the next part gets.

    `pace` is in seconds per address, None when it is not known; `slots` is how many scans could
    run at once, counted in slots as fast as the one that takes this part; `total` is the size of
    the whole task.
    """
    wanted = UNKNOWN_PACE if not pace else int(sizes.duration / pace)
    shared = math.ceil(left / (TURNS * max(1.0, slots)))
    least = least_size(total, sizes)
    size = min(max(least, min(wanted, shared)), max(sizes.maximum, least))
    # A rest that is too small to be a part goes with this one.
    return left if left < size + least else size


def least_size(total: int, sizes: PartSizes) -> int:
    """How many targets a part has at least, unless the rest of a group is smaller."""
    return max(sizes.minimum, -(-total // sizes.most))


def sizes_for(split: Split, group: PartGroup, sizes: PartSizes) -> PartSizes:
    """The limits for the next part of a group. All groups of what a part has left share the number
    of parts that the task may still have, at most two at a time."""
    if group.rest_of is None:
        return sizes
    most = max(1, (sizes.most - split.parts) // 2)
    return attrs.evolve(sizes, minimum=max(1, sizes.minimum // FINER), most=most)


def worth_splitting(total: int, pace: float | None, sizes: PartSizes) -> bool:
    """Whether a task that one scanner reaches as a whole is too long for one scan."""
    wanted = UNKNOWN_PACE if not pace else int(sizes.duration / pace)
    return total >= max(min(wanted, sizes.maximum), sizes.minimum) + sizes.minimum


def targets_between(group: PartGroup, start: int, size: int) -> tuple[TargetSet, tuple[str, ...]]:
    """The targets of a part, and the addresses of the names among them."""
    units = group.named[start : start + size]
    skip, take = max(0, start - len(group.named)), size - len(units)
    texts = [text for unit in units for text in unit.targets]
    named = parse_targets(texts) if texts else TargetSet()
    found = TargetSet(
        ranges=merged((*named.ranges, *_between(group.ranges, skip, take))), names=named.names
    )
    return found, tuple(dict.fromkeys(each for unit in units for each in unit.resolved))


def _between(texts: Iterable[str], skip: int, take: int) -> Iterator[Range]:
    """Addresses of sorted ranges. What comes after them is not parsed: there may be thousands."""
    for text in texts:
        if take <= 0:
            return
        first, last = _range(text)
        length = last - first + 1
        if skip >= length:
            skip -= length
            continue
        begin = first + skip
        end = min(last, begin + take - 1)
        yield begin, end
        take -= end - begin + 1
        skip = 0


def _range(text: str) -> Range:
    number = usual_address(text)
    if number is not None:
        return number, number
    found = parse_range(text)
    assert found is not None, text
    return found


# -- parts


def rest_groups(cut_from: PartGroup, part: Task) -> tuple[PartGroup, ...]:
    """What a part that was stopped for idle slots has left, as groups to cut new parts from: what
    lies behind the last host that it finished, and what it seems to have passed, which most
    likely does not answer."""
    assert part.part is not None
    left = targets_from(part.remaining or ())
    named = tuple(filter(None, (_unit_within(unit, left) for unit in cut_from.named)))
    of_names = merged(each for unit in named for each in targets_from(unit.targets).ranges)
    ranges = difference(left.ranges, of_names)
    done = targets_from(part.request.targets).ranges
    passed = intersection(ranges, ((0, done[-1][1]),)) if done else ()
    ahead = difference(ranges, passed)
    return tuple(
        PartGroup(
            named=units,
            ranges=TargetSet(ranges=each).texts,
            size=count(each) + len(units),
            hosts=cut_from.hosts,
            rest_of=part.part.number,
            depth=part.part.depth + 1,
        )
        for units, each in ((named, ahead), ((), passed))
        if units or each
    )


def _unit_within(unit: NamedTarget, left: TargetSet) -> NamedTarget | None:
    """What of a unit is `left`; None for nothing."""
    targets = targets_from(unit.targets)
    within = TargetSet(
        ranges=intersection(targets.ranges, left.ranges),
        names=tuple(name for name in targets.names if name in left.names),
    )
    return attrs.evolve(unit, targets=within.texts) if within.texts else None


def stopped_for_idle_slots(part: Task) -> bool:
    """It ended with results for its targets; `remaining` are others that were among them."""
    return part.state is TaskState.COMPLETED and bool(part.remaining)


def total_of(split: Split) -> int:
    """The size of the whole task: a group of what a part has left is not counted again."""
    return sum(group.size for group in split.groups if group.rest_of is None)


def next_part(task: Task, *, number: int, group: int, start: int, size: int, **new: Any) -> Task:
    """A part of `task` that was just cut; `new` are the fields that differ in every task."""
    assert task.split is not None
    cut_from = task.split.groups[group]
    targets, resolved = targets_between(cut_from, start, size)
    part = Part(
        task_id=task.task_id,
        number=number,
        group=group,
        start=start,
        size=size,
        hosts=cut_from.hosts,
        depth=cut_from.depth,
    )
    return attrs.evolve(
        task,
        task_id=part_id(task.task_id, number),
        request=attrs.evolve(task.request, targets=targets.texts, partial_ok=False),
        resolved=tuple(sorted({*targets.texts, *resolved})) if resolved else (),
        idempotency_key=None,
        split=None,
        part=part,
        state=TaskState.QUEUED,
        **new,
    )


def uncut(split: Split) -> int:
    """How many targets are in no part yet."""
    return sum(group.size - group.cut for group in split.groups)


def hopeless(states: Mapping[TaskState, int]) -> bool:
    """Parts fail one after another and none has run: the rest would fail as well."""
    return states.get(TaskState.DEAD, 0) >= HOPELESS and states.get(TaskState.COMPLETED, 0) == 0


def state_of(split: Split, states: Mapping[TaskState, int], desired: RequestedState) -> TaskState:
    """The state of a split task while it is not settled, from how many of its parts are in each
    state. `EXPORTING`: all parts have ended, and their results are put together."""
    live = {state for state in LIVE if states.get(state)}
    canceled = desired is RequestedState.CANCEL
    if not any(states.values()):
        if canceled:
            return TaskState.CANCELED
        return TaskState.QUEUED if uncut(split) else TaskState.EXPORTING
    if not live and (canceled or not uncut(split) or hopeless(states)):
        return TaskState.EXPORTING
    if states.keys() <= {TaskState.QUEUED} and not canceled:
        return TaskState.QUEUED
    waiting = {TaskState.QUEUED, TaskState.RETRY_WAIT, TaskState.PAUSED}
    held = TaskState.PAUSED in live or desired is RequestedState.PAUSE
    if held and live <= waiting:
        return TaskState.PAUSED
    return TaskState.RUNNING


def final_state(
    states: Mapping[TaskState, int], desired: RequestedState, *, whole: bool
) -> TaskState:
    """The state in which a split task settles. `whole`: every requested target was covered."""
    if whole:
        return TaskState.COMPLETED
    if desired is RequestedState.CANCEL:
        return TaskState.CANCELED
    if states.get(TaskState.COMPLETED) or states.get(TaskState.PARTIAL):
        return TaskState.PARTIAL
    for state in (TaskState.DEAD, TaskState.TIMED_OUT, TaskState.CANCELED):
        if states.get(state):
            return state
    return TaskState.DEAD


def progress_of(done: Sequence[tuple[int, int | None]], total: int) -> int:
    """Percent, from the size and the progress (percent) of each part."""
    if not total:
        return 100
    return int(sum(size * (progress or 0) for size, progress in done) / total)
