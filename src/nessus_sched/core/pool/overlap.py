"""The overlap guard: no address is scanned by two of our scans at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Lot, LotName, Waiting
from nessus_sched.core.targets.packed import PackedTargets, pack
from nessus_sched.core.targets.targets import TargetSet

FEW: Final = 16
"""Up to this many ranges are inserted one by one; more are merged by sorting."""
PATIENCE: Final = 2
"""An entry found blocked so often claims its targets against later ones."""
CLAIMABLE: Final = 20_000
"""Ranges that waiting entries may claim in all; they take about 160 bytes each."""


class Claims:
    """Who holds which addresses and names.

    Invariants: the ranges in `_spans` are sorted and disjoint, so that binary search
    finds a holder; a claim that overlaps another's (an adopted scan, or the guard was off)
    is in `_irregular` instead and is compared one by one. `ranges` counts those of all claims.
    """

    def __init__(self) -> None:
        self.ranges = 0
        self._held: dict[str, PackedTargets] = {}
        self._irregular: dict[str, PackedTargets] = {}
        self._spans: list[tuple[int, int, str]] = []
        self._names: dict[str, str] = {}

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def add(self, task_id: str, targets: TargetSet) -> None:
        packed = pack(targets)
        if any(True for _ in self.holders(targets)):
            self._irregular[task_id] = packed
        else:
            self._names.update(dict.fromkeys(targets.names, task_id))
            spans = [(first, last, task_id) for first, last in targets.ranges]
            if len(spans) <= FEW:
                for span in spans:
                    insort(self._spans, span)
            else:
                self._spans = sorted(self._spans + spans)
        self._held[task_id] = packed
        self.ranges += packed.range_count

    def discard(self, task_id: str) -> None:
        targets = self._held.pop(task_id, None)
        if targets is None:
            return
        self.ranges -= targets.range_count
        if self._irregular.pop(task_id, None) is not None:
            return
        for name in targets.names:
            del self._names[name]
        if targets.range_count:
            self._spans = [span for span in self._spans if span[2] != task_id]

    def holders(self, targets: TargetSet) -> Iterator[str]:
        """Every task that holds something of `targets`; some may be given twice."""
        for first, last in targets.ranges:
            # Among disjoint spans the one that begins last has the greatest end too.
            index = bisect_right(self._spans, last, key=itemgetter(0)) - 1
            while index >= 0 and self._spans[index][1] >= first:
                yield self._spans[index][2]
                index -= 1
        yield from (self._names[name] for name in targets.names if name in self._names)
        for each, held in self._irregular.items():
            if held.unpack().overlaps(targets):
                yield each


class OverlapGuard:
    """Finds what an entry has to wait for, and remembers who waits for whom.

    A blocked entry is parked at its blocker and looked at again only when that has ended,
    so it holds up nobody behind it. Those of one queue with equal targets share a lot, of
    which only the first is looked at again; the others then wait for that one. An entry
    that is blocked a second time (the first blocker has ended, and somebody else was
    quicker) claims its targets: later entries that overlap them wait for it, which bounds
    its own wait to what runs already.

    Invariants: `_lots[blocker]` has the lots with that blocker, none of them empty. A
    waiting entry waits only for running tasks and for entries with smaller keys, so there
    are no circles.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._running = Claims()
        self._claimed = Claims()
        self._lots: dict[str, dict[LotName, Lot]] = {}

    def blocker(self, waiting: Waiting, goes_before: Callable[[str, Waiting], bool]) -> str | None:
        """The task that `waiting` has to wait for, or None.

        `goes_before` says whether a claiming entry has the smaller key and could run.
        """
        if not self.enabled:
            return None
        targets = waiting.entry.targets
        for holder in self._running.holders(targets):
            return holder
        claimed = self._claimed.holders(targets)
        return next((holder for holder in claimed if goes_before(holder, waiting)), None)

    def park(self, waiting: Waiting, blocker: str) -> Lot:
        """The lot in which it waits from now on."""
        entry = waiting.entry
        name: LotName = (None, waiting.queue_name, entry.packed)
        lot = self._lots.setdefault(blocker, {}).setdefault(name, Lot(blocker=blocker, name=name))
        insort(lot.members, waiting.key)
        waiting.blocked += 1
        if waiting.blocked >= PATIENCE and entry.task_id not in self._claimed:
            self._claim(entry)
        return lot

    def _claim(self, entry: QueueEntry) -> None:
        """Unless claims have grown too large: then it tries again the next time it is blocked."""
        if self._claimed.ranges + entry.packed.range_count <= CLAIMABLE:
            self._claimed.add(entry.task_id, entry.targets)

    def leave(self, waiting: Waiting) -> None:
        """It gives up its parking place, if it has one."""
        lot = waiting.lot
        if lot is None:
            return
        del lot.members[bisect_left(lot.members, waiting.key)]
        if not lot.members:
            del self._lots[lot.blocker][lot.name]

    def start(self, task_id: str, targets: TargetSet) -> None:
        """It runs. Whoever waited for it goes on waiting for its end."""
        self._claimed.discard(task_id)
        self._running.add(task_id, targets)

    def end(self, task_id: str) -> list[str]:
        """It neither runs nor waits any more, or should hold up nobody. Returns those that
        are parked no more: the first of each lot; the others now wait for that one."""
        self._running.discard(task_id)
        self._claimed.discard(task_id)
        heads = []
        for lot in self._lots.pop(task_id, {}).values():
            head = lot.members.pop(0)[2]
            heads.append(head)
            if lot.members:
                lot.blocker, lot.name = head, (task_id, *lot.name[1:])
                self._lots.setdefault(head, {})[lot.name] = lot
        return heads

    def blockers(self) -> list[str]:
        """All tasks for which others wait."""
        return list(self._lots)

    def disband(self) -> list[str]:
        """Forgets all claims and lots; returns all who were parked."""
        lots = [lot for named in self._lots.values() for lot in named.values()]
        self._lots.clear()
        for task_id in list(self._claimed):
            self._claimed.discard(task_id)
        return [key[2] for lot in lots for key in lot.members]
