"""A scanning programme in three zones: its schedules with all of their firings, its windows and
blackouts with the hours that they leave, counted apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import attrs

from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Missed, Overlap, Schedule
from nessus_sched.core.calendar.timetable import AtEnd, Rule, Timetable
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Priority, ScanKind, ScanRequest, Splitting
from support.calendar_hours import local
from support.calendar_year import DAY, HOUR, Model
from support.cron_oracle import Cron

FIRST = date(2027, 3, 1)
BEGIN = datetime(2027, 3, 1, tzinfo=ZoneInfo("UTC")).timestamp()
SITES = {
    "berlin": ("Europe/Berlin", "10.1"),
    "york": ("America/New_York", "10.2"),
    "sydney": ("Australia/Sydney", "10.3"),
}
HOLIDAYS = (
    datetime(2027, 12, 24, tzinfo=ZoneInfo("America/New_York")).timestamp(),
    datetime(2027, 12, 27, tzinfo=ZoneInfo("America/New_York")).timestamp(),
)
"""Of one site, a weekend of three days."""
EVENING = "19:00-07:00"
"""Asked for by some tasks."""
WESTERN = {"s0", "s7"}
"""Scanners with hours of their own."""


def allowed(site: str, between: bool, west: bool, started: bool) -> Callable[[float], bool]:
    """Whether a scan of the site may start, or go on if it has `started`."""
    zone = SITES[site][0]

    def holds(moment: float) -> bool:
        at = local(zone, moment)
        if at.weekday() < 5 and 8 <= at.hour < 18:
            return False
        if site == "berlin" and at.weekday() < 5 and 6 <= at.hour < 20:
            return False
        if site == "york" and HOLIDAYS[0] <= moment < HOLIDAYS[1]:
            return False
        if site == "york" and at.weekday() == 2 and 1 <= at.hour < 4 and not started:
            return False
        if between and 7 <= local("UTC", moment).hour < 19:
            return False
        hour = local("America/New_York", moment).hour
        return not west or hour >= 20 or hour < 9

    return holds


def timetable() -> Timetable:
    def rule(name: str, times: list[str], zone: str, **changes: object) -> Rule:
        return Rule(name=name, period=parse_period(times, zone), **changes)  # type: ignore[arg-type]

    networks = {site: parse_targets(f"{net}.0.0/16").ranges for site, (_, net) in SITES.items()}
    return Timetable(
        rules=(
            *(
                rule(
                    site, ["mon-fri 08:00-18:00"], zone, blackout=True, networks=networks[site],
                    at_end=AtEnd.STOP if site == "sydney" else AtEnd.PAUSE,
                )
                for site, (zone, _) in SITES.items()
            ),
            rule(
                "nights", ["mon-fri 20:00-24:00", "mon-fri 00:00-06:00", "sat,sun"],
                "Europe/Berlin", blackout=False, networks=networks["berlin"],
            ),
            rule(
                "holidays", ["2027-12-24 to 2027-12-26"], "America/New_York", blackout=True,
                networks=networks["york"],
            ),
            rule(
                "updates", ["wed 01:00-04:00"], "America/New_York", blackout=True,
                networks=networks["york"], at_end=AtEnd.RUN_ON,
            ),
            rule(
                "west", ["20:00-09:00"], "America/New_York", blackout=False,
                scanners=frozenset(WESTERN),
            ),
        )
    )  # fmt: skip


@attrs.frozen
class Wanted:
    """A schedule, with all of its firings from an independent source."""

    schedule: Schedule
    nominal: list[float]


def wanted(number: int, random: Random, days: int) -> Wanted:
    site = random.choice(list(SITES))
    zone, net = SITES[site]
    end = BEGIN + days * DAY
    kind = random.choices(["cron", "every", "at"], [7, 2, 1])[0]
    if kind == "cron":
        cron = Cron(
            minutes=(random.choice([0, 15, 30, 45, random.randrange(60)]),),
            hours=random.choice([(2,), (3,), (1,), (random.randrange(24),), (20,), (22,)]),
            days=None,
            months=None,
            weekdays=random.choice([None, ((random.randrange(7), None),), ((1, None), (4, None))]),
        )
        recurrence = Recurrence(cron=cron.expression, zone=zone, start=BEGIN)
        last = FIRST + timedelta(days=days + 2)
        found = cron.firings(FIRST - timedelta(days=2), last, ZoneInfo(zone))
    elif kind == "every":
        every = random.choice([12, 24, 36, 48]) * HOUR
        recurrence = Recurrence(every=every, start=BEGIN, zone=zone)
        found = [BEGIN + every * each for each in range(1, int(days * DAY / every) + 1)]
    else:
        at = BEGIN + random.randrange(days * 24 * 60) * 60.0
        recurrence = Recurrence(at=at, zone=zone, start=BEGIN)
        found = [at]
    request = ScanRequest(
        kind=random.choice([ScanKind.QUICK, ScanKind.BASIC, ScanKind.TRUSTED]),
        targets=(f"{net}.{number}.0/{random.choice([28, 28, 27, 26])}",),
        name=f"c{number}",
        split=Splitting.NEVER,
        priority=random.choices(list(Priority), [1, 8, 1])[0],
        between=f"{EVENING} (UTC)" if random.random() < 0.1 else None,
    )
    schedule = Schedule(
        schedule_id=f"c{number}", name=f"c{number}", recurrence=recurrence, request=request,
        actor="uid:1", created_at=BEGIN, decided=BEGIN, until=end,
        catch_up=random.choice([0, 1, 6]) * HOUR,
        missed=random.choice(list(Missed)), overlap=random.choice(list(Overlap)),
        jitter=random.choice([0.0, 0.0, 600.0, 3600.0]),
    )  # fmt: skip
    return Wanted(schedule, [each for each in found if BEGIN < each <= end])


def models(count: int, slots: int, random: Random) -> list[Model]:
    return [
        Model(
            spec=ScannerSpec(scanner_id=f"s{number}", limit=slots),
            slowness=random.uniform(0.7, 1.5),
            lag=random.choice([5.0, 20.0, 60.0, 240.0]),
        )
        for number in range(count)
    ]


def site_of(targets: tuple[str, ...]) -> str:
    return next(site for site, (_, net) in SITES.items() if targets[0].startswith(f"{net}."))


def stalls(random: Random, days: int) -> list[tuple[float, float]]:
    """Once a month nothing can fire, for minutes or for more than a day."""
    begins = [BEGIN + (day + random.random()) * DAY for day in range(9, days, 30)]
    lengths = [HOUR / 60, HOUR / 2, 3 * HOUR, 30 * HOUR]
    return [(begin, begin + lengths[n % len(lengths)]) for n, begin in enumerate(begins)]
