"""Keeps windows and blackouts for running scans: when to look, and which to pause or stop."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from nessus_sched.core.calendar.timetable import Rule, Timetable, Verdict
from nessus_sched.core.targets.packed import PackedTargets

USUAL_LEAD: Final = 30.0
"""Seconds before the end of a window at which scans are paused, until it is known how long the
scanner takes to pause one."""
LONGEST_LEAD: Final = 600.0


class PauseTimes:
    """How many seconds each scanner takes to pause a scan. Scans are paused that much earlier."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def record(self, scanner_id: str, seconds: float) -> None:
        """The longest pauses count, but less and less as shorter ones follow."""
        before = self._seconds.get(scanner_id, seconds)
        self._seconds[scanner_id] = max(seconds, (before + seconds) / 2)

    def lead(self, scanner_id: str) -> float:
        return min(self._seconds.get(scanner_id, USUAL_LEAD), LONGEST_LEAD)

    def leads(self) -> Collection[float]:
        """All leads that some scanner may have."""
        return {USUAL_LEAD, *map(self.lead, self._seconds)}


@attrs.frozen(kw_only=True)
class Closing:
    """A running scan may not go on, as `verdict` says. `over`: it should have stopped already, and
    is not just about to have to."""

    verdict: Verdict
    over: bool

    @property
    def rule(self) -> Rule:
        assert self.verdict.rule is not None
        return self.verdict.rule


def closing(
    table: Timetable,
    scan: tuple[PackedTargets, str | None, str, str],
    moment: float,
    lead: float,
    *,
    paused: bool,
) -> Closing | None:
    """What keeps a scan that has started from running, now or `lead` seconds from now; None if
    nothing does. `scan` is its targets, hours, scanner and pool; `paused`: it has been paused for
    the calendar. Rules that let scans run on count only for one that is."""
    now = table.scan(*scan, moment, started=not paused)
    if not now.allowed:
        return Closing(verdict=now, over=True)
    assert now.until is not None
    if now.until > moment + lead:
        return None
    return Closing(verdict=table.scan(*scan, now.until, started=not paused), over=False)


def next_look(
    table: Timetable, moment: float, leads: Iterable[float], hours: Iterable[str] = ()
) -> float:
    """When to look again: something opens or closes, or will in one of the leads. `hours` are
    those that single tasks ask for."""
    own = set(hours)
    found = change = table.next_change(moment, own)
    for lead in sorted(leads):
        while change <= moment + lead:  # it is being closed for this one already
            change = table.next_change(change, own)
        found = min(found, change - lead)
    return found


class Overruns:
    """Scans that are running though they should not."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def note(self, task_id: str, now: float, *, over: bool) -> float | None:
        """How a scan stands now. Returns for how many seconds it has overrun if that has just
        ended."""
        if over:
            self._since.setdefault(task_id, now)
            return None
        since = self._since.pop(task_id, None)
        return None if since is None else now - since

    def forget(self, task_id: str) -> None:
        """It may run after all."""
        self._since.pop(task_id, None)

    def ended(self, running: Collection[str], now: float) -> Mapping[str, float]:
        """The seconds of those that are no longer running."""
        gone = [task_id for task_id in self._since if task_id not in running]
        return {task_id: now - self._since.pop(task_id) for task_id in gone}

    def longest(self, now: float) -> float:
        """For how many seconds the longest has been running; 0 if there is none."""
        return max((now - since for since in self._since.values()), default=0.0)
