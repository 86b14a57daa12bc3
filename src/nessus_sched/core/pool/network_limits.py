"""How many of our scans may run in a network at once, whichever scanners run them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from nessus_sched.core.targets.packed import PackedTargets
from nessus_sched.core.targets.ranges import Ranges, overlap


@attrs.frozen(kw_only=True)
class NetworkLimit:
    """At most `most` scans at once with targets in `ranges`; `name` is the network's text."""

    name: str
    ranges: Ranges
    most: int


class NetworkLimits:
    """Counts the scans that run in each network with a limit."""

    def __init__(self, limits: Iterable[NetworkLimit] = ()) -> None:
        self.limits = tuple(limits)
        self._running: dict[str, set[str]] = {limit.name: set() for limit in self.limits}

    def start(self, task_id: str, targets: PackedTargets) -> None:
        for limit in self.of(targets):
            self._running[limit.name].add(task_id)

    def end(self, task_id: str) -> list[NetworkLimit]:
        """The limits that have room for another scan now."""
        freed = [limit for limit in self.limits if task_id in self._running[limit.name]]
        for limit in freed:
            self._running[limit.name].discard(task_id)
        return freed

    def full(self, targets: PackedTargets) -> NetworkLimit | None:
        """A limit that leaves no room for a scan of these targets; None if all do."""
        found = (each for each in self.of(targets) if self.running(each) >= each.most)
        return next(found, None)

    def running(self, limit: NetworkLimit) -> int:
        return len(self._running[limit.name])

    def of(self, targets: PackedTargets) -> list[NetworkLimit]:
        """The limits that count for these targets."""
        if not self.limits:
            return []
        ranges = targets.unpack().ranges
        return [limit for limit in self.limits if overlap(limit.ranges, ranges)]
