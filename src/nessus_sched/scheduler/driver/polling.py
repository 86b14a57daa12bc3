"""Polls one scanner, once for all its scans, and passes on what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import trio

from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import (
    MAY_RUN,
    OCCUPIES,
    RemoteScan,
    Scanner,
    ScannerError,
    ScanStatus,
)
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.driver import remote_cleanup, repaying
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.driver.progress import refresh
from nessus_sched.scheduler.offers import read_offers

SLACK = 0.1
"""The wait between polls as a share of the time since something last changed: fast after
a change, slower the longer a scan takes."""
SLACK_WHEN_WANTED = 0.02
"""The same while something waits for the scanner: an end that is not seen is an idle slot."""
PROGRESS_SHARE = 5
"""Progress is read this many times less often than the list: it costs one request a scan."""

CLEARING = 60.0
"""Minimum seconds between two clean-ups of scans that were left behind."""


class Poller:
    """Keeps a connection's state current, and `runs` informed of their scans. `ring` is called
    after each list that was read: there may be work now."""

    def __init__(
        self, connection: Connection, runs: Mapping[str, ActiveTask], ring: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._context = connection.context
        self._runs = runs
        self._ring = ring
        self._statuses: dict[int, str] = {}
        self._cleared_at = -math.inf

    async def run(self, nursery: trio.Nursery) -> None:
        """Polls until canceled; the clean-up that a poll calls for runs in `nursery`."""
        self._connection.hold_until_contacted()
        while True:
            await self._turn(nursery)
            await self._rest()

    async def _rest(self) -> None:
        """Until the next exchange is due, which may change meanwhile."""
        rested_from = trio.current_time()
        while (left := rested_from + self._pause() - trio.current_time()) > 0:
            if not await self._connection.changed(within=left):
                return

    def _pause(self) -> float:
        """Seconds until the next exchange."""
        connection, polling = self._connection, self._context.config.polling
        now = self._context.now()
        if not connection.answers:
            breaker = connection.breaker
            if breaker is not None and breaker.probe_at is not None:
                return max(connection.retry_after, breaker.probe_at - now)
            return backoff(
                max(1, breaker.failures if breaker else 1),
                base=polling.fastest,
                maximum=polling.slowest,
                random=self._context.random,
                retry_after=connection.retry_after,
            )
        if connection.due:
            return 0.0
        if not self._runs:
            return polling.slowest
        slack = SLACK_WHEN_WANTED if self._context.pool.work_for(connection.id) else SLACK
        return min(polling.slowest, max(polling.fastest, slack * (now - connection.changed_at)))

    async def _turn(self, nursery: trio.Nursery) -> None:
        """One exchange, or none while the breaker is open and no probe is due."""
        breaker = self._connection.breaker
        if breaker is None or breaker.state is BreakerState.CLOSED:
            await self._exchange(nursery)
        elif self._connection.begin_probe():
            try:
                await self._exchange(nursery)
            finally:
                self._connection.end_probe()

    async def _exchange(self, nursery: trio.Nursery) -> None:
        connection = self._connection
        began_at, scanner = self._context.now(), connection.scanner
        connection.due = False
        try:
            if connection.info_outdated:
                await self._read_info(scanner)
            rows = await scanner.list_scans()
        except ScannerError as error:
            if scanner is connection.scanner:
                connection.troubled(error)
                self._tell_lost()
            return
        if scanner is not connection.scanner:
            return  # reconnected meanwhile: what the old one led to says nothing
        if connection.troubled_since(began_at):
            return  # another request has failed meanwhile: the next exchange will show
        self._reached(rows, nursery)
        await self._read_progress()

    def _tell_lost(self) -> None:
        """The scans of a lost scanner are looked after more often."""
        if self._connection.lost:
            for run in self._runs.values():
                run.wake()

    async def _read_info(self, scanner: Scanner) -> None:
        info = await scanner.info()
        if scanner is not self._connection.scanner:
            return
        await self._connection.describe(info)
        if (offers := await read_offers(scanner)) is not None:
            self._context.offers[self._connection.id] = offers

    def _reached(self, rows: Sequence[RemoteScan], nursery: trio.Nursery) -> None:
        connection = self._connection
        connection.debts.observe(connection.id, rows)
        if connection.reached(rows, foreign=self._foreign(rows)):
            self._cleared_at = -math.inf
            for run in self._runs.values():
                run.wake()
        self._distribute(rows)
        if left := self._left_behind(rows):
            nursery.start_soon(remote_cleanup.delete_unneeded_scans, connection, left)
        if connection.debts.of(connection.id):
            nursery.start_soon(repaying.repay, connection, rows)
        self._ring()

    def _mine(self) -> set[int | None]:
        """The scans of the present runs."""
        return {run.task.nessus_scan_id for run in self._runs.values()}

    def _foreign(self, rows: Sequence[RemoteScan]) -> int:
        """How many scans of others occupy the scanner."""
        connection = self._connection
        mine = self._mine() | connection.debts.scans(connection.id)
        return sum(
            row.status in OCCUPIES and row.scan_id not in mine and not self._certifies(row)
            for row in rows
        )

    def _certifies(self, row: RemoteScan) -> bool:
        """It is a scan of the certification that is under way; its slot is reserved."""
        certification = self._context.certifying.get(self._connection.id)
        if certification is None or not row.ours:
            return False
        mark = self._context.seal.read(row.name)
        return mark is not None and mark.sealed and mark.task_id == certification

    def _distribute(self, rows: Sequence[RemoteScan]) -> None:
        seen = {row.scan_id: row for row in rows}
        mine = self._mine()
        statuses = {row.scan_id: row.status_text for row in rows if row.scan_id in mine}
        if statuses != self._statuses:
            self._statuses = statuses
            self._connection.changed_at = self._context.now()
        for run in list(self._runs.values()):
            scan_id = run.task.nessus_scan_id
            if scan_id is not None and run.task.state in {TaskState.RUNNING, TaskState.PAUSED}:
                run.observe(seen.get(scan_id))

    def _left_behind(self, rows: Sequence[RemoteScan]) -> list[RemoteScan]:
        """Scans that may have to go now: created, and then given up while the scanner was away or
        we were; or running for a task that was purged meanwhile."""
        connection, now = self._connection, self._context.now()
        mine = self._mine() | connection.debts.scans(connection.id)
        if now - self._cleared_at < CLEARING:
            return []
        left = [
            row
            for row in rows
            if row.ours
            and (row.status is ScanStatus.EMPTY or row.status in MAY_RUN)
            and row.scan_id not in mine
            and not self._certifies(row)
        ]
        if left:
            self._cleared_at = now
        return left

    async def _read_progress(self) -> None:
        now = self._context.now()
        every = PROGRESS_SHARE * self._context.config.polling.fastest
        due = [
            (run, run.task.nessus_scan_id)
            for run in self._runs.values()
            if run.task.nessus_scan_id is not None
            and run.task.state is TaskState.RUNNING
            and now - run.details_at >= every
        ]
        if not due:
            return
        async with trio.open_nursery() as nursery:
            for run, scan_id in due:
                run.details_at = now
                nursery.start_soon(refresh, run, self._connection, scan_id)
