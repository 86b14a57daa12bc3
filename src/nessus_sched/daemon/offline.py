"""Answers from the state directory when no daemon is running.

The same operations run as in a daemon, on stores opened for reading, so that every command asks
in one way and answers have one shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import attrs
import trio

from nessus_sched.api import validation
from nessus_sched.api.operations import Call, Registry, ToolDef
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.masking import Masker
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.scheduler.errors import UnknownTask
from nessus_sched.scheduler.views import Standing, TaskView
from nessus_sched.store.findings.reader import OfflineFindings, open_findings_offline
from nessus_sched.store.tasks.journal import JournalRecord
from nessus_sched.store.tasks.listing import TaskFilter, TaskPage
from nessus_sched.store.tasks.offline import OfflineStore, read_offline

_NEED_FINDINGS: Final = frozenset({"read_findings", "search_all", "compare_findings"})
OFFLINE: Final = _NEED_FINDINGS | {
    "get_scan_status", "read_summary", "list_tasks", "list_dead_letters",
    "find_task", "show_journal",
}  # fmt: skip
"""The operations that the stores alone can answer."""


def answer_offline(
    config: Config, registry: Registry, name: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer of an operation in `OFFLINE`.

    Raises `ToolError`, `BadArguments` and `StoreError`.
    """
    tool = registry.get(name)
    assert tool is not None
    # In a thread, because the caller may be in an event loop of its own.
    with ThreadPoolExecutor(1) as threads:
        work = partial(_answer, config, tool, arguments)
        answer: dict[str, Any] = threads.submit(trio.run, work).result()
        return answer


async def _answer(config: Config, tool: ToolDef, arguments: Mapping[str, Any]) -> dict[str, Any]:
    args: Any = validation.parse(tool.arguments, arguments)
    directory = config.state_directory
    with read_offline(directory) as store:
        findings = (
            await open_findings_offline(directory / "findings.db")
            if tool.name in _NEED_FINDINGS
            else None
        )
        try:
            app = _App(service=_Service(store, config), config=config, findings=findings)
            result = await tool.fn(app, Call(peer=Peer(connection="offline")), args)
        finally:
            if findings is not None:
                await findings.aclose()
    return validation.answer(result, Masker(secrets_of(config)).masked)[0]


class _Service:
    """The queries of `scheduler.service.Service`, on a store opened for reading."""

    def __init__(self, store: OfflineStore, config: Config) -> None:
        self._store = store
        self.context = self.store = self.fleet = self
        self.drivers = {scanner.id for scanner in config.scanners}

    async def get(self, task_id: str) -> Task | None:
        return self._store.get(task_id)

    async def by_id_part(self, part: str, *, limit: int) -> Sequence[Task]:
        return self._store.by_id_part(part, limit=limit)

    def counts(self) -> dict[TaskState, int]:
        return self._store.counts()

    async def task(self, task_id: str) -> TaskView:
        task = self._store.get(task_id)
        if task is None:
            raise UnknownTask(f"no task {task_id!r}")
        return self.view(task)

    async def tasks(self, wanted: TaskFilter, *, limit: int, cursor: int | None = None) -> TaskPage:
        return self._store.list(wanted, limit=limit, cursor=cursor)

    async def history(self, task_id: str) -> Sequence[JournalRecord]:
        return self._store.journal_of(task_id)

    def views(self, tasks: Sequence[Task]) -> list[TaskView]:
        return [self.view(task) for task in tasks]

    def view(self, task: Task) -> TaskView:
        return TaskView(task=task, standing=Standing(), progress=task.progress)


@attrs.frozen(kw_only=True)
class _App:
    """The parts of `api.app.App` that the reading operations use."""

    service: _Service
    config: Config
    findings: OfflineFindings | None

    def sees(self, _peer: Peer, _task: Task) -> bool:
        """Whoever can read the files may see every task."""
        return True

    def scopes_of(self, _peer: Peer) -> Sequence[Scope]:
        return ()

    def now(self) -> float:
        return system_now()
