"""Periods of time: weekly hours and dates in a time zone, as people write them.

mon-fri 20:00-06:00      five nights, each until the next morning
sat,sun                  whole days
22:00-24:00              every day
2026-12-20 to 2027-01-03             whole days, both included
2026-12-20 18:00 to 2027-01-03 06:00
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Final

import attrs

from nessus_sched.core.calendar.zones import BadCalendar, epoch_of, parse_moment, zone_of

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXAMPLES: Final = "'mon-fri 20:00-06:00', 'sat,sun' or '2026-12-20 to 2027-01-03'"
DAY: Final = 86400.0
MINUTES: Final = 24 * 60
HORIZON: Final = 400 * DAY
"""How far ahead an opening is looked for."""
_CHUNK: Final = 32 * DAY
_MARGIN: Final = 9 * DAY
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Span = tuple[float, float]
"""Begin and end, in epoch seconds; the end is not included."""


@attrs.frozen(cache_hash=True)
class Weekly:
    """Hours on some days of the week (Monday is 0). `end` is in minutes of the day on which it
    begins, and beyond 24 hours on the next one."""

    days: frozenset[int]
    begin: int
    end: int


@attrs.frozen(kw_only=True, cache_hash=True)
class Period:
    """`dates` are spans in epoch seconds."""

    zone: str
    weekly: tuple[Weekly, ...] = ()
    dates: tuple[Span, ...] = ()

    def span_at(self, moment: float) -> Span | None:
        """The span that the moment lies in, if any; one without an end reaches at least a week
        ahead."""
        begins, ends = _spans(self, _chunk(moment))
        place = bisect_right(begins, moment) - 1
        if place < 0 or moment >= ends[place]:
            return None
        return begins[place], ends[place]

    def next_begin(self, moment: float) -> float | None:
        """When the next span after the moment begins; None if not within a year."""
        chunk = _chunk(moment)
        for number in range(int(HORIZON // _CHUNK) + 1):
            begins, _ = _spans(self, chunk + number)
            place = bisect_right(begins, moment)
            if place < len(begins):
                return begins[place]
        return None

    def last_end(self, moment: float) -> float | None:
        """The last end of a span that is not after the moment; None if there is none for a year."""
        chunk = _chunk(moment)
        for number in range(int(HORIZON // _CHUNK) + 1):
            _, ends = _spans(self, chunk - number)
            place = bisect_right(ends, moment)
            if place:
                return ends[place - 1]
        return None


def parse_period(texts: Iterable[str], zone: str) -> Period:
    """Raises `BadCalendar` with what is wrong."""
    zone_of(zone)
    weekly: list[Weekly] = []
    dates: list[Span] = []
    for text in texts:
        if _DATE.match(text.strip()):
            dates.append(_dates(text, zone))
        else:
            weekly.append(_weekly(text))
    if not weekly and not dates:
        raise BadCalendar(f"no times are given; write {EXAMPLES}")
    return Period(zone=zone, weekly=tuple(weekly), dates=tuple(dates))


def _dates(text: str, zone: str) -> Span:
    first, to, last = text.strip().partition(" to ")
    last = last.strip() if to else first
    begin, end = parse_moment(first, zone), parse_moment(last, zone)
    if _DATE.fullmatch(last):
        whole = datetime.combine(date.fromisoformat(last) + timedelta(days=1), time())
        end = epoch_of(whole.replace(tzinfo=zone_of(zone)))
    if end <= begin:
        raise BadCalendar(f"{text!r} ends before it begins")
    return begin, end


def _weekly(text: str) -> Weekly:
    words = text.lower().split()
    if not 1 <= len(words) <= 2:
        raise BadCalendar(f"{text!r} cannot be read; write {EXAMPLES}")
    hours = words.pop() if ":" in words[-1] else ""
    days = _days(words[0], text) if words else frozenset(range(7))
    if not hours:
        return Weekly(days, 0, MINUTES)
    first, dash, last = hours.partition("-")
    if not dash:
        raise BadCalendar(f"{text!r} has no end; write {EXAMPLES}")
    begin, end = _minutes(first, text), _minutes(last, text)
    if begin in (MINUTES, end):
        raise BadCalendar(f"{text!r} is empty; whole days have no hours")
    return Weekly(days, begin, end if end > begin else end + MINUTES)


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            begin = DAYS.index(first)
            end = DAYS.index(last) if dash else begin
        except ValueError:
            known = ", ".join(DAYS)
            raise BadCalendar(f"{whole!r} has a wrong day {part!r}; days are {known}") from None
        found.update(number % 7 for number in range(begin, end + 1 if end >= begin else end + 8))
    return frozenset(found)


def _minutes(text: str, whole: str) -> int:
    match = _CLOCK.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2]) if match else MINUTES + 1
    if match is None or minutes > MINUTES or int(match[2]) > 59:
        raise BadCalendar(f"{whole!r} has a wrong time {text!r}; write 00:00 to 24:00")
    return minutes


def _chunk(moment: float) -> int:
    return int(moment // _CHUNK)


@lru_cache(maxsize=4096)
def _spans(period: Period, chunk: int) -> tuple[list[float], list[float]]:
    """The begins and the ends of the spans that touch a chunk of days, merged and in order. Those
    that run on at its edges are followed for a week."""
    begin, end = chunk * _CHUNK - _MARGIN, (chunk + 1) * _CHUNK + _MARGIN
    found: list[Span] = []
    for span in sorted((*period.dates, *_occurrences(period, begin, end))):
        if span[1] <= begin or span[0] >= end or span[0] >= span[1]:
            continue
        if found and span[0] <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], span[1]))
        else:
            found.append(span)
    return [span[0] for span in found], [span[1] for span in found]


def _occurrences(period: Period, begin: float, end: float) -> Iterator[Span]:
    if not period.weekly:
        return
    zone = zone_of(period.zone)
    day = datetime.fromtimestamp(begin, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end, zone).date()
    while day <= last:
        for weekly in period.weekly:
            if day.weekday() in weekly.days:
                yield _local(day, weekly.begin, period.zone), _local(day, weekly.end, period.zone)
        day += timedelta(days=1)


@cache
def _clock(minutes: int) -> tuple[int, time]:
    days, rest = divmod(minutes, MINUTES)
    return days, time(*divmod(rest, 60))


def _local(day: date, minutes: int, zone: str) -> float:
    days, clock = _clock(minutes)
    local = datetime.combine(day + timedelta(days=days), clock, tzinfo=zone_of(zone))
    return epoch_of(local)
