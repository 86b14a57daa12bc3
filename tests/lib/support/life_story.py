"""A random story of many lives of the scheduler, told from a seed and judged by the ledger.

While the story lasts, submitters submit, people meddle with scans on the scanners,
operators switch and reload, scanners fail in every way they can, the disk fails, and the
daemon is killed and started again. Then peace comes: nothing fails any more, and
everything must come to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio
import trio.testing

from nessus_sched.config.schema import (
    Config,
    PollingSettings,
    RetentionSettings,
    SchedulingSettings,
)
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.task import OnEarlyEnd, Priority, RequestedState, ScanRequest
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScanner
from support.life_judge import Judge
from support.meddling import Meddling, quietly, sweep
from support.mortality import Life, make_reproducible, mortal, mortal_connect
from support.story_calendar import Closure, closures
from support.world import World, basic, config_of, scanner_settings, virtual_now, world

MINUTE = 60.0
HOUR = 3600.0
DAY = 24 * HOUR
PATIENCE = 3 * DAY
LOST_PACE = 12.0
HASTE = 3.0
TIDYING = 20 * MINUTE
"""Within which empty scans that nobody needs must be gone, when nothing else happens: a
scanner whose breaker was open last is looked at again after a quarter of an hour at most."""
NAMES = ("www.example.com", "mail.example.com")


@attrs.frozen(kw_only=True)
class Hazards:
    """How bad a story is: `trouble` is the share of requests that fail, `lives` how often
    the daemon is started while it lasts; the others say who meddles."""

    trouble: float = 0.0
    outages: bool = False
    people: bool = False
    operators: bool = False
    reloads: bool = False
    disk: bool = False
    lost: bool = False
    """Some scanner is lost for up to two days, also while peace has come."""
    clock: bool = False
    """The wall clock is set by hours, both ways, until peace has come."""
    calendar: bool = False
    """There are blackouts, and some tasks have deadlines."""
    splits: bool = False
    """Large requests run as several scans."""
    lives: int = 1

    @classmethod
    def of(cls, random: Random) -> Hazards:
        return cls(
            trouble=random.choice([0.0, 0.02, 0.1, 0.3]),
            outages=random.random() < 0.6,
            people=random.random() < 0.3,
            operators=random.random() < 0.4,
            reloads=random.random() < 0.3,
            disk=random.random() < 0.2,
            lives=random.choice([1, 2, 4, 8]),
            lost=random.random() < 0.4,
            clock=random.random() < 0.3,
        )


class Story:
    """`fatal` are the steps at which a life is killed, counted over all lives: a moment
    before or after a commit or a request to a scanner takes effect. `steps` says in the
    end how many there were before peace came."""

    def __init__(
        self,
        seed: int,
        directory: Path,
        *,
        hazards: Hazards | None = None,
        tasks: int = 10,
        lasts: float = HOUR,
        fatal: Collection[int] = (),
    ) -> None:
        self.random = random = Random(seed)
        self.draw = Random(f"{seed} split")
        """For what stories from before it existed must not be changed by."""
        self.seed = seed
        self.calendar = Random(f"{seed} calendar")
        self.hazards = hazards or attrs.evolve(
            Hazards.of(random),
            splits=self.draw.random() < 0.4,
            calendar=self.calendar.random() < 0.3,
        )
        if hazards is None and self.hazards.calendar and self.calendar.random() < 0.8:
            # Launches are judged by the calendar only where its hours are what they seem.
            self.hazards = attrs.evolve(self.hazards, clock=False)
        self.pace = LOST_PACE if self.hazards.lost and lasts < HOUR else 1.0
        """How much more slowly things happen than usual: a scanner must have time to be lost."""
        self.haste = (1.0 if lasts >= HOUR else HASTE) / self.pace
        """How much more often meddlers meddle than usual."""
        self.lasts, self.fatal = lasts * self.pace, fatal
        self.steps = 0
        self.peace = False
        self.ahead = 0.0
        """Seconds that the wall clock is ahead of the time that passes."""
        self.clock_can_be_set = True
        self.life = Life()
        self.closures: list[Closure] = []
        self.config = self._config(directory)
        self.requests = {f"key-{n}": self._request() for n in range(tasks)}
        """All that will be asked for, by idempotency key."""
        self.scanners: dict[str, FakeScanner] = {}
        self.judge = Judge(self)
        self.meddling = Meddling(self)

    def tell(self) -> Counter[str]:
        """Plays and judges it; returns how often what happened."""
        make_reproducible(self.seed)
        trio.run(self._tell, clock=trio.testing.MockClock(autojump_threshold=0))
        assert not self.judge.broken, self.judge.broken[0]
        return self.judge.happened

    def world(self) -> AbstractAsyncContextManager[World]:
        """The daemon's heart, on the state that the lives before have left."""
        return world(
            self.config,
            self.scanners,
            seed=self.random.randrange(2**32),
            wall=self.now,
            connect=mortal_connect(self.life, self.step),
            resolve=lambda name: (f"192.0.2.{NAMES.index(name) + 1}",),
        )

    def now(self) -> float:
        """By the wall clock of the daemon."""
        return virtual_now()() + self.ahead

    def step(self, what: str, moment: str) -> None:
        if (what, moment) == ("create_scan", "after") and not self.peace:
            self.meddling.created.unpark_all()
        self.steps += not self.peace
        if self.steps in self.fatal and not self.peace:
            self.life.die()

    async def _tell(self) -> None:
        self.scanners = {each.id: self._scanner() for each in self.config.scanners}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.meddling.with_scanners)
            await self._lives()
            nursery.cancel_scope.cancel(reason="the story is told")
        await self._quiet()

    async def _lives(self) -> None:
        """One after the other; one that was killed at a fatal step has a successor. Peace
        comes while the last one lives, or finds it dead."""
        end = trio.current_time() + self.lasts
        while not self.peace:
            self.life = Life()
            async with mortal(self.life), self.world() as w:
                w.context.observers.append(self.judge.observe)
                if trio.current_time() < end:
                    await self._hard_times(w)
                if trio.current_time() >= end and self.random.random() < 0.5:
                    await self._peace(w)
                else:
                    self.life.die()
            await trio.sleep(self.random.choice([0.0, 1.0, 10 * MINUTE]))

    async def _hard_times(self, w: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._submit, w)
            for meddler in self.meddling.meddlers():
                nursery.start_soon(meddler, w)
            await trio.sleep(self.lasts / self.hazards.lives * self.random.uniform(0.1, 1.9))
            nursery.cancel_scope.cancel(reason="hard times are over")

    async def _peace(self, w: World) -> None:
        """Nothing fails any more; whoever waits for a person gets one."""
        self.peace = True
        self.meddling.pacify()
        await self.meddling.switch_everything_on(w)
        await self._submit(w)
        await self._all_settled(w)
        returns = max(each.lost_until for each in self.scanners.values()) - virtual_now()()
        await trio.sleep(max(0.0, returns) + TIDYING)
        assert not await w.store.owing(), "never cleaned up"
        await self.judge.the_end(w)

    async def _quiet(self) -> None:
        """A last life, in which nothing is left to do."""
        self.life = Life()
        before = self.judge.changes()
        async with self.world() as w:
            await trio.sleep(10 * MINUTE)
            await self.judge.the_end(w)
            while removed := await sweep(w):  # at most so many at a time
                self.judge.happened["removed"] += removed
            if not self.hazards.clock:
                # What was recorded while the clock was ahead is kept until time has caught up.
                self.judge.nothing_is_left()
            removals = Counter(delete=self.judge.changes()["delete"] - before["delete"])
            before += removals
        assert self.judge.changes() == before, "something was changed when all was settled"

    async def _all_settled(self, w: World) -> None:
        deadline = trio.current_time() + PATIENCE
        while waiting := [task async for task in w.store.unfinished()]:
            assert trio.current_time() < deadline, f"never settled: {waiting[0]}"
            for task in waiting:
                self.judge.check_held_up(w, task.task_id)
                if (await w.task(task.task_id)).desired is RequestedState.PAUSE:
                    self.judge.resumes(task.task_id)
                    await quietly(w.service.resume, task.task_id, actor="peace")
            await trio.sleep(2 * MINUTE)

    async def _submit(self, w: World) -> None:
        """Sends what was not acknowledged yet, again if need be."""
        for key, request in self.requests.items():
            if key in self.judge.acknowledged:
                continue
            await trio.sleep(self.random.expovariate(2 / MINUTE / self.pace))
            try:
                submission = await w.service.submit(request, actor="test", idempotency_key=key)
            except RequestError as error:
                self.judge.refused(error)
            else:
                self.judge.accepted(key, submission.view.task)

    def _config(self, directory: Path) -> Config:
        random = self.random
        scanners = [
            scanner_settings(f"scanner{n}", random.randint(1, 3))
            for n in range(random.randint(1, 3))
        ]
        if self.hazards.calendar:
            names = [each.id for each in scanners]
            self.closures = closures(self.calendar, self.lasts, names)
        return config_of(
            directory,
            *scanners,
            blackouts=tuple(each.settings(n) for n, each in enumerate(self.closures)),
            scheduling=SchedulingSettings(
                backoff_base=10.0,
                backoff_max=120.0,
                max_attempts=random.randint(1, 4),
                overlap_guard=random.random() < 0.8,
                max_runtime=random.choice([20 * MINUTE, 24 * HOUR]),
                **self._part_sizes(),
            ),
            retention=RetentionSettings(remote_scans=random.choice([0.0, 5 * MINUTE])),
            polling=PollingSettings(fastest=5.0, slowest=90.0),
        )

    def _request(self) -> ScanRequest:
        random = self.random
        named = random.random() < 0.3
        last = random.choice([random.randrange(1, 8), random.randrange(1, 250)])
        target = random.choice(NAMES) if random.random() < 0.1 else f"192.0.2.{last}"
        if self.hazards.splits and not named and self.draw.random() < 0.4:
            first = self.draw.randrange(1, 40)
            target = f"192.0.2.{first}-192.0.2.{first + self.draw.randrange(12, 40)}"
        elif not (self.hazards.splits and named) and self.draw.random() < 0.3:
            first = self.draw.randrange(1, 200)
            target = f"192.0.2.{first}-192.0.2.{first + self.draw.randrange(2, 10)}"
        return basic(
            target,
            scanner_instance=random.choice(self.config.scanners).id if named else None,
            priority=random.choice(list(Priority)),
            max_runtime=random.choice([None, None, None, 5 * MINUTE]),
            on_early_end=self.draw.choice([None, None, OnEarlyEnd.ROLL, OnEarlyEnd.KEEP]),
            deadline=self._deadline(),
        )

    def _deadline(self) -> str | None:
        if not self.hazards.calendar or self.calendar.random() < 0.7:
            return None
        return f"{self.calendar.choice([5, 20, 60]) * round(self.pace)}m"

    def _part_sizes(self) -> dict[str, Any]:
        """Small parts, so that requests with a dozen addresses are split."""
        if not self.hazards.splits:
            return {}
        least = self.draw.choice([1, 4])
        duration = Random(f"{self.seed} stragglers").choice([MINUTE, 30 * MINUTE])
        return {
            "part_min": least,
            "part_max": self.draw.choice([least, 8]),
            "part_duration": duration,
        }

    def _scanner(self) -> FakeScanner:
        random = self.random
        scanner = FakeScanner(
            virtual_now(), duration=self._duration, latency=random.choice([0.05, 2.0])
        )
        scanner.lag = random.choice([0.0, 20.0])
        scanner.max_scans = random.choice([None, None, 1, 3])
        if random.random() < 0.5:
            told = attrs.evolve(scanner.info_answer, max_scans=scanner.max_scans)
            scanner.info_answer = told
        scanner.step = self.step
        scanner.on_launch = self.judge.launched
        scanner.on_stop = self.judge.stopped
        scanner.tells_clock = lambda: -self.ahead
        return scanner

    def _duration(self, _order: ScanOrder) -> float:
        # Nothing starts right before a blackout: only long scans are caught by one.
        longer = 5.0 if self.hazards.calendar else 1.0
        return longer * self.pace * self.random.lognormvariate(self.random.choice([2.5, 5.0]), 1.0)
