"""What the findings of this machine lack of the reports that are kept, and have in excess."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import attrs

from nessus_sched.core.task_store import TaskReader
from nessus_sched.daemon.ledger_keeper import ended, wholes
from nessus_sched.results.findings_port import FindingsStore
from nessus_sched.results.ledger.port import KeptReports


@attrs.define(kw_only=True, eq=False)
class StoredFindings:
    """`expired` gives the time before which findings are not kept (epoch seconds). `shared`: other
    machines store reports, too, so what was read here may be of an earlier attempt.

    Every method raises `StoreUnavailable`.
    """

    reports: KeptReports
    findings: FindingsStore
    tasks: TaskReader
    expired: Callable[[], float]
    shared: bool = False
    _stored: dict[str, float] = attrs.field(factory=dict, init=False)
    """When the latest report of a task was stored, as of the latest `missing`."""
    _done: dict[str, float] = attrs.field(factory=dict, init=False)
    """The same for tasks of whose reports nothing is left to read, damaged ones among them."""

    async def missing(self, besides: Collection[str] = ()) -> list[str]:
        """The tasks that have reports which were not read, those of the latest first, without
        those in `besides`. Some may not have ended."""
        self._stored = {}
        for name, at in (await self.reports.with_reports()).items():
            task_id = wholes(name)[-1]
            self._stored[task_id] = max(at, self._stored.get(task_id, at))
        read = await self.findings.imports()
        found = [
            (at, task_id)
            for task_id, at in self._stored.items()
            if task_id not in besides
            and self._done.get(task_id, -math.inf) < at
            and (task_id not in read or (self.shared and read[task_id] < at))
        ]
        return [task_id for _, task_id in sorted(found, reverse=True)]

    async def read(self, task_id: str) -> bool:
        """Stores the findings of a task that `missing` has found; False if it has not ended, or if
        there are none to store."""
        task = await self.tasks.get(task_id)
        if task is not None and task.part is None and not ended(task):
            return False
        wanted = task is not None and ended(task) and task.entered[task.state] >= self.expired()
        if task is not None and wanted:
            await self.reports.restore(task)
            if await self.tasks.get(task_id) is None:  # deleted in the meantime
                await self.findings.delete(task_id)
        self._done[task_id] = self._stored[task_id]
        return wanted

    async def forget_deleted(self, before: float = math.inf) -> None:
        """Deletes findings that were stored before that time (epoch seconds) and whose task
        another machine has deleted."""
        reported = set[str]().union(*map(wholes, await self.reports.with_reports()))
        for task_id, at in (await self.findings.imports()).items():
            if task_id in reported or at >= before:
                continue
            if await self.tasks.get(task_id) is None:
                await self.findings.delete(task_id)

    async def forget_expired(self) -> None:
        """Deletes findings whose retention is over. Not on a leader, which needs some of them for
        a moment to enter them in the ledger."""
        since = self.expired()
        for task_id, at in (await self.findings.imports()).items():
            if at < since:
                await self.findings.delete(task_id)
