"""The reports of tasks for sinks that want them as they came from the scanners."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import trio

from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskReader
from nessus_sched.core.text import pluralize
from nessus_sched.daemon.ledger_keeper import LedgerKeeper, series_of
from nessus_sched.delivery.kept_scans import KeptScan, ScanGone
from nessus_sched.results.ledger.search import LedgerSearch
from nessus_sched.results.logins.verdict import Credentialed
from nessus_sched.results.query.model import Condition, Op, Query
from nessus_sched.store.exports import ExportStore, NoExport, open_export

_TITLE: Final = 200


@attrs.frozen(kw_only=True)
class TaskScans:
    tasks: TaskReader
    exports: ExportStore
    ledger: LedgerKeeper
    config: Callable[[], Config]
    wall: Now

    async def scan(self, task_id: str) -> KeptScan | None:
        task = await self.tasks.get(task_id)
        if task is None:
            raise ScanGone(f"task {task_id} is no longer stored")
        if task.state not in SETTLED or task.part is not None or not task.has_results:
            return None
        try:
            files = await trio.to_thread.run_sync(self.exports.files, task_id)
        except NoExport:
            raise ScanGone(f"the reports of task {task_id} are no longer kept") from None
        return KeptScan(
            task_id=task_id,
            title=title_of(task),
            way=series_of(task),
            targets=task.request.targets,
            ended=task.entered.get(task.state, task.created_at),
            reports=tuple(partial(open_export, file) for file in files),
            doubt=doubt_of(task) or await self._unverified(task),
        )

    async def _unverified(self, task: Task) -> str | None:
        """Findings from low up on its targets that the ledger has as open although the latest scan
        of their host did not show them."""
        if not await self.ledger.has(task.task_id):
            return "the ledger does not have it"
        search = LedgerSearch(
            query=Query(
                fields=("host",),
                conditions=(
                    Condition(field="host", op=Op.IN, value=task.request.targets),
                    Condition(field="unverified", op=Op.PRESENT),
                    Condition(field="severity", op=Op.AT_LEAST, value=1),
                    Condition(field="stale", op=Op.EQUAL, value=False),
                ),
                page_size=1,
            ),
            now=self.wall(),
            stale_after=self.config().ledger.stale_after,
        )
        page = await self.ledger.search(search)
        count = sum(page.severities.values())
        return f"{pluralize(count, 'finding')} could not be verified" if count else None


def title_of(task: Task) -> str:
    if task.schedule is not None:
        return task.schedule.name
    return task.request.name or ", ".join(task.request.targets[:5])[:_TITLE]


def doubt_of(task: Task) -> str | None:
    """Why findings may be missing in the results of a task although they are not fixed."""
    summary, request = task.summary or {}, task.request
    if task.schedule is None:
        return "no schedule repeats it"
    if task.state is not TaskState.COMPLETED or task.partial is not None:
        return "it did not complete"
    if request.verify is not None or request.rescan_of is not None:
        return "it scanned a part of what an earlier task did"
    if not summary.get("complete"):
        return "its report is not complete"
    if (summary.get("coverage") or {}).get("not_reached", 1):
        return "some targets were not reached"
    verdict = summary.get("verdict") or {}
    if request.credentials and verdict.get("credentialed") != Credentialed.YES:
        return "logins failed"
    return None
