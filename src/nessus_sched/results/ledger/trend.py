"""Trends: how many findings were open at the end of each week or month, and what changed in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from nessus_sched.core.calendar.zones import epoch_of, zone_of
from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.scope import Rules

MOST_POINTS = 200


class Step(StrEnum):
    """Weeks begin on Monday."""

    WEEK = "week"
    MONTH = "month"


@attrs.frozen(kw_only=True)
class TrendQuery:
    """From `since`, before `until` (epoch seconds), in whole weeks or months of a time zone; the
    first and the last one may be cut. `region` limits the hosts by address or name, and
    `labelled` by their labels. `least_severity` (0 to 4) is that of the scanner: which exceptions
    there were is not part of the history."""

    since: float
    until: float
    step: Step = Step.WEEK
    zone: str = "UTC"
    least_severity: int = 1
    region: Rules | None = None
    labelled: Labelled | None = None

    @property
    def bounds(self) -> tuple[int, ...]:
        """The times at which points begin, and the end of the last (epoch seconds); at most
        `MOST_POINTS` points, the latest ones. Raises `BadCalendar` for an unknown time zone."""
        found = [int(self.until)]
        begin = _begin(datetime.fromtimestamp(self.until - 1, zone_of(self.zone)), self.step)
        while epoch_of(begin) > self.since and len(found) < MOST_POINTS:
            found.append(int(epoch_of(begin)))
            begin = _begin(begin - timedelta(days=1), self.step)
        found.append(max(int(epoch_of(begin)), int(self.since)))
        return tuple(sorted(set(found)))


def _begin(day: datetime, step: Step) -> datetime:
    """The midnight that a week or month begins at."""
    back = day.weekday() if step is Step.WEEK else day.day - 1
    return (day - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


@attrs.frozen(kw_only=True)
class TrendPoint:
    """From `since`, before `until` (epoch seconds). `open` counts by severity, at the end.

    `new` are those on hosts that were scanned before, and `baseline` those of the first scan of
    their host. `fixed` (proved to be) and `resurfaced` count each time. `mean_age` is that of the
    open ones at the end, in seconds since they were first seen; None if none is open. `hosts` are
    those that answered a scan in this time.
    """

    since: int
    until: int
    open: Mapping[str, int]
    new: int
    baseline: int
    fixed: int
    resurfaced: int
    mean_age: float | None
    hosts: int
