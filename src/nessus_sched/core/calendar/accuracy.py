"""Plans measured against what happened: how many starts and ends were in their intervals.

A plan gives an interval for the start and for the end of a scan. The first plan that names a scan
counts; whether it was right is known when the scan starts and ends, or when the interval is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.calendar.plan import Interval, Planned
from nessus_sched.core.calendar.zones import zone_of

SLACK: Final = 60.0
"""Seconds by which a time may be outside of its interval: times of a plan are read in minutes."""
NIGHTS: Final = 7
LEAST: Final = 20
"""Starts, and ends, from which a share is worth telling."""
MOST: Final = 2000
"""Scans that are followed at a time; more are left out."""
_NOON: Final = timedelta(hours=12)


class Side(StrEnum):
    START = "start"
    END = "end"


@attrs.define
class _Awaited:
    """A scan whose plan is to be measured. `due` are the intervals not measured yet; `real` says
    that there is a task, not only a firing to come."""

    due: dict[Side, Interval]
    real: bool


class Followed:
    """The scans that plans have named, until they have ended. Moments are epoch seconds; keys are
    those of the jobs."""

    def __init__(self) -> None:
        self._scans: dict[str, _Awaited] = {}

    def __len__(self) -> int:
        return len(self._scans)

    def note(self, planned: Iterable[Planned], until: float) -> None:
        """A plan was made, which reaches until then."""
        for each in planned:
            if len(self._scans) >= MOST:
                return
            if each.start is None or each.end is None or each.start.median > until:
                continue
            due = {Side.START: each.start, Side.END: each.end}
            self._scans.setdefault(each.job.key, _Awaited(due=due, real=not each.job.firing))

    def submitted(self, key: str) -> None:
        """A firing has become a task."""
        if key in self._scans:
            self._scans[key].real = True

    def happened(self, key: str, side: Side, moment: float) -> bool | None:
        """Whether it was in its interval; None if that is not to be measured, or was already."""
        scan = self._scans.get(key)
        interval = None if scan is None else scan.due.pop(side, None)
        if scan is not None and not scan.due:
            del self._scans[key]
        if interval is None:
            return None
        return interval.low - SLACK <= moment <= interval.high + SLACK

    def forget(self, key: str) -> None:
        """It was canceled: that is no fault of the plan."""
        self._scans.pop(key, None)

    def overdue(self, now: float) -> dict[Side, int]:
        """How many should have happened by now, and have not; they are not measured again. A firing
        that became no task is forgotten: it was skipped, or its schedule changed."""
        counts = dict.fromkeys(Side, 0)
        for key, scan in list(self._scans.items()):
            late = [side for side, each in scan.due.items() if each.high + SLACK < now]
            if scan.real:
                for side in late:
                    counts[side] += 1
                    del scan.due[side]
            if not scan.due or (late and not scan.real):
                del self._scans[key]
        return counts


@attrs.frozen
class Tally:
    """Of a night: how many `starts` and `ends` were measured, and how many were in their
    intervals."""

    starts: int = 0
    starts_within: int = 0
    ends: int = 0
    ends_within: int = 0

    def plus(self, side: Side, *, within: bool, count: int = 1) -> Tally:
        right = count if within else 0
        if side is Side.START:
            return attrs.evolve(
                self, starts=self.starts + count, starts_within=self.starts_within + right
            )
        return attrs.evolve(self, ends=self.ends + count, ends_within=self.ends_within + right)


def night_of(moment: float, zone: str) -> str:
    """The date of the evening: nights go from noon to noon."""
    return (datetime.fromtimestamp(moment, zone_of(zone)) - _NOON).date().isoformat()


def sentence(nights: Iterable[Tally]) -> str | None:
    """How good the plans of some nights were; None when too little is known."""
    tallies = list(nights)
    starts, ends = sum(each.starts for each in tallies), sum(each.ends for each in tallies)
    if min(starts, ends) < LEAST:
        return None
    begun = round(100 * sum(each.starts_within for each in tallies) / starts)
    ended = round(100 * sum(each.ends_within for each in tallies) / ends)
    when = "night" if len(tallies) == 1 else f"{len(tallies)} nights"
    return (
        f"In the last {when}, {begun} % of the scans started and {ended} % ended within their "
        "intervals."
    )


def stored(nights: Mapping[str, Tally]) -> str:
    """The tallies of the latest nights as text, for the store."""
    latest = sorted(nights)[-NIGHTS:]
    return json.dumps({night: attrs.astuple(nights[night]) for night in latest})


def restored(text: str) -> dict[str, Tally]:
    """The opposite of `stored`; nothing if it cannot be read."""
    try:
        return {str(night): Tally(*map(int, counts)) for night, counts in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
