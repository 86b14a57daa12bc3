"""What really happened on the simulated scanner, counted by itself: the witness for tests."""

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
    """Counts what took effect, whether or not its answer arrived.

    `by_scan` counts (verb, scan name) pairs. `max_running` is the most scans that were
    under way at once (running, or between states, or paused), `max_unfinished` counts
    pending ones too.
    """

    totals: Counter[str] = attrs.field(factory=Counter)
    by_scan: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    requests: Counter[str] = attrs.field(factory=Counter)
    events: deque[Event] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED_EVENTS))
    replayed: dict[str, str] = attrs.field(factory=dict)
    """Scan name to the file that it replays."""
    running: int = 0
    max_running: int = 0
    max_unfinished: int = 0

    def record(self, what: str, scan: str = "", *, at: float) -> None:
        self.totals[what] += 1
        if scan:
            self.by_scan[what, scan] += 1
        self.events.append(Event(at, what, scan))

    def saw(self, running: int, unfinished: int) -> None:
        """How many scans are under way now."""
        self.running = running
        self.max_running = max(self.max_running, running)
        self.max_unfinished = max(self.max_unfinished, unfinished)

    def launches(self, scan: str | None = None) -> int:
        """Of one scan, or of all."""
        return self.totals["launch"] if scan is None else self.by_scan["launch", scan]

    def of(self, what: str) -> dict[str, int]:
        """How often it happened to each scan, by name."""
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
