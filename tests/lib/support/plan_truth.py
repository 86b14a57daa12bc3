"""Plans that are made in the course of a simulated year, compared with what then happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import attrs

from nessus_sched.core.calendar.plan import Interval, Planned, plan
from nessus_sched.core.calendar.playing import Job
from nessus_sched.core.parts import PartSizes
from nessus_sched.core.pool import outlook
from support.calendar_programme import BEGIN, models, timetable, wanted
from support.calendar_year import DAY, CalendarYear, Life

SIZES = PartSizes(duration=1800.0, minimum=64, maximum=4096, most=1000)
"""Of no account: what is planned here is not split."""


@attrs.frozen
class Guess:
    """An interval, and what came true."""

    interval: Interval
    truth: float
    made: float

    @property
    def holds(self) -> bool:
        return self.interval.low - 1 <= self.truth <= self.interval.high + 1

    @property
    def certain(self) -> bool:
        """It is a single moment, such as that of a firing for which a slot is sure to be free."""
        return self.interval.high - self.interval.low < 1


def share(guesses: Sequence[Guess]) -> float:
    """Of those that hold."""
    return sum(each.holds for each in guesses) / max(1, len(guesses))


class Planner:
    """Plans a day ahead at given moments."""

    def __init__(self, year: CalendarYear, moments: list[float]) -> None:
        self.year = year
        self.made: list[tuple[float, list[Planned]]] = []
        for moment in moments:
            year.at(moment, self._plan)

    def _plan(self) -> None:
        year = self.year
        jobs: list[Job] = []
        for task_id, percent in year.progress():
            year.pool.progressed(task_id, percent, year.now)
        jobs += [
            outlook.waiting_job(year.pool, year.lives[task_id].task, year.now, SIZES)
            for task_id in year.waiting
        ]
        until = year.now + DAY
        for schedule in year.schedules.values():
            jobs += outlook.firings(year.pool, schedule, year.now, SIZES, until=until, most=200)
        series = {each.last_task or "": each.schedule_id for each in year.schedules.values()}
        slots = outlook.slots(year.pool, year.now, series)
        found = plan(jobs, slots, year.timetable, year.now)
        self.made.append((year.now, found))

    def guesses(self) -> tuple[list[Guess], list[Guess]]:
        """Of starts and of ends, once the year is over. Without those of tasks that were skipped
        or canceled."""
        starts, ends = [], []
        for made, planned, life in self._lived():
            began = next((each.end for each in life.waits if each.end >= made), None)
            if planned.start is None or planned.end is None or began is None or life.ended is None:
                continue
            starts.append(Guess(planned.start, began, made))
            ends.append(Guess(planned.end, life.ended, made))
        return starts, ends

    def _lived(self) -> Iterator[tuple[float, Planned, Life]]:
        lives = {outlook.key_of(life.task): life for life in self.year.lives.values()}
        for made, plans in self.made:
            for planned in plans:
                life = lives.get(planned.job.key)
                if life is not None:
                    yield made, planned, life


def guesses(
    scanners: int, slots: int, schedules: int, days: int
) -> tuple[list[Guess], list[Guess]]:
    """Starts and ends that plans announced a day ahead, at random moments, once enough scans
    were measured."""
    random = Random(2)
    every = [wanted(number, random, days).schedule for number in range(schedules)]
    year = CalendarYear(models(scanners, slots, random), every, timetable(), begin=BEGIN, seed=2)
    measured = days // 3
    nights = range(measured, days, 1 + schedules // 100)
    planner = Planner(year, [BEGIN + (day + random.random()) * DAY for day in nights])
    year.run()
    return planner.guesses()
