"""Weeks of a scanning programme in virtual time: schedules, windows and blackouts in three zones,
scanners that pause slowly, and a change of clocks; judged by hours that are counted apart."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from nessus_sched.config.calendar import BlackoutSettings, WindowSettings
from nessus_sched.config.schema import Config, PollingSettings, SchedulingSettings, TargetSettings
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Overlap, Schedule
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import ScanKind, ScanRequest, Submitter
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.scheduler.schedules import Schedules
from support.fake_scanner import FakeScanner
from support.world import EPOCH, World, scanner_settings, virtual_now, world

HOUR, DAY = 3600.0, 86400.0
BEGIN = datetime(2027, 3, 25, tzinfo=ZoneInfo("UTC")).timestamp()
"""Three days before clocks change in Europe, and after they did in America."""
SITES = {
    "berlin": ("Europe/Berlin", "10.1"),
    "york": ("America/New_York", "10.2"),
    "tokyo": ("Asia/Tokyo", "10.3"),
}
DAYS = float(os.environ.get("PROGRAMME_DAYS", "2"))
"""More by command, as the clocks change after three."""
LAG = 45.0
"""The longest that a scanner takes to pause a scan."""
SLACK = 20.0
"""Until the daemon sees that a scan runs which should not."""


def local(site: str, moment: float) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(SITES[site][0]))


def working_hours(site: str, moment: float) -> bool:
    """The blackout of every site: Monday to Friday from 8 to 18."""
    at = local(site, moment)
    return at.weekday() < 5 and 8 <= at.hour < 18


def nights(site: str, moment: float) -> bool:
    """The window of the first site: from 20 to 6."""
    return site != "berlin" or not 6 <= local(site, moment).hour < 20


def allowed(site: str, moment: float) -> bool:
    return not working_hours(site, moment) and nights(site, moment)


def config(tmp_path: Path) -> Config:
    return Config(
        state_directory=tmp_path,
        scanners=tuple(scanner_settings(f"s{number}", 2) for number in range(4)),
        targets=TargetSettings(allow=("10.0.0.0/8",)),
        scheduling=SchedulingSettings(max_runtime=3 * DAY),
        polling=PollingSettings(fastest=5.0, slowest=60.0),
        windows=(
            WindowSettings(
                name="nights", times=("20:00-06:00",), time_zone="Europe/Berlin",
                networks=("10.1.0.0/16",),
            ),
        ),
        blackouts=tuple(
            BlackoutSettings(
                name=site, times=("mon-fri 08:00-18:00",), time_zone=zone,
                networks=(f"{prefix}.0.0/16",),
            )
            for site, (zone, prefix) in SITES.items()
        ),
    )  # fmt: skip


def schedules(random: Random) -> list[Schedule]:
    """Ten for each site, with different days and hours, most of them at awkward times."""
    made = []
    for site, (zone, prefix) in SITES.items():
        for number in range(10):
            cron = f"{random.randrange(60)} {random.randrange(24)} * * {random.choice('*06135')}"
            request = ScanRequest(
                kind=ScanKind.BASIC, targets=(f"{prefix}.{number}.0/28",), name=site
            )
            made.append(
                Schedule(
                    schedule_id="", name=f"{site}-{number}", request=request, actor="uid:1",
                    recurrence=Recurrence(cron=cron, zone=zone, start=BEGIN),
                    submitter=Submitter(uid=1), created_at=BEGIN, decided=BEGIN, catch_up=HOUR,
                    overlap=random.choice([Overlap.SKIP, Overlap.QUEUE_ONE]),
                )
            )  # fmt: skip
    return made


@attrs.define
class Judge:
    """Looks at the scanners themselves every few seconds."""

    scanners: list[FakeScanner]
    wall: Callable[[], float]
    inside: dict[str, float] = attrs.field(factory=lambda: defaultdict(float))
    """For how long each scan has been running where it should not, without a break."""
    worst: float = 0.0
    scanned: Counter[str] = attrs.field(factory=Counter)

    async def watch(self, every: float = 10.0) -> None:
        while True:
            now = self.wall()
            for scanner in self.scanners:
                scanner.pass_time()
                for scan in scanner.scans.values():
                    if scan.order is None:
                        continue
                    site = scan.order.name.split()[0]
                    runs = scan.status is ScanStatus.RUNNING
                    self.scanned[site] += runs
                    wrong = runs and not allowed(site, now)
                    self.inside[scan.name] = self.inside[scan.name] + every if wrong else 0.0
                    self.worst = max(self.worst, self.inside[scan.name])
            await trio.sleep(every)


async def programme(w: World, judge: Judge, seed: int, days: float) -> Schedules:
    made = Schedules(w.context, w.service)
    async with trio.open_nursery() as nursery:
        for schedule in schedules(Random(seed)):
            await made.add(schedule)
        nursery.start_soon(made.run)
        nursery.start_soon(judge.watch)
        await trio.sleep(days * DAY)
        for schedule in made.all():
            await made.change(schedule.name, "uid:1", "paused", paused=True)
        await trio.sleep(DAY)  # what is left ends over a weekend at the latest
        nursery.cancel_scope.cancel()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
async def test_the_calendar_is_kept_and_nothing_starves(
    seed: int, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    random = Random(seed)
    now = virtual_now()
    found = {
        f"s{number}": FakeScanner(now, duration=lambda _order: random.uniform(0.2, 5) * HOUR)
        for number in range(4)
    }
    for scanner in found.values():
        scanner.lag = random.uniform(1, LAG)
    with capture_logs() as lines:
        async with world(config(tmp_path), found, clock_checks=15) as w:
            w.context.wall = lambda: BEGIN - EPOCH + now()
            judge = Judge(list(found.values()), w.context.wall)
            made = await programme(w, judge, seed, days=DAYS)
            page = await w.store.list(TaskFilter(), limit=100_000)
    assert {task.state for task in page.tasks} == {TaskState.COMPLETED}
    assert all(task.state in SETTLED for task in page.tasks)
    assert len(page.tasks) == sum(each.fired for each in made.all())
    assert len({(task.schedule.name, task.schedule.nominal) for task in page.tasks
                if task.schedule}) == len(page.tasks)  # fmt: skip
    assert all(count == 1 for scanner in found.values() for count in scanner.launches.values())
    assert judge.worst <= LAG + SLACK
    assert min(judge.scanned.values()) > 60 * DAYS
    reported = [line["seconds"] for line in lines if line["event"] == "window_overrun"]
    assert max(reported, default=0) <= LAG + SLACK
