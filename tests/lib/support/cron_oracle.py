"""Cron expressions as structures, and all of their firings by enumeration of days: knows nothing
of the library that the program uses."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import attrs

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@attrs.frozen(kw_only=True)
class Cron:
    """`minutes` and `hours` are None for `*`; days of the month may include `L`; days of the week
    are (day, nth) with nth None for all, -1 for the last, Sunday 0."""

    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int | str, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[tuple[int, int | None], ...] | None

    @property
    def expression(self) -> str:
        weekdays = None
        if self.weekdays is not None:
            weekdays = [_weekday(day, nth) for day, nth in self.weekdays]
        fields = (self.minutes, self.hours, self.days, self.months, weekdays)
        return " ".join("*" if each is None else ",".join(map(str, each)) for each in fields)

    def on(self, day: date) -> bool:
        if self.months is not None and day.month not in self.months:
            return False
        of_month, of_week = self._of_month(day), self._of_week(day)
        if self.days is None or self.weekdays is None:
            return of_month and of_week
        return of_month or of_week

    def _of_month(self, day: date) -> bool:
        last = calendar.monthrange(day.year, day.month)[1]
        return self.days is None or day.day in self.days or ("L" in self.days and day.day == last)

    def _of_week(self, day: date) -> bool:
        if self.weekdays is None:
            return True
        week, last = (day.day - 1) // 7 + 1, (day + timedelta(7)).month != day.month
        return any(
            (day.weekday() + 1) % 7 == wanted and (nth is None or nth == week or (nth < 0 and last))
            for wanted, nth in self.weekdays
        )

    def firings(self, first: date, end: date, zone: ZoneInfo) -> list[float]:
        """Of a fixed time of day, from `first` to before `end` in local days."""
        assert self.minutes is not None
        assert self.hours is not None
        found = set()
        for number in range((end - first).days):
            day = first + timedelta(number)
            if self.on(day):
                found |= {
                    _instant(datetime.combine(day, time(hour, minute)), zone)
                    for hour in self.hours
                    for minute in self.minutes
                }
        return sorted(found)

    def elapsed_firings(self, first: float, end: float, zone: ZoneInfo) -> list[float]:
        """Of one with `*` as minute or hour, minute by minute of elapsed time."""
        found = []
        for moment in range(int(first), int(end), 60):
            local = datetime.fromtimestamp(moment, zone)
            if (
                (self.minutes is None or local.minute in self.minutes)
                and (self.hours is None or local.hour in self.hours)
                and self.on(local.date())
            ):
                found.append(float(moment))
        return found


def crons(random: Random, count: int, *, fixed: bool) -> Iterator[Cron]:
    for _ in range(count):
        hours: tuple[int, ...] | None = _some(random, range(24), 2)
        minutes: tuple[int, ...] | None = _some(random, range(60), 2)
        if not fixed:
            hours = random.choice([None, hours])
            minutes = minutes if hours is None else None
        days: tuple[int | str, ...] | None = random.choice(
            [None, None, _some(random, range(1, 32), 3), ("L",)]
        )
        weekdays = [(random.randrange(7), random.choice([None, None, -1, 1, 2, 3, 4]))
                    for _ in range(random.randint(1, 3))]  # fmt: skip
        yield Cron(
            minutes=minutes,
            hours=hours,
            days=days,
            months=random.choice([None, None, _some(random, range(1, 13), 4)]),
            weekdays=random.choice([None, tuple(weekdays)]),
        )


def transitions(zone: ZoneInfo, first: date, end: date) -> list[float]:
    """The days in which the zone's offset changes, as moments in UTC."""
    found, day = [], datetime.combine(first, time(), UTC)
    while day.date() < end:
        after = day + timedelta(1)
        if day.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            found.append(day.timestamp())
        day = after
    return found


def _instant(local: datetime, zone: ZoneInfo) -> float:
    """The first moment with that local time, or the first one after the gap in which it would be:
    found minute by minute."""
    wanted = local
    while True:
        for fold in (0, 1):
            aware = wanted.replace(tzinfo=zone, fold=fold)
            back = aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
            if back == wanted:
                return aware.timestamp()
        wanted += timedelta(minutes=1)


def _some(random: Random, values: range, most: int) -> tuple[int, ...]:
    return tuple(sorted(random.sample(values, random.randint(1, most))))


def _weekday(day: int, nth: int | None) -> str:
    if nth is None:
        return DAYS[day]
    return f"{day}L" if nth < 0 else f"{DAYS[day]}#{nth}"
