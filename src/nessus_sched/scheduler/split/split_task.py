"""A split task in memory: what is cut from it, and how its parts stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import attrs
import trio

from nessus_sched.core import parts
from nessus_sched.core.ids import part_id
from nessus_sched.core.parts import PartSizes
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.states import LIVE, TaskState
from nessus_sched.core.task import PartGroup, RequestedState, Split, Task

SAMPLE: Final = 64
"""Targets by which the pace of the next part is looked up."""


@attrs.frozen(kw_only=True)
class Cut:
    """Where a part lies among the targets of its group. A scanner that takes it may take only
    `least` of its targets if there is no time for all."""

    number: int
    group: int
    start: int
    size: int
    least: int = 0


class SplitTask:
    """Invariants: `waiting` are parts that the pool has and the store does not, at most one for
    each group; `states` are those of all stored parts. `lock` is held while the task's record is
    changed. The record itself is kept only while a part is active, since a queue may hold many
    tasks with thousands of targets.
    """

    def __init__(self, task: Task, accepted_at: float) -> None:
        assert task.split is not None
        self.task_id = task.task_id
        self.desired = task.desired
        self.accepted_at = accepted_at
        self.total = parts.total_of(task.split)
        self.next = [group.cut for group in task.split.groups]
        """For each group, where the next part begins."""
        self.rests: dict[int, Task] = {}
        """Parts that were stopped for idle slots, by number, until their rest is in a group."""
        self.parts = task.split.parts
        self.states: dict[str, TaskState] = {}
        self.sizes: dict[str, int] = {}
        self.waiting: dict[str, Cut] = {}
        self.taken: dict[str, Cut] = {}
        """Parts that have a slot and are not stored yet."""
        self.ending = False
        """Its results are being put together."""
        self.lock = trio.Lock()

    def note(self, part: Task) -> None:
        """Takes the state of a stored part."""
        assert part.part is not None
        self.states[part.task_id] = part.state
        self.sizes[part.task_id] = part.part.size
        self.parts = max(self.parts, part.part.number)
        if parts.stopped_for_idle_slots(part):
            self.rests[part.part.number] = part

    @property
    def counts(self) -> Mapping[TaskState, int]:
        """How many stored parts are in each state."""
        return Counter(self.states.values())

    def live(self) -> Iterator[str]:
        """The ids of the stored parts that have not settled."""
        return (task_id for task_id, state in self.states.items() if state in LIVE)

    @property
    def feeds(self) -> bool:
        """Whether more parts may be cut."""
        wanted = self.desired is RequestedState.RUN and not self.ending
        return wanted and not parts.hopeless(self.counts)

    def put_back(self, cuts: dict[str, Cut]) -> None:
        """Uncuts parts that were not stored: their targets are cut again."""
        for cut in cuts.values():
            self.next[cut.group] = min(self.next[cut.group], cut.start)
        cuts.clear()

    def regroup(self, split: Split) -> Split:
        """With groups of what is left of the parts that were stopped for idle slots."""
        for group in split.groups:
            self.rests.pop(group.rest_of or 0, None)
        for part in self.rests.values():
            assert part.part is not None
            new = parts.rest_groups(split.groups[part.part.group], part)
            split = attrs.evolve(split, groups=(*split.groups, *new))
            self.next += [0] * len(new)
        return split

    @property
    def last_parts(self) -> bool:
        """Its parts run, and no more are to be cut."""
        return self.feeds and not self.waiting and any(True for _ in self.live())

    def groups_to_feed(self, task: Task) -> Iterator[tuple[int, PartGroup]]:
        """The groups that have targets left and no part waiting in the pool."""
        assert task.split is not None
        fed = {cut.group for cut in self.waiting.values()}
        for number, group in enumerate(task.split.groups):
            if number not in fed and self.next[number] < group.size:
                yield number, group

    def cut(self, task: Task, cut: Cut, now: float) -> QueueEntry:
        """The next part of a group, as it waits in the pool: behind all that was accepted before
        its turn came, which is `now`, so that tasks take turns."""
        self.parts = cut.number
        self.next[cut.group] += cut.size
        entry = entry_of(task, cut, self.accepted_at if cut.number == 1 else now)
        self.waiting[entry.task_id] = cut
        return entry


def entry_of(task: Task, cut: Cut, accepted_at: float) -> QueueEntry:
    """A part that is not stored, as queues, routing and the overlap guard see it."""
    assert task.split is not None
    group, request = task.split.groups[cut.group], task.request
    targets, resolved = parts.targets_between(group, cut.start, cut.size)
    return QueueEntry(
        task_id=part_id(task.task_id, cut.number),
        order=task.order,
        accepted_at=accepted_at,
        kind=request.kind,
        targets=targets.with_addresses(resolved),
        priority=request.priority,
        pool=request.pool,
        between=request.between,
        hosts=group.hosts,
        least=cut.least,
    )


def sample_of(task: Task, group_number: int, start: int) -> QueueEntry:
    """A small part that begins there, to ask the pool about its like."""
    assert task.split is not None
    size = min(task.split.groups[group_number].size - start, SAMPLE)
    return entry_of(task, Cut(number=0, group=group_number, start=start, size=size), 0.0)


def next_cut(
    task: Task,
    number: int,
    group_number: int,
    start: int,
    pool: Pool,
    sizes: PartSizes,
    scanner_id: str | None = None,
) -> Cut:
    """The next part of a group, with the size that it should have, by what is known now, if that
    scanner takes it or an average one."""
    assert task.split is not None
    group, entry = task.split.groups[group_number], sample_of(task, group_number, start)
    total = parts.total_of(task.split) if group.rest_of is None else group.size
    sizes = parts.sizes_for(task.split, group, sizes)
    slots, pace = pool.slots_for(entry, scanner_id), pool.pace(entry, scanner_id)
    return Cut(
        number=number,
        group=group_number,
        start=start,
        size=parts.part_size(group.size - start, total, slots, pace, sizes),
        least=parts.least_size(total, sizes),
    )


def fit(cut: Cut, entry: QueueEntry, pool: Pool, scanner_id: str, now: float) -> Cut:
    """The part, or as much of it as can be scanned before a window ends."""
    size = entry.packed.address_count
    share = pool.fitting(entry, scanner_id, now) / size if size else 1.0
    return attrs.evolve(cut, size=min(cut.size, max(cut.least, int(cut.size * share))))
