"""Clean-up that is still owed on scanners: scans that were given up while their scanner did not
answer, to be stopped, read and removed when it does (see `repaying`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import attrs
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.scanner import MAY_RUN, Marks, RemoteScan
from nessus_sched.core.seal import bears
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import UnknownTask
from nessus_sched.core.targets.remainder import remainder
from nessus_sched.core.targets.targets import targets_from
from nessus_sched.core.task import Owed, Task
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver.active_task import ActiveTask

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
    """All debts. Invariant: they are those of the stored tasks (`Task.owed`), and the pool
    counts those that occupy a scanner. `active_task` finds a task that a driver carries."""

    def __init__(self, context: Context, active_task: Callable[[str], ActiveTask | None]) -> None:
        self._context = context
        self._active_task = active_task
        self._debts: dict[str, Debt] = {}
        self._claimed_until: dict[str, float] = {}
        self._changed = trio.Event()

    async def restore(self) -> None:
        """Loads the debts from before the restart."""
        for task in await self._context.store.owing():
            self.take_up(task)

    def take_up(self, task: Task) -> None:
        """Adds the debts of a stored task that are not known yet."""
        for owed in task.owed:
            if _key(task.task_id, owed) not in self._debts:
                self.add(task, owed)

    async def run(self) -> None:
        """Ends the claims of lost scans on their targets when they expire."""
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
        """Adds a debt; called before the scan's slot is released."""
        marks = self._context.seal.marks(task.task_id, owed.attempt, plain=owed.plain)
        debt = Debt(task_id=task.task_id, owed=owed, marks=marks, occupies=not owed.ended)
        self._debts[debt.key] = debt
        quarantine = self._context.config.scheduling.quarantine
        until = self._context.recorded(owed.since) + quarantine
        if debt.occupies and not owed.released and until > self._context.now():
            targets = targets_from((*task.to_scan, *task.resolved))
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
        """Updates the debts from the scanner's list."""
        for debt in self.of(scanner_id):
            row = next(filter(debt.is_of, rows), None)
            if row is None and debt.owed.scan_id is not None:
                continue  # that has to be confirmed
            occupies = row is not None and row.status in MAY_RUN
            if debt.occupies and not occupies:
                self._unclaim(debt.key)
            debt.occupies = occupies
        self._count(scanner_id)

    async def release(self, task_id: str, *, actor: str) -> bool:
        """An operator declares the lost scans of a task dead: their targets are free. Returns False
        if there are none. Raises `StoreUnavailable`, and then nothing has changed."""
        context = self._context
        async with context.turns.of(task_id):
            task = await context.store.get(task_id)
            if task is None or all(each.released for each in task.owed):
                return False
            entry = JournalEntry(
                at=context.wall(),
                event="released",
                task_id=task_id,
                before=task.state,
                after=task.state,
                actor=actor,
            )
            run = self._active_task(task_id)
            if run is not None:
                await run.advance(event="released", cause=f"by {actor}", derived=_released)
            else:
                await context.record(attrs.evolve(task, **_released(task)), entry)
        for each in task.owed:
            self._unclaim(_key(task_id, each))
        return True

    async def task(self, task_id: str) -> Task | None:
        run = self._active_task(task_id)
        return run.task if run is not None else await self._context.store.get(task_id)

    async def close(
        self,
        debt: Debt,
        event: str,
        *,
        cause: str = "",
        finished: Collection[str] = (),
        **changes: Any,
    ) -> None:
        """Settles the debt: durably, then in memory. `finished` hosts need not be scanned again; a
        scan of the task that is under way already is left as it is."""
        attempt = debt.owed.attempt
        async with self._context.turns.of(debt.task_id):
            run = self._active_task(debt.task_id)
            if run is not None:
                settled = partial(_settled, attempt=attempt, finished=finished)
                await run.advance(event=event, cause=cause, derived=settled, **changes)
            else:
                await self._store(debt.task_id, attempt, event, cause, finished, changes)
        self._unclaim(debt.key)
        self._debts.pop(debt.key, None)
        self._count(debt.owed.scanner_instance)

    async def _store(
        self,
        task_id: str,
        attempt: int,
        event: str,
        cause: str,
        finished: Collection[str],
        changes: dict[str, Any],
    ) -> None:
        context = self._context
        task = await context.retry_store(lambda: context.store.get(task_id))
        if task is None:
            return  # purged meanwhile
        if finished and task.state is not TaskState.COMPLETED:
            changes["remaining"] = remainder(task.to_scan, finished)
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
            await context.record_until_stored(after, entry)
        except UnknownTask:
            return

    def _unclaim(self, key: str) -> None:
        if self._claimed_until.pop(key, None) is not None:
            self._context.pool.unclaim(key, self._context.now())

    def _count(self, scanner_id: str) -> None:
        occupying = sum(each.occupies for each in self.of(scanner_id))
        self._context.pool.abandoned(scanner_id, occupying, self._context.now())


def _released(task: Task) -> dict[str, Any]:
    return {"owed": tuple(attrs.evolve(each, released=True) for each in task.owed)}


def _settled(task: Task, *, attempt: int, finished: Collection[str]) -> dict[str, Any]:
    """What settling a debt changes of a task that has a scan."""
    changes: dict[str, Any] = {"owed": _without(task, attempt)}
    if finished:
        changes["finished_late"] = tuple(sorted({*task.finished_late, *finished}))
    return changes


def _key(task_id: str, owed: Owed) -> str:
    return f"{task_id}.{owed.attempt}"


def _without(task: Task, attempt: int) -> tuple[Owed, ...]:
    return tuple(each for each in task.owed if each.attempt != attempt)


def is_owed(task: Task, attempt: int) -> bool:
    """The scan of that attempt still has to be read."""
    return any(each.attempt == attempt and each.keep for each in task.owed)
