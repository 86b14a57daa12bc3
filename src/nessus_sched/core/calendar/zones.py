"""Time zones by their IANA names, and moments written as local times."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from nessus_sched.core.text import did_you_mean

_YEARS: Final = range(1971, 9000)
"""Those in which moments can be converted between all time zones."""


class BadCalendar(ValueError):
    """A time, zone, recurrence or period that cannot be used; the message says why and what to
    write instead."""


@cache
def zone_of(name: str) -> ZoneInfo:
    """Raises `BadCalendar` with the nearest names."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(name, sorted(available_timezones()))
        raise BadCalendar(f"no time zone {name!r}{near}; write one such as Europe/Berlin") from None


def is_known(name: str) -> bool:
    """Whether this machine knows the zone: one that is stored may be from another machine."""
    try:
        zone_of(name)
    except BadCalendar:
        return False
    return True


def parse_moment(text: str, zone: str) -> float:
    """Epoch seconds of an ISO 8601 time; one without an offset is a local time of the zone.
    A local time that does not exist means the moment right after the gap, one that exists twice
    the first. Raises `BadCalendar`."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadCalendar(
            f"{text!r} is not a time; write one such as 2026-03-02 02:00 or 2026-03-02T02:00+01:00"
        ) from None
    if moment.year not in _YEARS:
        raise BadCalendar(f"{text!r} is too far away")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(zone), fold=0)
    return epoch_of(moment)


def epoch_of(local: datetime) -> float:
    """Epoch seconds of a local time with a zone. A time in a gap means the end of the gap."""
    exact = local.timestamp()
    if local.tzinfo is None or datetime.fromtimestamp(exact, local.tzinfo).replace(
        tzinfo=None
    ) == local.replace(tzinfo=None):
        return exact
    # With fold=1 a time in a gap is read with the offset after it, which is before the gap.
    return _first_after_gap(local)


def _first_after_gap(local: datetime) -> float:
    zone = local.tzinfo
    low, high = local.replace(fold=1).timestamp(), local.replace(fold=0).timestamp()
    before = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def local_text(moment: float, zone: str) -> str:
    """Such as `Mon 2026-03-02 02:00 CET`."""
    return f"{datetime.fromtimestamp(moment, zone_of(zone)):%a %Y-%m-%d %H:%M %Z}"
