"""Entries and pools for tests of the scheduling brain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind

FREE_FOR_ALL = PoolSettings(overlap_guard=False)


def entry(order: int, targets: str | None = None, **changes: Any) -> QueueEntry:
    """The entry of task `t<order>`, accepted at that second, by default with a target of
    its own."""
    own = f"10.{order >> 16}.{order >> 8 & 255}.{order & 255}"
    given: dict[str, Any] = {"accepted_at": float(order), "kind": ScanKind.BASIC, **changes}
    return QueueEntry(
        task_id=f"t{order}", order=order, targets=parse_targets(targets or own), **given
    )


def spec(scanner_id: str, limit: int, networks: str | None = None, **changes: Any) -> ScannerSpec:
    return ScannerSpec(
        scanner_id=scanner_id,
        limit=limit,
        networks=parse_targets(networks) if networks else None,
        **changes,
    )


class WatchedPool(Pool):
    """A pool that remembers whom it woke."""

    def __init__(self, specs: Iterable[ScannerSpec], settings: PoolSettings = FREE_FOR_ALL) -> None:
        self.woken: list[str] = []
        self._turns_told = 0
        super().__init__(settings, on_wake=lambda scanner_id: self.woken.append(scanner_id))
        self.configure(specs, settings, 0.0)

    def turns(self) -> list[str]:
        """The scanners that routing has chosen since this was last asked, in order."""
        turns = [(scanner.chosen, scanner.scanner_id) for scanner in self._state.scanners.values()]
        new = sorted(turn for turn in turns if turn[0] > self._turns_told)
        self._turns_told = max([self._turns_told, *(turn for turn, _ in new)])
        return [scanner_id for _, scanner_id in new]

    def take_all(self, scanner_id: str, now: float) -> list[str]:
        """What a driver does when it is woken, and until it is not woken again by that."""
        taken = []
        while True:
            woken = len(self.woken)
            while (found := self.take(scanner_id, now)) is not None:
                taken.append(found.task_id)
                woken = len(self.woken)
            if scanner_id not in self.woken[woken:]:
                return taken

    def running(self, scanner_id: str) -> set[str]:
        (found,) = (each for each in self.statistics(0.0).scanners if each.scanner_id == scanner_id)
        return set(found.slots.active)
