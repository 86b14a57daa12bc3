"""The period that a report is about."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.calendar.zones import epoch_of, zone_of

DAY: Final = 86_400.0
USUAL_DAYS: Final = 30


class Last(StrEnum):
    """The last whole one before now; weeks begin on Monday."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


@attrs.frozen(kw_only=True)
class Period:
    """From `since`, before `until` (epoch seconds), for people in a time zone."""

    since: float
    until: float
    zone: str = "UTC"

    @property
    def text(self) -> str:
        """Such as `2026-10-01 to 2026-10-31 (UTC)`: the first and the last day."""
        return f"{self.day(self.since)} to {self.day(self.until - 1)} ({self.zone})"

    def day(self, at: float) -> str:
        """The date of a moment (epoch seconds)."""
        return f"{datetime.fromtimestamp(at, zone_of(self.zone)):%Y-%m-%d}"

    def minute(self, at: float) -> str:
        return f"{datetime.fromtimestamp(at, zone_of(self.zone)):%Y-%m-%d %H:%M %Z}"


_MONTHS: Final = {Last.MONTH: 1, Last.QUARTER: 3}


def last(unit: Last, now: float, zone: str) -> Period:
    """Raises `BadCalendar` for an unknown time zone."""
    today = datetime.fromtimestamp(now, zone_of(zone)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    if unit == Last.WEEK:
        end = today - timedelta(days=today.weekday())
        begin = end - timedelta(days=7)
    else:
        months = _MONTHS[unit]
        end = today.replace(day=1, month=today.month - (today.month - 1) % months)
        begin = _months_before(end, months)
    return Period(since=_midnight(begin), until=_midnight(end), zone=zone)


def usual(now: float, zone: str, days: int = USUAL_DAYS) -> Period:
    """The last days until now."""
    return Period(since=now - days * DAY, until=now, zone=zone)


def _months_before(first: datetime, months: int) -> datetime:
    for _ in range(months):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


def _midnight(day: datetime) -> float:
    return epoch_of(day.replace(fold=0))
