"""What became of the targets of a task: each has answered, was silent, or was not reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import Any, Final

import attrs

from nessus_sched.core.parts import targets_between
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import (
    Range,
    count,
    difference,
    intersection,
    merged,
    range_text,
)
from nessus_sched.core.targets.targets import TargetSet, targets_from
from nessus_sched.core.task import Task

LISTED: Final = 20
"""Ranges and names that were not reached which a document lists."""
NO_END: Final = "it answered, but its scan did not end"
_REASONS: Final = {
    TaskState.COMPLETED: "the results were discarded",
    TaskState.CANCELED: "canceled before it was scanned",
    TaskState.TIMED_OUT: "the scan took too long",
}


class Status(StrEnum):
    """What became of a target."""

    ANSWERED = "answered"
    """It answered and was scanned to the end."""
    SILENT = "silent"
    """A scan covered it, and it did not answer."""
    NOT_REACHED = "not_reached"
    """No scan has finished it."""


@attrs.frozen
class Unfinished:
    """Targets that no scan has finished, and why."""

    targets: TargetSet
    why: str


@attrs.frozen
class Stretch:
    """Neighboring addresses, or one name."""

    target: Range | str

    @property
    def text(self) -> str:
        return self.target if isinstance(self.target, str) else range_text(self.target)

    @property
    def size(self) -> int:
        return 1 if isinstance(self.target, str) else count((self.target,))

    @property
    def end(self) -> int | str:
        """Its last target."""
        return self.target if isinstance(self.target, str) else self.target[1]


@attrs.frozen
class Segment(Stretch):
    """Targets with the same status. `why` they were not reached."""

    status: Status
    why: str | None = None


@attrs.frozen
class Coverage:
    """Invariant: `answered`, `silent` and `not_reached` are disjoint, and together they are what
    was `asked` for. `not_reached` is divided by reasons."""

    asked: TargetSet
    answered: TargetSet
    not_reached: tuple[Unfinished, ...]

    @cached_property
    def missed(self) -> TargetSet:
        """All that was not reached."""
        return _union(each.targets for each in self.not_reached)

    @cached_property
    def silent(self) -> TargetSet:
        return _minus(_minus(self.asked, self.answered), self.missed)

    def counts(self) -> dict[str, int]:
        return {
            "requested": self.asked.address_count,
            "answered": self.answered.address_count,
            "silent": self.silent.address_count,
            "not_reached": self.missed.address_count,
        }

    def document(self) -> dict[str, Any]:
        """The counts, and the first targets that were not reached."""
        return {
            **self.counts(),
            "not_reached_targets": list(self.missed.texts[:LISTED]),
            "not_reached_left_out": max(0, len(self.missed.texts) - LISTED),
        }

    def segments(
        self, wanted: Iterable[Status] = tuple(Status), after: int | str | None = None
    ) -> Iterator[Segment]:
        """The targets with a `wanted` status behind the address or name `after`: addresses in
        their order, then names. Hosts that answered come one at a time, others in ranges."""
        chosen = [each for each in self._statuses() if each[1] in set(wanted)]
        if not isinstance(after, str):
            for first, last, status, why in sorted(_ranges(chosen, after)):
                if status is Status.ANSWERED:
                    yield from (Segment((each, each), status) for each in range(first, last + 1))
                else:
                    yield Segment((first, last), status, why or None)
        named = ((name, status, why) for found, status, why in chosen for name in found.names)
        for name, status, why in sorted(named):
            if not isinstance(after, str) or name > after:
                yield Segment(name, status, why or None)

    def _statuses(self) -> Iterator[tuple[TargetSet, Status, str]]:
        yield self.answered, Status.ANSWERED, ""
        yield self.silent, Status.SILENT, ""
        for each in self.not_reached:
            yield each.targets, Status.NOT_REACHED, each.why


def without_left(document: Mapping[str, Any], done: TargetSet) -> dict[str, Any]:
    """A `Coverage.document` without what was not reached: `done` are the other targets."""
    answered = min(document["answered"], done.address_count)
    return {
        "requested": done.address_count,
        "answered": answered,
        "silent": done.address_count - answered,
        "not_reached": 0,
        "not_reached_targets": [],
        "not_reached_left_out": 0,
    }


def counts_text(counts: Mapping[str, Any]) -> str:
    """`8 of 32 answered, 24 silent, 0 not reached`, from `Coverage.counts` or a document."""
    return (
        f"{counts['answered']} of {counts['requested']} answered, {counts['silent']} silent, "
        f"{counts['not_reached']} not reached"
    )


def cover(
    asked: TargetSet, left: Iterable[Unfinished], answered: TargetSet, no_end: TargetSet
) -> Coverage:
    """`left` are the targets that no scan has finished; where several name a target, the first
    reason counts. `answered` were scanned to the end, `no_end` answered and were not."""
    taken = answered = _common(answered, asked)
    by_reason: dict[str, list[TargetSet]] = {}
    for each in chain(left, [Unfinished(no_end, NO_END)]):
        found = _minus(_common(each.targets, asked), taken)
        if found.address_count:
            by_reason.setdefault(each.why, []).append(found)
            taken = _union((taken, found))
    not_reached = (Unfinished(_union(found), why) for why, found in by_reason.items())
    return Coverage(asked, answered, tuple(not_reached))


def unfinished(task: Task, parts: Sequence[Task] = ()) -> Iterator[Unfinished]:
    """The targets that no scan of a settled task has finished; `parts` are those of a split
    task."""
    if task.split is not None:
        yield Unfinished(targets_from(task.split.unreachable), "no scanner reaches it")
        for part in parts:
            if part.state is not TaskState.COMPLETED:
                yield Unfinished(targets_from(part.to_scan), why_unfinished(part))
        for group in task.split.groups:
            uncut, _ = targets_between(group, group.cut, group.size - group.cut)
            yield Unfinished(uncut, why_unfinished(task))
    elif task.partial is not None:
        yield Unfinished(targets_from(task.to_scan), why_unfinished(task))
    if task.summary is None:
        yield Unfinished(targets_from(task.request.targets), why_unfinished(task))


def why_unfinished(task: Task) -> str:
    """Why a settled task, or a part, has not scanned all of its targets."""
    if task.partial is not None and task.split is None:
        return f"the scan ended early: {task.partial}"
    if task.last_error is not None and task.state is not TaskState.COMPLETED:
        return task.last_error.message
    return _REASONS.get(task.state, f"its task is {task.state}")


def _ranges(
    chosen: Iterable[tuple[TargetSet, Status, str]], after: int | None
) -> Iterator[tuple[int, int, Status, str]]:
    start = -1 if after is None else after
    for found, status, why in chosen:
        for first, last in found.ranges:
            if last > start:
                yield max(first, start + 1), last, status, why


def _union(several: Iterable[TargetSet]) -> TargetSet:
    found = list(several)
    return TargetSet(
        ranges=merged(chain.from_iterable(each.ranges for each in found)),
        names=tuple(sorted({name for each in found for name in each.names})),
    )


def _minus(one: TargetSet, other: TargetSet) -> TargetSet:
    without = set(other.names)
    return TargetSet(
        ranges=difference(one.ranges, other.ranges),
        names=tuple(name for name in one.names if name not in without),
    )


def _common(one: TargetSet, other: TargetSet) -> TargetSet:
    both = set(other.names)
    return TargetSet(
        ranges=merged(intersection(one.ranges, other.ranges)),
        names=tuple(name for name in one.names if name in both),
    )
