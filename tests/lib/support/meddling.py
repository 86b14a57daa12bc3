"""All that meddles with a story of many lives: people, operators, outages, a bad disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import trio

from nessus_sched.core.scanner import (
    CertificateMismatch,
    DiskFull,
    LaunchRefused,
    LicenseExpired,
    LoginRefused,
    NoPlugins,
    PermissionDenied,
    ScannerError,
    ScanStatus,
    Unreachable,
)
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError
from nessus_sched.core.task import Task
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.scheduler.operator import RunningScans, ScannerSwitch
from nessus_sched.scheduler.waiting import WAITS
from support.fake_scanner import FakeScan, FakeScanner
from support.seals import task_of
from support.trouble import Trouble, kinds_for
from support.world import World

if TYPE_CHECKING:
    from support.life_story import Story

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
OUTAGES: tuple[ScannerError, ...] = (
    Unreachable("no connection to the scanner"),
    LoginRefused("the password has expired"),
    CertificateMismatch("another certificate"),
)


class DiskFullPerhaps(DiskFull):
    """Like a 5xx, after which a scan may run all the same."""

    in_doubt = True


REFUSALS: tuple[ScannerError, ...] = (
    LicenseExpired("the license has expired"),
    PermissionDenied("no right to scan"),
    NoPlugins("there are no plugins"),
    LaunchRefused("scans are not launched"),
    DiskFullPerhaps("no space left"),
)
"""Of a scanner that answers everything else."""


async def quietly(command: Callable[..., Awaitable[object]], *args: str, **kwargs: Any) -> bool:
    """Gives a command that may well be impossible now; whether it was possible."""
    try:
        await command(*args, **kwargs)
    except RequestError:
        return False
    return True


class Nothing:
    """Neither findings nor exports: housekeeping is here for the scans."""

    async def imports(self) -> dict[str, float]:
        return {}

    async def vacuum_deleted(self) -> None:
        pass

    def older_than(self, _before: float) -> tuple[str, ...]:
        return ()


async def sweep(w: World) -> int:
    """Housekeeping; how many scans it removed from the scanners."""

    async def in_line(work: Callable[..., object], *args: object) -> object:
        return work(*args)

    nothing: Any = Nothing()
    keeper = Housekeeping(w.context, w.fleet, nothing, nothing, run_sync=in_line)
    return (await keeper.sweep())["scans"]


class Meddling:
    """Every meddler acts at random times, as far as the story's hazards allow it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.random = Random(story.random.randrange(2**32))
        self.created = trio.lowlevel.ParkingLot()
        """Those who wait for a scan to be created on some scanner."""

    async def with_scanners(self) -> None:
        """What happens to the scanners, whether the daemon lives or not."""
        async with trio.open_nursery() as nursery:
            for scanner in self.story.scanners.values():
                if self.story.hazards.trouble:
                    scanner.fault = self._fault
                    scanner.arrives_anyway = self._arrives_anyway
                if self.story.hazards.outages:
                    nursery.start_soon(self._outages, scanner)
                if self.story.hazards.people:
                    nursery.start_soon(self._people, scanner)
            if self.story.hazards.clock:
                nursery.start_soon(self._sets_the_clock)
            if self.story.hazards.lost:
                lost = self.random.choice(list(self.story.scanners.values()))
                nursery.start_soon(self._loses, lost)
            await trio.sleep_forever()

    def meddlers(self) -> Sequence[Callable[[World], Awaitable[None]]]:
        """What happens to a life of the daemon."""
        hazards = self.story.hazards
        found: list[Callable[[World], Awaitable[None]]] = [
            self._submitters,
            self._hasty_submitters,
            self._tidy,
        ]
        if hazards.operators:
            found.append(self._operators)
        if hazards.reloads:
            found.append(self._reloads)
        if hazards.disk:
            found.append(self._disk)
        return found

    def pacify(self) -> None:
        self.story.life.disk_fails = False
        self.story.ahead = 0.0
        for scanner in self.story.scanners.values():
            scanner.fault = lambda _request: None
            scanner.down = scanner.refusal = None
            scanner.loading_until = float("-inf")
            scanner.max_scans = None
            scanner.info_answer = attrs.evolve(scanner.info_answer, max_scans=None)

    async def switch_everything_on(self, w: World) -> None:
        await w.fleet.apply(self.story.config)
        for settings in self.story.config.scanners:
            await w.operator.switch(settings.id, ScannerSwitch.UNDRAIN, actor="peace")
            await w.operator.switch(settings.id, ScannerSwitch.ENABLE, actor="peace")
        await w.operator.resume_all(actor="peace")

    async def _now_and_then(self, every: float) -> None:
        await trio.sleep(self.random.expovariate(self.story.haste / every))
        if self.story.peace:
            await trio.sleep_forever()

    def _fault(self, request: str) -> Trouble | None:
        if self.random.random() >= self.story.hazards.trouble:
            return None
        return self.random.choice(kinds_for(request, self.random))

    def _arrives_anyway(self) -> float | None:
        return self.random.choice([None, 0.0, 3.0])

    async def _outages(self, scanner: FakeScanner) -> None:
        while True:
            await self._now_and_then(15 * MINUTE)
            match self.random.randrange(4):
                case 0:
                    self._restart(scanner, self.random.choice([0.0, MINUTE, 20 * MINUTE]))
                case 1:
                    scanner.add_foreign("someone's", self.random.uniform(0, 20 * MINUTE))
                case 2:
                    scanner.refusal = self.random.choice(REFUSALS)
                    await self._now_and_then(20 * MINUTE)
                    scanner.refusal = None
                case _:
                    scanner.down = self.random.choice(OUTAGES)
                    scanner.silent_since = scanner.silent_since or trio.current_time()
                    await self._now_and_then(10 * MINUTE)
                    scanner.down = None

    async def _loses(self, scanner: FakeScanner) -> None:
        """Once, for up to two days; what runs there runs on, or is aborted meanwhile."""
        await trio.sleep(self.random.uniform(0, self.story.lasts))
        lasts = self.random.choice([20 * MINUTE, 2 * HOUR, 2 * DAY])
        scanner.lost_until = scanner.now() + lasts
        scanner.silent_since = trio.current_time()
        self._happened("lost in mid-scan", len(scanner.active()))
        if self.random.random() < 0.5:
            await trio.sleep(self.random.uniform(0, lasts))
            self._restart(scanner)

    def _restart(self, scanner: FakeScanner, loading: float = 0.0) -> None:
        """Aborts what runs there, and what is paused."""
        aborted = [task_of(scan) for scan in scanner.active() if scan.ours]
        self._happened("aborted", len(aborted))
        self._happened(
            "aborted while paused", sum(map(self.story.judge.paused.__contains__, aborted))
        )
        scanner.restart(loading=loading)

    def _happened(self, what: str, times: int = 1) -> None:
        self.story.judge.happened[what] += times

    async def _sets_the_clock(self) -> None:
        """Of the daemon's machine, whether the daemon runs or not."""
        while True:
            await self._now_and_then(10 * MINUTE)
            ahead = self.random.choice([-1, 1]) * self.random.uniform(HOUR, DAY)
            if self.story.clock_can_be_set:
                self.story.ahead = ahead
            running = [scan for each in self.story.scanners.values() for scan in each.active()]
            self._happened("clock set in mid-scan" if running else "clock set")

    async def _people(self, scanner: FakeScanner) -> None:
        while True:
            await self._now_and_then(6 * MINUTE)
            ours = [each for each in scanner.scans.values() if each.ours]
            active = [each for each in scanner.active() if each.ours]
            if ours:
                self._meddle(scanner, self.random.choice(active or ours))

    def _meddle(self, scanner: FakeScanner, scan: FakeScan) -> None:
        scanner.pass_time()
        choice = self.random.randrange(5)
        if choice == 0 and scan.status is ScanStatus.RUNNING:
            scanner.set_status(scan, ScanStatus.PAUSED)
        elif choice == 1 and scan.status is ScanStatus.PAUSED:
            scanner.set_status(scan, ScanStatus.RUNNING)
            self.story.judge.resumes(task_of(scan))
        elif choice == 2 and scan.status in {ScanStatus.RUNNING, ScanStatus.PAUSED}:
            self._happened("stopped by a person")
            scanner.set_status(scan, ScanStatus.STOPPED)
        elif choice == 3:
            scanner.remove(scan)
        elif choice == 4:
            scanner.rename(scan, f"someone's {scan.scan_id}")

    async def _submitters(self, w: World) -> None:
        """Submitters who change their minds."""
        while True:
            await self._now_and_then(2 * MINUTE)
            if not self.story.judge.acknowledged:
                continue
            task_id = self.random.choice(list(self.story.judge.acknowledged.values()))
            busy = [run for driver in w.fleet.drivers.values() for run in driver.runs]
            if busy and self.random.random() < 0.5:
                task_id = self.random.choice(busy)
            await self._command(w, task_id, ["cancel", "pause", "resume", "retry_dead"])

    async def _hasty_submitters(self, w: World) -> None:
        """Submitters who change their minds just when a scan has been created."""
        while True:
            await self.created.park()
            runs = [run for driver in w.fleet.drivers.values() for run in driver.runs.values()]
            launching = [run.task for run in runs if run.task.state is TaskState.LAUNCHING]
            if launching and self.random.random() < 0.2:
                self._happened("changed mind at the launch")
                task_id = self.random.choice(launching).task_id
                await self._command(w, task_id, ["cancel", "pause"])

    async def _command(self, w: World, task_id: str, commands: Sequence[str]) -> None:
        judge, command = self.story.judge, self.random.choice(commands)
        if command == "cancel":
            judge.cancel_asked.add(task_id)
        if command == "resume":
            judge.resumes(task_id)
        judge.paused.pop(task_id, None)
        more: dict[str, Any] = {}
        if command == "cancel" and self.random.random() < 0.2:
            more["discard"] = True
            judge.discarded.add(task_id)
        done = await quietly(getattr(w.service, command), task_id, actor="submitter", **more)
        self._happened(f"asked:{command}:{done}")
        if command == "pause" and done:
            judge.paused[task_id] = trio.current_time()
            await self._after_a_pause(await w.task(task_id))

    async def _after_a_pause(self, task: Task) -> None:
        """Now and then its scanner aborts it: it must not be launched again for that."""
        self._happened("paused while it waited", task.state in WAITS)
        scanner = self.story.scanners.get(task.scanner_instance or "")
        if scanner is not None and self.story.hazards.outages and self.random.random() < 0.3:
            await trio.sleep(self.random.uniform(0.0, 3 * MINUTE))
            self._restart(scanner)

    async def _tidy(self, w: World) -> None:
        while True:
            await self._now_and_then(5 * MINUTE)
            with suppress(StoreError):
                await sweep(w)

    async def _operators(self, w: World) -> None:
        while True:
            await self._now_and_then(8 * MINUTE)
            scanner_id = self.random.choice(self.story.config.scanners).id
            await quietly(
                w.operator.switch, scanner_id, self.random.choice(list(ScannerSwitch)), actor="op"
            )
            if self.random.random() < 0.2:
                running = self.random.choice(list(RunningScans))
                if running is RunningScans.STOP:
                    self.story.judge.cancel_asked.update(self.story.judge.acknowledged.values())
                await quietly(w.operator.pause_all, running, actor="op")
                await self._now_and_then(5 * MINUTE)
                await quietly(w.operator.resume_all, actor="op")

    async def _reloads(self, w: World) -> None:
        """Limits raised and lowered, a scanner taken out and put back, a new password."""
        while True:
            await self._now_and_then(10 * MINUTE)
            scanners = [
                attrs.evolve(
                    each,
                    max_concurrent_scans=self.random.randint(1, 3),
                    timeout=self.random.choice([30.0, 60.0]),
                )
                for each in self.story.config.scanners
            ]
            for each in scanners:
                limits = self.story.judge.limits
                limits[each.id] = max(limits[each.id], each.max_concurrent_scans)
            self.story.config = attrs.evolve(self.story.config, scanners=tuple(scanners))
            out = self.random.randrange(len(scanners))
            if self.random.random() < 0.5:
                fewer = scanners[:out] + scanners[out + 1 :]
                await w.fleet.apply(attrs.evolve(self.story.config, scanners=tuple(fewer)))
                await trio.sleep(self.random.choice([0.0, 0.01, MINUTE, 10 * MINUTE]))
            await w.fleet.apply(self.story.config)

    async def _disk(self, _w: World) -> None:
        life = self.story.life
        while True:
            await self._now_and_then(10 * MINUTE)
            life.disk_fails = True
            await self._now_and_then(2 * MINUTE)
            life.disk_fails = False
