"""Counts what actually happened on the simulated scanner, for tests."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import attrs

REMEMBERED_EVENTS = 10_000


@attrs.frozen
class Event:
    """`at` is epoch seconds; `what` a verb such as `launch`; `scan` a scan's name or ''."""

    at: float
    what: str
    scan: str = ""


@attrs.define
class Ledger:
    """Counts actions that took effect, whether or not the response arrived.

    `by_scan` counts (verb, scan name) pairs. `max_running` is the maximum number of concurrent
    scans (running, in transition or paused); `max_unfinished` includes pending ones.
    """

    totals: Counter[str] = attrs.field(factory=Counter)
    by_scan: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    requests: Counter[str] = attrs.field(factory=Counter)
    events: deque[Event] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED_EVENTS))
    replayed: dict[str, str] = attrs.field(factory=dict)
    """The replayed file by scan name."""
    running: int = 0
    max_running: int = 0
    max_unfinished: int = 0

    def record(self, what: str, scan: str = "", *, at: float) -> None:
        self.totals[what] += 1
        if scan:
            self.by_scan[what, scan] += 1
        self.events.append(Event(at, what, scan))

    def saw(self, running: int, unfinished: int) -> None:
        """Records the current number of scans."""
        self.running = running
        self.max_running = max(self.max_running, running)
        self.max_unfinished = max(self.max_unfinished, unfinished)

    def launches(self, scan: str | None = None) -> int:
        """The number of launches of one scan, or of all."""
        return self.totals["launch"] if scan is None else self.by_scan["launch", scan]

    def of(self, what: str) -> dict[str, int]:
        """How often the action happened, by scan name."""
        return {scan: count for (verb, scan), count in self.by_scan.items() if verb == what}

    def as_json(self) -> dict[str, Any]:
        verbs = sorted({verb for verb, _ in self.by_scan})
        return {
            "totals": dict(self.totals),
            "by_scan": {verb: self.of(verb) for verb in verbs},
            "requests": dict(self.requests),
            "replayed": dict(self.replayed),
            "running": self.running,
            "max_running": self.max_running,
            "max_unfinished": self.max_unfinished,
        }
