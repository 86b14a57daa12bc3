"""One scanner: what we know of it, and the way to talk to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.pool.breaker import BreakerStatistics
from nessus_sched.core.pool.wait_reasons import WaitCode, WaitReason
from nessus_sched.core.scanner import (
    NoCapacity,
    NotReady,
    RemoteScan,
    Scanner,
    ScannerError,
    ScannerInfo,
)
from nessus_sched.core.seal import Mark
from nessus_sched.core.text import lasting
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver.debts import Debts
from nessus_sched.scheduler.driver.suspending import Suspender
from nessus_sched.scheduler.pool_config import configure_pool
from nessus_sched.telemetry.scanner_log import NOT_CONTACTED, ScannerLog

EXPORTS_AT_ONCE = 2
LOST_AFTER = 300.0
"""Seconds without an answer after which a scanner counts as lost: tasks that should end do so
without its help."""
UNREMARKABLE = 60.0
"""Seconds without an answer before a task's wait reason mentions it."""

Connect = Callable[[ScannerSettings], Scanner]


class Connection:
    """Shared by everything that works with one scanner: its poller, the steps of its tasks, the
    clean-up and operators.

    Invariant: `trouble` is None exactly while the latest exchange with the scanner succeeded and
    it was ready.
    """

    def __init__(
        self, context: Context, settings: ScannerSettings, connect: Connect, debts: Debts
    ) -> None:
        now = context.now()
        self.context = context
        self.settings = settings
        self.scanner = connect(settings)
        self.debts = debts
        self.log = structlog.get_logger("scheduler").bind(scanner_instance=settings.id)
        self.exporting = trio.CapacityLimiter(EXPORTS_AT_ONCE)
        self.repaying = trio.Lock()
        """Held during a round of `repaying.repay`."""
        self.suspender = Suspender(context, settings.id, self.log)
        self.retiring = False
        """The scanner was removed from the configuration."""
        self.info: ScannerInfo | None = None
        self.attempts: Mapping[str, int] = {}
        """The latest attempt of each task that has a scan there, by the latest list."""
        self._marks: Mapping[str, Mark | None] = {}
        """The markers of the scans in the latest list, by name."""
        self.left_alone: set[int] = set()
        """Scans with our marker and of unknown origin that have been reported."""
        self.trouble: str | None = NOT_CONTACTED
        self.trouble_kind: str | None = NOT_CONTACTED
        """The `kind` of the error behind `trouble`."""
        self.since = now
        """When `trouble` last changed between None and something; this and the other moments
        here are on the steady clock."""
        self.reached_at: float | None = None
        self.changed_at = now
        """When a scan there last changed, as far as we know."""
        self.retry_after = 0.0
        """Seconds for which the scanner asked us to leave it alone."""
        self.due = False
        """Someone waits for the next exchange."""
        self._connect = connect
        self._troubled_at = -math.inf
        self._info_at = -math.inf
        self._changed = trio.Event()
        self._scanner_log = ScannerLog(self.log)

    @property
    def id(self) -> str:
        return self.settings.id

    @property
    def answers(self) -> bool:
        """The latest exchange with the scanner succeeded, and it was ready."""
        return self.trouble is None

    @property
    def silent_for(self) -> float:
        """Seconds for which the scanner has not answered, 0 while it does."""
        return 0.0 if self.answers else self.context.now() - self.since

    @property
    def lost(self) -> bool:
        """It has not answered for so long that nothing should wait for it."""
        return self.silent_for >= LOST_AFTER

    @property
    def no_contact(self) -> WaitReason | None:
        """Why nothing is known of the scans there at present."""
        if self.silent_for < UNREMARKABLE:
            return None
        text = f"no contact with scanner {self.id} for {lasting(self.silent_for)}"
        return WaitReason(code=WaitCode.NO_CONTACT, text=f"{text} ({self.trouble})")

    @property
    def listed(self) -> bool:
        """The pool knows the scanner. Once it has left the configuration and nothing runs there
        the pool does not, while its last reports are still being fetched."""
        return self.id in self.context.pool.scanners()

    @property
    def breaker(self) -> BreakerStatistics | None:
        return self.context.pool.breaker(self.id) if self.listed else None

    def age(self, moment: float) -> float:
        """Seconds since a moment of the scanner's clock; 0 for a future one."""
        present = self.context.wall() + (self.scanner.clock_ahead or 0.0)
        return max(0.0, present - moment)

    def look_soon(self) -> None:
        """Something has just changed there: poll fast again."""
        self.changed_at = self.context.now()
        self._changed.set()

    def look_if_stale(self) -> bool:
        """Whether what is known of other people's scans is recent enough to rely on; if not,
        polls at once. They matter where the scanner has a limit of its own."""
        age = self.context.now() - (self.reached_at or -math.inf)
        limited = self.info is not None and self.info.max_scans is not None
        self.due = limited and age > self.context.config.polling.fastest
        if self.due:
            self._changed.set()
        return not self.due

    def look_again(self) -> None:
        """The scanner may be usable again: try it at once."""
        if self.listed:
            self.context.pool.look_again(self.id, self.context.now())
        self._info_at = -math.inf
        self.look_soon()

    async def changed(self, *, within: float) -> bool:
        """Waits until something changes when the next exchange is due; False after `within`
        seconds without that."""
        self._changed = trio.Event()
        with trio.move_on_after(within):
            await self._changed.wait()
            return True
        return False

    def reconfigure(self, settings: ScannerSettings) -> Scanner | None:
        """Applies new settings. Returns the scanner object that was replaced, see `reconnect`,
        or None if the way to the scanner is the same as before."""
        self.retiring = False
        before, self.settings = self.settings, settings
        return self.reconnect() if _route(before) != _route(settings) else None

    def reconnect(self) -> Scanner:
        """Starts over, as if the scanner had never been contacted. Returns the replaced scanner
        object, for the caller to close once its requests have ended."""
        replaced, self.scanner = self.scanner, self._connect(self.settings)
        now = self.context.now()
        self.info = None
        self._info_at = -math.inf
        if self.trouble is None:
            self.since = now
        self.trouble = self.trouble_kind = NOT_CONTACTED
        self.retry_after = 0.0
        if self.listed:
            self.context.pool.succeeded(self.id, now)
        self.hold_until_contacted()
        self.look_soon()
        return replaced

    def begin_probe(self) -> bool:
        """Whether the open breaker lets a request through now; end it with `end_probe`."""
        begun = self.context.pool.begin_probe(self.id, self.context.now())
        if begun:
            self._log_breaker()
        return begun

    def end_probe(self) -> None:
        if self.listed:
            self.context.pool.abandon_probe(self.id, self.context.now())

    def troubled(self, error: ScannerError) -> None:
        """An exchange failed."""
        now, polling = self.context.now(), self.context.config.polling
        asked_for = error.retry_after or 0.0
        if isinstance(error, NoCapacity):
            if self.listed:
                self.context.pool.succeeded(self.id, now)
            self._hold(max(polling.slowest, asked_for), str(error))
            return
        self._scanner_log.unusable(error, round(now - self.since, 1))
        if self.trouble is None:
            self.since = now
        self.trouble, self.trouble_kind = str(error), error.kind
        self._troubled_at, self.retry_after = now, asked_for
        self._changed.set()
        self._info_at = -math.inf
        if not self.listed:
            return
        if isinstance(error, NotReady):
            # It answers, so the breaker stays closed.
            self.context.pool.succeeded(self.id, now)
        else:
            self.context.pool.failed(self.id, now, str(error), trip=not error.transient)
        self._log_breaker()
        # Until it answers, other scanners take the work that they can do.
        seconds = max(polling.slowest, asked_for) + self.settings.timeout
        self._hold(seconds, str(error), at_latest=True)

    def troubled_since(self, moment: float) -> bool:
        return self._troubled_at > moment

    @property
    def info_outdated(self) -> bool:
        """Time to ask the scanner about itself again."""
        age = self.context.now() - self._info_at
        return age >= self.context.config.polling.info or self.suspender.current is not None

    async def describe(self, info: ScannerInfo) -> None:
        """Applies what the scanner says of itself. Raises `NotReady`."""
        self.info = info
        if not info.ready:
            percent = "" if info.loading_percent is None else f" ({info.loading_percent} %)"
            raise NotReady(f"the scanner {info.not_ready or 'is loading its plugins'}{percent}")
        self._info_at = self.context.now()
        self.suspender.judge(info, self.settings)
        if self.context.licensed.get(self.id) != info.licensed_hosts:
            self.context.licensed[self.id] = info.licensed_hosts
            await configure_pool(self.context)

    def reached(self, rows: Sequence[RemoteScan], *, foreign: int) -> bool:
        """The scanner listed its scans, `foreign` of which occupy it and are not ours. Whether
        it did not answer before."""
        now, pool = self.context.now(), self.context.pool
        recovered = self.trouble is not None
        self.reached_at = now
        if self.listed:
            pool.succeeded(self.id, now)
            self._log_breaker()
            if recovered:
                pool.hold(self.id, now, "", now)
            max_scans = self.info.max_scans if self.info else None
            pool.report(self.id, now, max_scans=max_scans, foreign=foreign)
        if recovered:
            self._scanner_log.usable(self.info, round(now - self.since, 1))
            self.trouble = self.trouble_kind = None
            self.since = now
            if self.listed:
                pool.look_again(self.id, now)
        # Most names were in the list before, and checking a digest is slow.
        known = self._marks
        self._marks = {
            row.name: known[row.name] if row.name in known else self.context.seal.read(row.name)
            for row in rows
            if row.ours
        }
        marks = self._marks.values()
        self.attempts = dict(
            sorted((mark.task_id, mark.attempt) for mark in marks if mark and mark.sealed)
        )
        return recovered

    def hold_until_contacted(self) -> None:
        self._hold(self.settings.timeout, "it has not been contacted yet", at_latest=True)

    def _hold(self, seconds: float, reason: str, *, at_latest: bool = False) -> None:
        now = self.context.now()
        if self.listed:
            self.context.pool.hold(self.id, now + seconds, reason, now, at_latest=at_latest)

    def _log_breaker(self) -> None:
        self._scanner_log.breaker(self.context.pool.breaker(self.id))


def _route(settings: ScannerSettings) -> tuple[object, ...]:
    """Settings whose change needs another connection."""
    return (settings.url, settings.auth, settings.tls, settings.folder, settings.timeout)
