"""Clean-ups that are owed on scanners: scans that were given up while their scanner did not
answer, to be stopped, read and removed when it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.scanner import (
    ENDED,
    OCCUPIES,
    Marks,
    NotFound,
    RemoteScan,
    ScannerError,
    ScanStatus,
    Unreachable,
)
from nessus_sched.core.seal import bears
from nessus_sched.core.store_errors import StoreUnavailable, UnknownTask
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Owed, Task
from nessus_sched.scheduler import exporting
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.run import Run
from nessus_sched.telemetry import events

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

QUARANTINE = 3600.0
"""Seconds for which other scans of the same targets wait for a scan that was given up and may
still run."""
REPEAT_STOP = 30.0
TRIES = 8
"""Failures of a scanner that answers to give us the report, before we give up."""
PAUSE = 60.0
"""Seconds between two tries to fetch a report."""
IDLE = 3600.0


@attrs.define(kw_only=True, eq=False)
class Debt:
    """`occupies`: as far as known the scan may still run there."""

    task_id: str
    owed: Owed
    marks: Marks
    occupies: bool
    failures: int = 0
    not_before: float = float("-inf")

    @property
    def key(self) -> str:
        return _key(self.task_id, self.owed)

    def is_of(self, row: RemoteScan) -> bool:
        if self.owed.scan_id is not None:
            return row.scan_id == self.owed.scan_id
        return row.ours and bears(row.name, self.marks)


class Debts:
    """All of them. Invariant: they are those of the stored tasks (`Task.owed`), and the pool
    counts those that occupy a scanner. `run_of` finds the run of a task that a driver carries."""

    def __init__(self, context: Context, run_of: Callable[[str], Run | None]) -> None:
        self._context = context
        self._run_of = run_of
        self._debts: dict[str, Debt] = {}
        self._claimed_until: dict[str, float] = {}
        self._changed = trio.Event()
        self._paying: set[str] = set()

    async def restore(self) -> None:
        """Takes up what was owed when we stopped."""
        for task in await self._context.store.owing():
            self.take_up(task)

    def take_up(self, task: Task) -> None:
        """What the stored task owes is owed from now on, if it is not known yet."""
        for owed in task.owed:
            if _key(task.task_id, owed) not in self._debts:
                self.add(task, owed)

    async def run(self) -> None:
        """Ends the claims of lost scans on their targets in time."""
        while True:
            self._changed = trio.Event()
            now = self._context.now()
            for key, until in list(self._claimed_until.items()):
                if until <= now:
                    self._unclaim(key)
            left = min(self._claimed_until.values(), default=now + IDLE) - now
            with trio.move_on_after(max(0.0, left)):
                await self._changed.wait()

    def add(self, task: Task, owed: Owed) -> None:
        """From now on it is owed; called before the scan's slot is given back."""
        marks = self._context.seal.marks(task.task_id, owed.attempt, plain=owed.plain)
        debt = Debt(task_id=task.task_id, owed=owed, marks=marks, occupies=not owed.ended)
        self._debts[debt.key] = debt
        until = self._context.recorded(owed.since) + QUARANTINE
        if debt.occupies and until > self._context.now():
            request = task.request
            targets = parse_targets((*request.targets, *task.resolved))
            self._context.pool.claim(debt.key, owed.scanner_instance, targets)
            self._claimed_until[debt.key] = until
            self._changed.set()
        self._count(owed.scanner_instance)

    def of(self, scanner_id: str) -> list[Debt]:
        return [each for each in self._debts.values() if each.owed.scanner_instance == scanner_id]

    def scans(self, scanner_id: str) -> set[int]:
        """The known ids of the scans that are owed there."""
        ids = (each.owed.scan_id for each in self.of(scanner_id))
        return {each for each in ids if each is not None}

    def observe(self, scanner_id: str, rows: Sequence[RemoteScan]) -> None:
        """Takes note of what the scanner's list says of them."""
        for debt in self.of(scanner_id):
            row = next(filter(debt.is_of, rows), None)
            occupies = row is not None and row.status in OCCUPIES
            if debt.occupies and not occupies:
                self._unclaim(debt.key)
            debt.occupies = occupies
        self._count(scanner_id)

    async def pay(self, driver: Driver, rows: Sequence[RemoteScan]) -> None:
        """Does what the scanner's list shows can be done now; one round at a time."""
        if driver.id in self._paying:
            return
        self._paying.add(driver.id)
        try:
            for debt in self.of(driver.id):
                row = next(filter(debt.is_of, rows), None)
                if debt.not_before <= self._context.now():
                    await self._pay(debt, driver, row)
        finally:
            self._paying.discard(driver.id)

    async def _pay(self, debt: Debt, driver: Driver, row: RemoteScan | None) -> None:
        try:
            if row is None:
                await self._close(debt, "owed_scan_gone")
            elif not row.ours:
                await self._close(debt, "owed_scan_left_alone")
            elif row.status in OCCUPIES:
                debt.not_before = self._context.now() + REPEAT_STOP
                await driver.scanner.stop(row.scan_id, debt.marks)
                driver.look_soon()
            elif row.status is ScanStatus.EMPTY or (row.status in ENDED and not debt.owed.keep):
                await driver.scanner.delete(row.scan_id, debt.marks)
                await self._close(debt, "owed_scan_removed")
            elif row.status in ENDED:
                await self._fetch(debt, driver, row)
        except NotFound:
            await self._close(debt, "owed_scan_gone")
        except ScannerError as error:
            await self._failed(debt, driver, error)
        except (StoreUnavailable, OSError) as error:
            self._later(debt, driver, str(error))

    async def _failed(self, debt: Debt, driver: Driver, error: ScannerError) -> None:
        if driver.answers and not isinstance(error, Unreachable):
            debt.failures += 1
        if debt.failures >= TRIES and not debt.occupies:
            await self._close(debt, "partial_results_lost", cause=str(error))
        else:
            self._later(debt, driver, str(error))

    def _later(self, debt: Debt, driver: Driver, reason: str) -> None:
        debt.not_before = self._context.now() + PAUSE
        driver.log.info(events.CLEANUP_DELAYED, task_id=debt.task_id, reason=reason)

    async def _fetch(self, debt: Debt, driver: Driver, row: RemoteScan) -> None:
        """Fetches what the scan found, and keeps it unless there is something better."""
        context, task_id = self._context, debt.task_id
        details = await driver.scanner.details(row.scan_id, uuid=debt.owed.scan_uuid)
        path = context.exports.scratch(debt.key)
        try:
            async with driver.exporting:
                await driver.scanner.export(row.scan_id, details.history_id, path)
            async with context.turns.of(f"results of {task_id}"):
                task = await self._task(task_id)
                changes: dict[str, Any] = {}
                if task is not None:
                    changes = await exporting.kept(context, task, path, None, debt.owed.reason)
                await self._close(debt, "partial_results_kept", **changes)
        finally:
            path.unlink(missing_ok=True)

    async def _task(self, task_id: str) -> Task | None:
        run = self._run_of(task_id)
        return run.task if run is not None else await self._context.store.get(task_id)

    async def _close(self, debt: Debt, event: str, *, cause: str = "", **changes: Any) -> None:
        """It is no longer owed: durably, then in memory."""
        attempt = debt.owed.attempt
        async with self._context.turns.of(debt.task_id):
            run = self._run_of(debt.task_id)
            if run is not None:
                changes["owed"] = _without(run.task, attempt)
                await run.advance(event=event, cause=cause, **changes)
            else:
                await self._store(debt.task_id, attempt, event, cause, changes)
        self._unclaim(debt.key)
        self._debts.pop(debt.key, None)
        self._count(debt.owed.scanner_instance)

    async def _store(
        self, task_id: str, attempt: int, event: str, cause: str, changes: dict[str, Any]
    ) -> None:
        context = self._context
        task = await context.surely(lambda: context.store.get(task_id))
        if task is None:
            return  # purged meanwhile
        after = attrs.evolve(task, owed=_without(task, attempt), **changes)
        entry = JournalEntry(
            at=context.wall(),
            event=event,
            task_id=task_id,
            before=task.state,
            after=task.state,
            cause=cause,
        )
        try:
            await context.record_surely(after, entry)
        except UnknownTask:
            return

    def _unclaim(self, key: str) -> None:
        if self._claimed_until.pop(key, None) is not None:
            self._context.pool.unclaim(key, self._context.now())

    def _count(self, scanner_id: str) -> None:
        occupying = sum(each.occupies for each in self.of(scanner_id))
        self._context.pool.abandoned(scanner_id, occupying, self._context.now())


def _key(task_id: str, owed: Owed) -> str:
    return f"{task_id}.{owed.attempt}"


def _without(task: Task, attempt: int) -> tuple[Owed, ...]:
    return tuple(each for each in task.owed if each.attempt != attempt)


def is_owed(task: Task, attempt: int) -> bool:
    """The scan of that attempt still has to be read."""
    return any(each.attempt == attempt and each.keep for each in task.owed)
