"""Contact with one scanner: polls, readiness, the breaker's probes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import trio

from nessus_sched.config.schema import ApiKeys
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import (
    OCCUPIES,
    NoCapacity,
    NotReady,
    RemoteScan,
    Scanner,
    ScannerError,
    ScannerInfo,
    ScanStatus,
)
from nessus_sched.core.states import TaskState
from nessus_sched.core.suspension import SuspensionStatistics
from nessus_sched.scheduler.offers import read_offers
from nessus_sched.scheduler.pool_config import configure_pool
from nessus_sched.scheduler.refusals import suspicion
from nessus_sched.scheduler.watching import refresh
from nessus_sched.telemetry import events
from nessus_sched.telemetry.scanner_log import NOT_CONTACTED, ScannerLog

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

SLACK = 0.1
"""The wait between polls as a share of the time since something last changed: fast after
a change, slower the longer a scan takes."""
SLACK_WHEN_WANTED = 0.02
"""The same while something waits for the scanner: an end that is not seen is an idle slot."""
PROGRESS_SHARE = 5
"""Progress is read this many times less often than the list: it costs one request a scan."""

CLEARING = 60.0
"""Seconds at least between two clearings of scans that were never launched."""


class Contact:
    """Asks the scanner, once for all its scans, and tells pool and runs what it said.

    Invariant: `trouble` is None exactly while the latest exchange with the scanner was
    fine and it was ready.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._context = driver.context
        self.info: ScannerInfo | None = None
        self.trouble: str | None = NOT_CONTACTED
        self.trouble_kind: str | None = NOT_CONTACTED
        """The `kind` of the error behind `trouble`."""
        self.since = self._context.now()
        """When `trouble` last changed between None and something, epoch seconds."""
        self.reached_at: float | None = None
        self._known: ScannerInfo | None = None
        """What it said of itself last when it was ready."""
        self._harmless: ScannerInfo | None = None
        """What it said when a task was accepted, whatever that looked like."""
        self._own_word: ErrorKind | None = None
        """Why it will refuse, by what it says of itself now."""
        self._info_at = -math.inf
        self._changed_at = self._context.now()
        self._rows: dict[int, str] = {}
        self.attempts: Mapping[str, int] = {}
        """The latest attempt of each task that has a scan there, by the latest list."""
        self._cleared_at = -math.inf
        self._happened = trio.Event()
        self._troubled_at = -math.inf
        self._retry_after = 0.0
        self._due = False
        """Somebody waits for the next exchange."""
        self._scanner_log = ScannerLog(driver.log)

    async def keep(self) -> None:
        """Keeps in contact until canceled."""
        self._hold_until_contacted()
        while True:
            await self._turn()
            await self._rest()

    async def _rest(self) -> None:
        """Until the next exchange is due, which what happens meanwhile may change."""
        rested_from = trio.current_time()
        while (left := rested_from + self._pause() - trio.current_time()) > 0:
            self._happened = trio.Event()
            with trio.move_on_after(left):
                await self._happened.wait()
                continue
            return

    def look_soon(self) -> None:
        """Something has just changed there: poll fast again."""
        self._changed_at = self._context.now()
        self._happened.set()

    def look_if_stale(self) -> bool:
        """Whether what is known of other people's scans may be relied on; if not, the next
        exchange is due at once. They matter where the scanner has a limit of its own."""
        age = self._context.now() - (self.reached_at or -math.inf)
        limited = self.info is not None and self.info.max_scans is not None
        self._due = limited and age > self._context.config.polling.fastest
        if self._due:
            self._happened.set()
        return not self._due

    def start_over(self) -> None:
        """The way to the scanner has changed: it is as if it had never been contacted."""
        now = self._context.now()
        self.info = None
        self._info_at = -math.inf
        if self.trouble is None:
            self.since = now
        self.trouble = self.trouble_kind = NOT_CONTACTED
        self._retry_after = 0.0
        if self._listed:
            self._context.pool.succeeded(self._id, now)
        self._hold_until_contacted()
        self.look_soon()

    def look_again(self) -> None:
        """The scanner may be usable again: it is asked and tried at once."""
        if self._listed:
            self._context.pool.look_again(self._id, self._context.now())
        self._info_at = -math.inf
        self.look_soon()

    def suspend(
        self,
        kind: ErrorKind,
        reason: str,
        *,
        task_id: str | None = None,
        sure: bool = True,
        wait: bool = True,
    ) -> bool:
        """It refuses to scan; see `Suspension.suspend`."""
        pool, before = self._context.pool, self._suspension
        is_so = pool.suspend(
            self._id,
            self._context.now(),
            kind,
            reason,
            task_id=task_id,
            sure=sure,
            wait=wait,
        )
        if is_so and before is None:
            self._driver.log.warning(events.SCANNER_SUSPENDED, kind=kind, reason=reason)
        return is_so

    def still_suspended(self, reason: str, *, task_id: str) -> bool:
        """When it is suspended: it has not accepted that task either."""
        suspension = self._suspension
        return suspension is not None and self.suspend(suspension.kind, reason, task_id=task_id)

    def accepted(self) -> None:
        """It has launched a scan, or no longer says that it would refuse."""
        self._harmless, before = self._known, self._suspension
        if self._listed:
            self._context.pool.accepted(self._id, self._context.now())
        if before is not None:
            self._driver.log.info(events.SCANNER_RESUMED, kind=before.kind)

    @property
    def _suspension(self) -> SuspensionStatistics | None:
        return self._context.pool.suspension(self._id) if self._listed else None

    def troubled(self, error: ScannerError) -> None:
        """Takes note of an exchange that failed."""
        now, polling = self._context.now(), self._context.config.polling
        asked_for = error.retry_after or 0.0
        if isinstance(error, NoCapacity):
            if self._listed:
                self._context.pool.succeeded(self._id, now)
            self._hold(max(polling.slowest, asked_for), str(error))
            return
        self._scanner_log.unusable(error, round(now - self.since, 1))
        if self.trouble is None:
            self.since = now
        self.trouble, self.trouble_kind = str(error), error.kind
        self._troubled_at, self._retry_after = now, asked_for
        self._happened.set()
        self._info_at = -math.inf
        if not self._listed:
            return
        if isinstance(error, NotReady):
            # It answers: that is no case for the breaker.
            self._context.pool.succeeded(self._id, now)
        else:
            self._context.pool.failed(self._id, now, str(error), trip=not error.transient)
        self._scanner_log.breaker(self._context.pool.breaker(self._id))
        # Until it answers, work that others can do goes to them.
        seconds = max(polling.slowest, asked_for) + self._driver.settings.timeout
        self._hold(seconds, str(error), at_latest=True)

    @property
    def _id(self) -> str:
        return self._driver.id

    @property
    def _listed(self) -> bool:
        """The pool knows the scanner: not once it was removed and nothing runs there, while
        its last reports are still fetched."""
        return self._id in self._context.pool.scanners()

    def _hold(self, seconds: float, reason: str, *, at_latest: bool = False) -> None:
        now = self._context.now()
        if self._listed:
            self._context.pool.hold(self._id, now + seconds, reason, now, at_latest=at_latest)

    def _hold_until_contacted(self) -> None:
        self._hold(self._driver.settings.timeout, "it has not been contacted yet", at_latest=True)

    async def _turn(self) -> None:
        """One exchange, or none while the breaker is open and no probe is due."""
        pool = self._context.pool
        if not self._listed or pool.breaker(self._id).state is BreakerState.CLOSED:
            await self._talk()
        elif pool.begin_probe(self._id, self._context.now()):
            self._scanner_log.breaker(pool.breaker(self._id))
            try:
                await self._talk()
            finally:
                if self._listed:
                    pool.abandon_probe(self._id, self._context.now())

    def _pause(self) -> float:
        """Seconds until the next exchange."""
        now, polling = self._context.now(), self._context.config.polling
        if self.trouble is not None:
            breaker = self._context.pool.breaker(self._id) if self._listed else None
            if breaker is not None and breaker.probe_at is not None:
                return max(self._retry_after, breaker.probe_at - now)
            return backoff(
                max(1, breaker.failures if breaker else 1),
                base=polling.fastest,
                maximum=polling.slowest,
                random=self._context.random,
                retry_after=self._retry_after,
            )
        if self._due:
            return 0.0
        if not self._driver.runs:
            return polling.slowest
        slack = SLACK_WHEN_WANTED if self._context.pool.work_for(self._id) else SLACK
        return min(polling.slowest, max(polling.fastest, slack * (now - self._changed_at)))

    async def _talk(self) -> None:
        began_at, scanner = self._context.now(), self._driver.scanner
        self._due = False
        try:
            await self._read_info(scanner)
            rows = await scanner.list_scans()
        except ScannerError as error:
            if scanner is self._driver.scanner:
                self.troubled(error)
            return
        if scanner is not self._driver.scanner:
            return  # the way to it has changed meanwhile: what the old one led to says nothing
        if self._troubled_at > began_at:
            return  # another request has failed meanwhile: the next exchange will show
        self._reached(rows)
        await self._read_progress()

    async def _read_info(self, scanner: Scanner) -> None:
        now = self._context.now()
        if now - self._info_at < self._context.config.polling.info and not self._suspension:
            return
        info = await scanner.info()
        if scanner is not self._driver.scanner:
            return
        self.info = info
        if not self.info.ready:
            percent = self.info.loading_percent
            told = "" if percent is None else f" ({percent} %)"
            raise NotReady(f"the scanner {self.info.not_ready or 'is loading its plugins'}{told}")
        self._info_at = now
        if self._context.licensed.get(self._id) != self.info.licensed_hosts:
            self._context.licensed[self._id] = self.info.licensed_hosts
            configure_pool(self._context)
        self._judge(info)
        if (offers := await read_offers(scanner)) is not None:
            self._context.offers[self._id] = offers

    def _judge(self, info: ScannerInfo) -> None:
        """A change of license or plugins may end a suspension; what it says of itself may be
        a reason for one."""
        if not self._listed:
            return
        now, before, self._known = self._context.now(), self._known, info
        if before != info:
            self._context.pool.look_again(self._id, now)
        keys = isinstance(self._driver.settings.auth, ApiKeys)
        doubt = suspicion(info, now, keys=keys)
        suspension, own_word = self._suspension, self._own_word
        self._own_word = doubt[0] if doubt else None
        if doubt is None and suspension is not None and suspension.kind == own_word:
            self.accepted()  # there need not be a task that could try it
        elif doubt is not None and info != self._harmless and suspension is None:
            self.suspend(*doubt, wait=False)

    def _reached(self, rows: Sequence[RemoteScan]) -> None:
        now = self._context.now()
        driver = self._driver
        self.reached_at = now
        driver.debts.observe(self._id, rows)
        if self._listed:
            self._tell_pool(rows)
        if self.trouble is not None:
            self._scanner_log.usable(self.info, round(now - self.since, 1))
            self.trouble = self.trouble_kind = None
            self.since = now
            self._cleared_at = -math.inf
            if self._listed:
                self._context.pool.look_again(self._id, now)
            for run in driver.runs.values():
                run.wake()
        self.attempts = self._attempts(rows)
        self._distribute(rows)
        self._clear_away(rows)
        driver.pay_debts(rows)
        driver.ring()

    def _attempts(self, rows: Sequence[RemoteScan]) -> Mapping[str, int]:
        found = (self._context.seal.read(row.name) for row in rows if row.ours)
        return dict(sorted((each.task_id, each.attempt) for each in found if each and each.sealed))

    def _mine(self) -> set[int | None]:
        """The scans of the present runs."""
        return {run.task.nessus_scan_id for run in self._driver.runs.values()}

    def _certifies(self, row: RemoteScan) -> bool:
        """It is a scan of the certification that is under way; its slot is reserved."""
        certification = self._context.certifying.get(self._id)
        if certification is None or not row.ours:
            return False
        mark = self._context.seal.read(row.name)
        return mark is not None and mark.sealed and mark.task_id == certification

    def _tell_pool(self, rows: Sequence[RemoteScan]) -> None:
        pool, now = self._context.pool, self._context.now()
        mine = self._mine() | self._driver.debts.scans(self._id)
        foreign = sum(
            row.status in OCCUPIES and row.scan_id not in mine and not self._certifies(row)
            for row in rows
        )
        max_scans = self.info.max_scans if self.info else None
        pool.succeeded(self._id, now)
        self._scanner_log.breaker(pool.breaker(self._id))
        if self.trouble is not None:
            pool.hold(self._id, now, "", now)
        pool.report(self._id, now, max_scans=max_scans, foreign=foreign)

    def _distribute(self, rows: Sequence[RemoteScan]) -> None:
        seen = {row.scan_id: row for row in rows}
        mine = self._mine()
        statuses = {row.scan_id: row.status_text for row in rows if row.scan_id in mine}
        if statuses != self._rows:
            self._rows = statuses
            self._changed_at = self._context.now()
        for run in list(self._driver.runs.values()):
            scan_id = run.task.nessus_scan_id
            if scan_id is not None and run.task.state in {TaskState.RUNNING, TaskState.PAUSED}:
                run.observe(seen.get(scan_id))

    def _clear_away(self, rows: Sequence[RemoteScan]) -> None:
        """Scans that were created, and given up while the scanner was away or we were."""
        mine = self._mine()
        empty = [
            row
            for row in rows
            if row.ours
            and row.status is ScanStatus.EMPTY
            and row.scan_id not in mine
            and not self._certifies(row)
        ]
        now = self._context.now()
        if empty and now - self._cleared_at >= CLEARING:
            self._cleared_at = now
            self._driver.clear_away(empty)

    async def _read_progress(self) -> None:
        now = self._context.now()
        every = PROGRESS_SHARE * self._context.config.polling.fastest
        async with trio.open_nursery() as nursery:
            for run in self._driver.runs.values():
                scan_id, running = run.task.nessus_scan_id, run.task.state is TaskState.RUNNING
                if scan_id is not None and running and now - run.details_at >= every:
                    run.details_at = now
                    nursery.start_soon(refresh, run, self._driver, scan_id)
