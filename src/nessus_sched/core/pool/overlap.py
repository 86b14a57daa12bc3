"""The overlap guard: no address is scanned by two of our scans at once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from heapq import nsmallest
from operator import itemgetter
from typing import Final

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import GroupName, Key, ParkedGroup, QueueName, Waiting
from nessus_sched.core.pool.spans import Spans, touched
from nessus_sched.core.targets.packed import PackedTargets

PATIENCE: Final = 2
"""An entry found blocked so often claims its targets against later ones."""
CLAIMABLE: Final = 20_000
"""Ranges that waiting entries may claim in all; they take about 160 bytes each."""


class TargetClaims:
    """Who holds which addresses and names.

    Invariants: the ranges in `_v4` and `_v6` are disjoint; a claim that overlaps another's (an
    adopted scan, or the guard was off) is in `_irregular` instead and is compared one by one.
    `ranges` counts those of all claims.
    """

    def __init__(self) -> None:
        self.ranges = 0
        self._held: dict[str, PackedTargets] = {}
        self._irregular: dict[str, PackedTargets] = {}
        self._v4: Spans[int] = Spans()
        self._v6: Spans[bytes] = Spans()
        self._names: dict[str, str] = {}

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def add(self, task_id: str, targets: PackedTargets) -> None:
        if any(True for _ in self.holders(targets)):
            self._irregular[task_id] = targets
        else:
            self._names.update(dict.fromkeys(targets.names, task_id))
            self._v4.add(*targets.v4_bounds, task_id)
            self._v6.add(*targets.v6_bounds, task_id)
        self._held[task_id] = targets
        self.ranges += targets.range_count

    def discard(self, task_id: str) -> None:
        targets = self._held.pop(task_id, None)
        if targets is None:
            return
        self.ranges -= targets.range_count
        if self._irregular.pop(task_id, None) is not None:
            return
        for name in targets.names:
            del self._names[name]
        self._v4.remove(*targets.v4_bounds)
        self._v6.remove(*targets.v6_bounds)

    def holders(self, targets: PackedTargets) -> Iterator[str]:
        """Every task that holds something of `targets`; some may be given twice."""
        if not self._held:
            return
        yield from self._v4.holders(*targets.v4_bounds)
        yield from self._v6.holders(*targets.v6_bounds)
        yield from (self._names[name] for name in targets.names if name in self._names)
        for each, held in self._irregular.items():
            if _overlap(held, targets):
                yield each


def _overlap(one: PackedTargets, other: PackedTargets) -> bool:
    """Whether some address or name is in both."""
    return (
        any(True for _ in touched(*one.v4_bounds, *other.v4_bounds))
        or any(True for _ in touched(*one.v6_bounds, *other.v6_bounds))
        or not set(one.names).isdisjoint(other.names)
    )


class OverlapGuard:
    """Finds what an entry has to wait for, and remembers who waits for whom.

    A blocked entry is parked at its blocker and reconsidered only when that has ended, so it
    does not hold up those behind it. Entries of one queue with equal targets share a group:
    only the first is reconsidered, and the others then wait for it. An entry
    that is blocked a second time (the first blocker has ended, and another task was
    quicker) claims its targets: later entries that overlap them wait for it, which bounds
    its own wait to what runs already.

    Invariants: `_groups[blocker]` has the groups with that blocker, none of them empty. A
    waiting entry waits only for running tasks and for entries with smaller keys, so there
    are no circles.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._running = TargetClaims()
        self._claimed = TargetClaims()
        self._groups: dict[str, dict[GroupName, ParkedGroup]] = {}

    def blocker(self, waiting: Waiting, goes_before: Callable[[str, Waiting], bool]) -> str | None:
        """The task that `waiting` has to wait for, or None.

        `goes_before` says whether a claiming entry has the smaller key and could run.
        """
        if not self.enabled:
            return None
        targets = waiting.entry.packed
        for holder in self._running.holders(targets):
            return holder
        claimed = self._claimed.holders(targets)
        return next((holder for holder in claimed if goes_before(holder, waiting)), None)

    def park(self, waiting: Waiting, blocker: str) -> ParkedGroup:
        """The group in which it waits from now on."""
        group = self._join(waiting, blocker, deferred=False)
        waiting.blocked += 1
        if waiting.blocked >= PATIENCE and waiting.entry.task_id not in self._claimed:
            self._claim(waiting.entry)
        return group

    def _join(self, waiting: Waiting, blocker: str, *, deferred: bool) -> ParkedGroup:
        name: GroupName = (None, waiting.queue_name, waiting.entry.packed)
        group = self._groups.setdefault(blocker, {}).setdefault(
            name, ParkedGroup(blocker=blocker, deferred=deferred, name=name)
        )
        insort(group.members, waiting.key)
        return group

    def _claim(self, entry: QueueEntry) -> None:
        """Unless claims have grown too large: then it tries again the next time it is blocked."""
        if self._claimed.ranges + entry.packed.range_count <= CLAIMABLE:
            self._claimed.add(entry.task_id, entry.packed)

    def leave(self, waiting: Waiting) -> None:
        """It gives up its parking place, if it has one."""
        group = waiting.group
        if group is None:
            return
        del group.members[bisect_left(group.members, waiting.key)]
        if not group.members:
            del self._groups[group.blocker][group.name]

    def start(self, task_id: str, targets: PackedTargets) -> None:
        """It runs; those parked at it keep waiting for its end."""
        self._claimed.discard(task_id)
        self._running.add(task_id, targets)

    def end(self, task_id: str) -> list[str]:
        """It no longer runs or waits, or should not block others. Returns the entries that are no
        longer parked: the first of each group; the others now wait for that one."""
        self._running.discard(task_id)
        self._claimed.discard(task_id)
        heads = []
        for group in self._groups.pop(task_id, {}).values():
            head = group.members.pop(0)[2]
            heads.append(head)
            if group.members:
                group.blocker, group.name = head, (task_id, *group.name[1:])
                self._groups.setdefault(head, {})[group.name] = group
        return heads

    def defer(self, waiting: Waiting, key: str) -> ParkedGroup:
        """Parks an entry at something that is not a task, without a claim; `resume` returns it."""
        waiting.blocked = 0
        return self._join(waiting, key, deferred=True)

    def resume(self, key: str, *, most: int | None = None) -> list[str]:
        """The entries that were deferred with that key, or the first `most` of each queue; they are
        no longer parked."""
        groups = self._groups.get(key, {})
        queues = defaultdict[QueueName, list[tuple[Key, GroupName]]](list)
        for name, group in groups.items():
            queues[name[1]] += ((member, name) for member in group.members[:most])
        found = [
            each
            for members in queues.values()
            for each in (nsmallest(most, members, key=itemgetter(0)) if most else members)
        ]
        for member, name in found:
            group = groups[name]
            del group.members[bisect_left(group.members, member)]
            if not group.members:
                del groups[name]
        if not groups:
            self._groups.pop(key, None)
        return [member[2] for member, _ in found]

    def blockers(self) -> list[str]:
        """All tasks for which others wait."""
        return list(self._groups)
