"""Housekeeping: deletes expired data, here and on the scanners.

Works in small batches with pauses, so that submissions do not wait for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

import trio

from nessus_sched.core.scanner import ScannerError
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError
from nessus_sched.results.findings_port import FindingsStore
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import remote_cleanup
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.telemetry import events

RunSync = Callable[..., Awaitable[Any]]

HOUSEKEEPING_INTERVAL = 600.0
"""Seconds between rounds."""
BATCH_PAUSE = 0.05
"""Seconds between batches, so that others can write."""


class Exports(Protocol):
    """The reports on disk; blocks."""

    def delete(self, task_ids: Collection[str]) -> int: ...

    def older_than(self, before: float) -> Collection[str]: ...


class Housekeeping:
    """`deleted(what, count)` is called after every batch, for the metrics. `run_sync` runs
    blocking work; virtual time does not see threads, so a simulation passes its own."""

    def __init__(
        self,
        context: Context,
        fleet: Fleet,
        findings: FindingsStore,
        exports: Exports,
        deleted: Callable[[str, int], None] = lambda _what, _count: None,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        self._run_sync = run_sync
        self._context = context
        self._fleet = fleet
        self._findings = findings
        self._exports = exports
        self._deleted = deleted
        self._one_at_a_time = trio.Lock()

    async def run(self) -> None:
        """Sweeps every ten minutes until canceled."""
        while True:
            try:
                await self._findings.vacuum_deleted()  # also what an earlier process left
                await trio.sleep(HOUSEKEEPING_INTERVAL)
                await self.sweep()
            except StoreError as error:
                self._context.log.warning(events.HOUSEKEEPING_INTERRUPTED, reason=str(error))
                await trio.sleep(HOUSEKEEPING_INTERVAL)

    async def sweep(self, *, dry_run: bool = False) -> Mapping[str, int]:
        """Runs one round. Returns how many items of each kind were deleted, or with `dry_run`
        would be. Raises `StoreError`."""
        async with self._one_at_a_time:
            counts: Counter[str] = Counter()
            counts["scans"] = await self._scans(dry_run=dry_run)
            for what, states, kept in self._terms():
                counts[what] = await self._tasks(what, states, kept, dry_run=dry_run)
            counts["findings"] = await self._old_findings(dry_run=dry_run)
            counts["exports"] = await self._old_exports(dry_run=dry_run)
            if not dry_run:
                await self._tidy()
            if any(counts.values()) and not dry_run:
                self._context.log.info(events.HOUSEKEEPING, deleted=dict(counts))
            return counts

    def _terms(self) -> list[tuple[str, frozenset[TaskState], float]]:
        """What is deleted under which name, and for how many seconds it is kept."""
        kept = self._context.config.retention
        ended = frozenset({TaskState.CANCELED, TaskState.TIMED_OUT})
        return [
            (
                "completed_tasks",
                frozenset({TaskState.COMPLETED, TaskState.PARTIAL}),
                kept.completed,
            ),
            ("canceled_tasks", ended, kept.canceled),
            ("dead_letters", frozenset({TaskState.DEAD}), kept.dead),
        ]

    async def _tasks(
        self, what: str, states: frozenset[TaskState], kept: float, *, dry_run: bool
    ) -> int:
        store, before = self._context.store, self._context.expired(kept)
        if dry_run:
            return sum((await store.count_purgeable(states, before=before)).values())
        total = 0
        while task_ids := await store.purge(states, before=before, at=self._context.wall()):
            for task_id in task_ids:
                await self._findings.delete(task_id)
            await self._run_sync(self._exports.delete, task_ids)
            self._deleted(what, len(task_ids))
            total += len(task_ids)
            await trio.sleep(BATCH_PAUSE)
        return total

    async def _old_findings(self, *, dry_run: bool) -> int:
        before = self._context.expired(self._context.config.retention.findings)
        imports = await self._findings.imports()
        old = [task_id for task_id, at in imports.items() if at < before]
        for task_id in () if dry_run else old:
            await self._findings.delete(task_id)
        self._count("findings", old, dry_run=dry_run)
        return len(old)

    async def _old_exports(self, *, dry_run: bool) -> int:
        before = self._context.expired(self._context.config.retention.exports)
        old = await self._run_sync(self._exports.older_than, before)
        if old and not dry_run:
            await self._run_sync(self._exports.delete, old)
        self._count("exports", old, dry_run=dry_run)
        return len(old)

    async def _tidy(self) -> None:
        """Old idempotency keys, the journal's beginning, and space for the file system."""
        store, now = self._context.store, self._context.expired(0.0)
        kept = self._context.config.retention
        before = now - max(kept.completed, kept.canceled, kept.dead, kept.journal)
        await self._findings.vacuum_deleted()
        await _in_batches(lambda: store.purge_keys(now))
        await _in_batches(lambda: store.prune_journal(before=before, at=self._context.wall()))
        left = math.inf
        while 0 < (free := await store.incremental_vacuum()) < left:
            left = free
            await trio.sleep(BATCH_PAUSE)

    async def _scans(self, *, dry_run: bool) -> int:
        total = 0
        for connection in [driver.connection for driver in self._fleet.drivers.values()]:
            if not connection.answers:
                continue
            try:
                rows = await connection.scanner.list_scans()
            except ScannerError as error:
                connection.log.info(events.HOUSEKEEPING_INTERRUPTED, reason=str(error))
                continue
            found = await remote_cleanup.delete_unneeded_scans(connection, rows, dry_run=dry_run)
            if found and not dry_run:
                self._deleted("scans", found)
            total += found
        return total

    def _count(self, what: str, items: Collection[str], *, dry_run: bool) -> None:
        if items and not dry_run:
            self._deleted(what, len(items))


async def _in_batches(batch: Callable[[], Awaitable[int]]) -> None:
    """Until a batch finds nothing left to do."""
    while await batch():  # noqa: ASYNC110 - a breath, not a wait
        await trio.sleep(BATCH_PAUSE)
