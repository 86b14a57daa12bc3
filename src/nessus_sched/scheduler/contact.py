"""Contact with one scanner: polls, readiness, the breaker's probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from nessus_sched.core.breaker import BreakerState
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import (
    OCCUPIES,
    NoCapacity,
    NotReady,
    RemoteScan,
    ScannerError,
    ScannerInfo,
)
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.registry import configure_pool
from nessus_sched.scheduler.tidings import Tidings
from nessus_sched.scheduler.watching import refresh

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

SLACK = 0.1
"""The wait between polls as a share of the time since something last changed: fast after
a change, slower the longer a scan takes."""
PROGRESS_SHARE = 5
"""Progress is read this many times less often than the list: it costs one request a scan."""


class Contact:
    """Asks the scanner, once for all its scans, and tells pool and runs what it said.

    Invariant: `trouble` is None exactly while the latest exchange with the scanner was
    fine and it was ready.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._context = driver.context
        self.info: ScannerInfo | None = None
        self.trouble: str | None = "not contacted yet"
        self.since = self._context.now()
        """When `trouble` last changed between None and something, epoch seconds."""
        self.reached_at: float | None = None
        self._info_at = -math.inf
        self._changed_at = self._context.now()
        self._rows: dict[int, str] = {}
        self._look = trio.Event()
        self._usable = trio.Event()
        self._tidings = Tidings(driver.log)

    async def keep(self) -> None:
        """Keeps in contact until cancelled."""
        while True:
            self._look = trio.Event()
            await self._turn()
            with trio.move_on_after(self._pause()):
                await self._look.wait()

    def look_soon(self) -> None:
        """Something has just changed there: poll fast again."""
        self._changed_at = self._context.now()
        self._look.set()

    def start_over(self) -> None:
        """The way to the scanner has changed: what was known of it may be wrong."""
        self.info = None
        self._info_at = -math.inf
        self._context.pool.succeeded(self._id, self._context.now())
        self.look_soon()

    async def usable(self) -> None:
        """Returns when the latest exchange was fine: at once, or after the next that is."""
        while self.trouble is not None:
            await self._usable.wait()

    def troubled(self, error: ScannerError) -> None:
        """Takes note of an exchange that failed."""
        now = self._context.now()
        pool, polling, scanner_id = self._context.pool, self._context.config.polling, self._id
        if isinstance(error, NoCapacity):
            pool.hold(scanner_id, now + polling.slowest, str(error), now)
            return
        self._tidings.troubled(error, round(now - self.since, 1))
        if self.trouble is None:
            self._usable = trio.Event()
            self.since = now
        self.trouble = str(error)
        self._info_at = -math.inf
        if isinstance(error, NotReady):
            pool.hold(scanner_id, now + polling.probe, str(error), now)
        else:
            pool.failed(scanner_id, now, str(error), trip=not error.transient)
        self._tidings.breaker(pool.breaker(scanner_id))

    @property
    def _id(self) -> str:
        return self._driver.id

    async def _turn(self) -> None:
        """One exchange, or none while the breaker is open and no probe is due."""
        pool, now = self._context.pool, self._context.now()
        if pool.breaker(self._id).state is BreakerState.CLOSED:
            await self._talk()
        elif pool.begin_probe(self._id, now):
            self._tidings.breaker(pool.breaker(self._id))
            try:
                await self._talk()
            finally:
                pool.abandon_probe(self._id, self._context.now())

    def _pause(self) -> float:
        """Seconds until the next exchange."""
        now, polling = self._context.now(), self._context.config.polling
        if self.trouble is not None:
            breaker = self._context.pool.breaker(self._id)
            if breaker.probe_at is not None:
                return max(0.0, breaker.probe_at - now)
            return backoff(
                max(1, breaker.failures),
                base=polling.fastest,
                maximum=polling.slowest,
                random=self._context.random,
            )
        if not self._driver.runs:
            return polling.slowest
        return min(polling.slowest, max(polling.fastest, SLACK * (now - self._changed_at)))

    async def _talk(self) -> None:
        try:
            await self._read_info()
            rows = await self._driver.scanner.list_scans()
        except ScannerError as error:
            self.troubled(error)
            return
        self._reached(rows)
        await self._read_progress()

    async def _read_info(self) -> None:
        now = self._context.now()
        if now - self._info_at < self._context.config.polling.info:
            return
        self.info = await self._driver.scanner.info()
        if not self.info.ready:
            percent = self.info.loading_percent
            told = "" if percent is None else f" ({percent} %)"
            raise NotReady(f"the scanner is loading its plugins{told}")
        self._info_at = now
        if self._context.licensed.get(self._id) != self.info.licensed_hosts:
            self._context.licensed[self._id] = self.info.licensed_hosts
            configure_pool(self._context)

    def _reached(self, rows: Sequence[RemoteScan]) -> None:
        now = self._context.now()
        driver, pool = self._driver, self._context.pool
        self.reached_at = now
        mine = {run.task.nessus_scan_id: run for run in driver.runs.values()}
        foreign = sum(row.status in OCCUPIES and row.scan_id not in mine for row in rows)
        max_scans = self.info.max_scans if self.info else None
        pool.succeeded(driver.id, now)
        self._tidings.breaker(pool.breaker(driver.id))
        pool.report(driver.id, now, max_scans=max_scans, foreign=foreign)
        if self.trouble is not None:
            self._tidings.usable(self.info, round(now - self.since, 1))
            self.trouble = None
            self.since = now
            self._usable.set()
        self._distribute(rows)
        driver.ring()

    def _distribute(self, rows: Sequence[RemoteScan]) -> None:
        seen = {row.scan_id: row for row in rows}
        mine = {run.task.nessus_scan_id for run in self._driver.runs.values()}
        statuses = {row.scan_id: row.status_text for row in rows if row.scan_id in mine}
        if statuses != self._rows:
            self._rows = statuses
            self._changed_at = self._context.now()
        for run in list(self._driver.runs.values()):
            scan_id = run.task.nessus_scan_id
            if scan_id is not None and run.task.state in {TaskState.RUNNING, TaskState.PAUSED}:
                run.observe(seen.get(scan_id))

    async def _read_progress(self) -> None:
        now = self._context.now()
        every = PROGRESS_SHARE * self._context.config.polling.fastest
        async with trio.open_nursery() as nursery:
            for run in self._driver.runs.values():
                if run.task.state is TaskState.RUNNING and now - run.details_at >= every:
                    run.details_at = now
                    nursery.start_soon(refresh, run, self._driver)
