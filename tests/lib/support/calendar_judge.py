"""Judges a simulated year by firings and hours that were counted apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import attrs

from nessus_sched.core.task import Task
from support.calendar_hours import Hours
from support.calendar_programme import (
    BEGIN,
    FIRST,
    HOLIDAYS,
    SITES,
    WESTERN,
    Wanted,
    allowed,
    models,
    site_of,
    stalls,
    timetable,
    wanted,
)
from support.calendar_year import DAY, NEXT_LOOK, CalendarYear
from support.cron_oracle import transitions


@attrs.define
class Judge:
    year: CalendarYear
    wanted: list[Wanted]
    days: int
    hours: dict[tuple[str, bool, bool, bool], Hours] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        first, last = BEGIN - 2 * DAY, BEGIN + (self.days + 40) * DAY
        switches = [False, True]
        for key in product(SITES, switches, switches, switches):
            self.hours[key] = Hours.where(allowed(*key), first, last)

    def hours_of(self, task: Task, scanner_id: str = "", *, started: bool = False) -> Hours:
        own = task.request.between is not None
        return self.hours[site_of(task.request.targets), own, scanner_id in WESTERN, started]

    def firings(self) -> None:
        """Each has one task, or a reason."""
        fired, skipped = defaultdict(list), defaultdict(list)
        for name, nominal, _ in self.year.fired:
            fired[name].append(nominal)
        for name, firing in self.year.skipped:
            assert firing.reason
            skipped[name].append(firing)
        for each in self.wanted:
            name = each.schedule.name
            earlier = [firing for firing in skipped[name] if "earlier firing" in firing.reason]
            told = [firing.nominal for firing in skipped[name] if firing not in earlier]
            accounted = Counter(fired[name] + told)
            assert set(accounted.values()) <= {1}, name
            missing = set(each.nominal) - set(accounted)
            assert set(accounted) <= set(each.nominal), name
            assert len(missing) == sum(int(firing.reason.split()[0]) for firing in earlier), name
            delay = each.schedule.delay
            assert all(
                any(begin <= nominal + delay < end for begin, end in self.year.stalls)
                for nominal in missing
            )

    def overruns(self) -> tuple[float, float]:
        """Nothing starts where it may not, or runs there for longer than pausing or stopping it
        took; and what does is reported. Returns seconds in blackouts, and those of pausing."""
        reported = defaultdict(list)
        for task_id, at, seconds in self.year.reported:
            reported[task_id].append((at, seconds))
        inside = taken = 0.0
        for each in self.year.segments:
            hours = self.hours_of(each.task, each.scanner_id, started=True)
            over = hours.forbidden(each.begin, each.end)
            inside, taken = inside + over, taken + each.lag
            if not over:
                continue
            assert over <= each.lag, each
            assert any(
                0 <= at - each.end <= NEXT_LOOK and abs(seconds - over) <= NEXT_LOOK
                for at, seconds in reported[each.task.task_id]
            ), each
        return inside, taken

    def starts(self) -> None:
        """None is where it may not be, and none waits beyond the next weekend, in which everything
        has the time that it needs; holidays may take up one."""
        for life in self.year.lives.values():
            for wait in life.waits:
                assert self.hours_of(life.task, wait.scanner_id).allows(wait.end), life
                weekends = 2 if wait.begin < HOLIDAYS[1] and wait.end > HOLIDAYS[0] else 1
                assert wait.end - wait.begin < weekends * 7 * DAY, life

    def changes_of_clocks(self) -> None:
        """Something fires within hours of each."""
        last = FIRST + timedelta(days=self.days)
        zones = {each.schedule.schedule_id: each.schedule.recurrence.zone for each in self.wanted}
        for zone, _ in SITES.values():
            for day in transitions(ZoneInfo(zone), FIRST, last):
                assert any(
                    zones[name] == zone and day <= nominal < day + DAY
                    for name, nominal, _ in self.year.fired
                ), (zone, day)


def played(days: int, seed: int, *, scanners: int, schedules: int) -> Judge:
    """So many days of schedules in three zones, on scanners of one slot that stall now and then."""
    random = Random(seed)
    every = [wanted(number, random, days) for number in range(schedules)]
    year = CalendarYear(
        models(scanners, 1, random),
        [each.schedule for each in every],
        timetable(),
        begin=BEGIN,
        seed=seed,
        stalls=stalls(random, days),
    )
    year.run()
    return Judge(year, every, days)
