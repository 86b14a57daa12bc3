"""Reads the findings of scans again, from their reports, where they are missing.

They are after another machine has led, after a store was copied, and where the findings database
was lost. Findings of scans that the ledger lacks come first, because it has to get scans in the
order of time; only then are scans entered in it. The others follow in the background.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskReader
from nessus_sched.daemon.ledger_keeper import ended, wholes
from nessus_sched.results.findings_port import FindingsStore
from nessus_sched.results.ledger.port import KeptReports, Ledger
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

RETRY: Final = 15.0
"""Seconds before what a store refused is tried again."""


@attrs.define(kw_only=True, eq=False)
class FindingsKeeper:
    """`expired` gives the time before which findings are not kept (epoch seconds). `shared`: other
    machines store reports, too, so what was read here may be of an earlier attempt."""

    reports: KeptReports
    findings: FindingsStore
    ledger: Ledger
    tasks: TaskReader
    expired: Callable[[], float]
    wake: Callable[[], None]
    """There may be scans to enter in the ledger."""
    shared: bool = False
    _prepared: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def prepare(self) -> None:
        """Reads the findings that the ledger lacks; returns once they are there."""
        await self._until_done(self._read_unentered)
        self._prepared.set()

    async def run(self) -> None:
        """Reads the others, the latest scans first; returns once they are there."""
        await self._prepared.wait()
        await self._until_done(self._read_others)

    async def _read_unentered(self) -> None:
        applied = (await self.ledger.scans()).applied
        for task in await self._kept(await self._missing() - applied):
            await self._read(task)

    async def _read_others(self) -> None:
        for task in sorted(await self._kept(await self._missing()), key=_at, reverse=True):
            await self._read(task)
            self.wake()

    async def _missing(self) -> frozenset[str]:
        """Tasks that have reports, but not their findings."""
        stored, read = await self.reports.with_reports(), await self.findings.imports()
        missing: set[str] = set()
        for name, at in stored.items():
            for task_id in wholes(name):
                if task_id not in read or (self.shared and read[task_id] < at):
                    missing.add(task_id)
        return frozenset(missing)

    async def _kept(self, task_ids: Collection[str]) -> list[Task]:
        found = [await self.tasks.get(task_id) for task_id in task_ids]
        since = self.expired()
        return [each for each in found if each is not None and ended(each) and _at(each) >= since]

    async def _read(self, task: Task) -> None:
        await self.reports.restore(task)
        if await self.tasks.get(task.task_id) is None:  # deleted in the meantime
            await self.findings.delete(task.task_id)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                log.warning(events.FINDINGS_NOT_READ, reason=str(error))
                await trio.sleep(RETRY)


def _at(task: Task) -> float:
    return task.entered[task.state]
