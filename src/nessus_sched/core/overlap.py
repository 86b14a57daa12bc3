"""The overlap guard: no address is scanned by two of our scans at once."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Final

from nessus_sched.core.queues import Waiting
from nessus_sched.core.targets import TargetSet

FEW: Final = 16
"""Up to so many ranges are inserted one by one; more are sorted in at once."""
PATIENCE: Final = 2
"""An entry found blocked so often claims its targets against later ones."""


class Claims:
    """Who holds which addresses and names.

    Invariants: the ranges in `_spans` are sorted and disjoint, so that binary search
    finds a holder; a claim that overlaps another's (an adopted scan, or the guard was off)
    is in `_irregular` instead and is compared one by one.
    """

    def __init__(self) -> None:
        self._held: dict[str, TargetSet] = {}
        self._irregular: dict[str, TargetSet] = {}
        self._spans: list[tuple[int, int, str]] = []
        self._names: dict[str, str] = {}

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def add(self, task_id: str, targets: TargetSet) -> None:
        if any(True for _ in self.holders(targets)):
            self._irregular[task_id] = targets
        else:
            self._names.update(dict.fromkeys(targets.names, task_id))
            spans = [(first, last, task_id) for first, last in targets.ranges]
            if len(spans) <= FEW:
                for span in spans:
                    insort(self._spans, span)
            else:
                self._spans = sorted(self._spans + spans)
        self._held[task_id] = targets

    def discard(self, task_id: str) -> None:
        targets = self._held.pop(task_id, None)
        if targets is None or self._irregular.pop(task_id, None) is not None:
            return
        for name in targets.names:
            del self._names[name]
        if targets.ranges:
            self._spans = [span for span in self._spans if span[2] != task_id]

    def holders(self, targets: TargetSet) -> Iterator[str]:
        """Every task that holds something of `targets`; some may be told twice."""
        if len(targets.ranges) > len(self._held) + FEW:
            yield from (each for each, held in self._held.items() if held.overlaps(targets))
            return
        for first, last in targets.ranges:
            # Among disjoint spans the one that begins last has the greatest end too.
            index = bisect_right(self._spans, last, key=lambda span: span[0]) - 1
            while index >= 0 and self._spans[index][1] >= first:
                yield self._spans[index][2]
                index -= 1
        yield from (self._names[name] for name in targets.names if name in self._names)
        yield from (each for each, held in self._irregular.items() if held.overlaps(targets))


class OverlapGuard:
    """Finds what an entry has to wait for, and remembers who waits for whom.

    A blocked entry is parked at its blocker and looked at again only when that has ended,
    so it holds up nobody behind it. An entry that finds itself blocked a second time (the
    first blocker has ended, and somebody else was quicker) claims its targets: later
    entries that overlap them wait for it, which bounds its wait to what runs already.
    Waiting goes from later to earlier entries only, so there are no circles.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._running = Claims()
        self._claimed = Claims()
        self._lots: dict[str, set[str]] = {}

    def blocker(self, waiting: Waiting, earlier: Callable[[str, Waiting], bool]) -> str | None:
        """The task that `waiting` has to wait for, or None.

        `earlier` says whether a claiming entry goes before this one and could run.
        """
        if not self.enabled:
            return None
        targets = waiting.entry.targets
        for holder in self._running.holders(targets):
            return holder
        claimed = self._claimed.holders(targets)
        return next((holder for holder in claimed if earlier(holder, waiting)), None)

    def park(self, waiting: Waiting, blocker: str) -> None:
        waiting.blocked += 1
        self._lots.setdefault(blocker, set()).add(waiting.entry.task_id)
        if waiting.blocked >= PATIENCE and waiting.entry.task_id not in self._claimed:
            self._claimed.add(waiting.entry.task_id, waiting.entry.targets)

    def start(self, task_id: str, targets: TargetSet) -> None:
        """It runs. Whoever waited for its claim goes on waiting for its end."""
        self._claimed.discard(task_id)
        self._running.add(task_id, targets)

    def end(self, task_id: str) -> set[str]:
        """It runs no more; returns the entries that were parked at it."""
        self._running.discard(task_id)
        return self._lots.pop(task_id, set())

    def unclaim(self, task_id: str) -> set[str]:
        """A waiting entry gives up its claim; returns the entries that were parked at it."""
        self._claimed.discard(task_id)
        return self._lots.pop(task_id, set())

    def leave(self, waiting: Waiting) -> None:
        """A parked entry gives up its parking place."""
        if waiting.parked_on is not None:
            self._lots[waiting.parked_on].discard(waiting.entry.task_id)

    def claimants(self) -> list[str]:
        return list(self._claimed)

    def disband(self) -> set[str]:
        """Forgets all claims and parking places of waiting entries; returns the parked."""
        parked = set[str]().union(*self._lots.values())
        self._lots.clear()
        for task_id in self.claimants():
            self._claimed.discard(task_id)
        return parked
