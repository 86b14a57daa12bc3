"""Answers from the state directory when no daemon runs.

The same tools are called as on a daemon, on stores opened for reading; so every command
has one way to ask, and the answers have one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click
import trio

from nessus_sched.api import validation
from nessus_sched.api.admin import OPERATORS
from nessus_sched.api.operations import Call, Registry, ToolError
from nessus_sched.api.tools import TOOLS
from nessus_sched.cli.client import NoDaemon, Refused, check_text
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.masking import Masker
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.scheduler.errors import UnknownTask
from nessus_sched.scheduler.views import Standing, TaskView
from nessus_sched.store.findings.reader import OfflineFindings, open_findings_offline
from nessus_sched.store.tasks.journal import JournalRecord
from nessus_sched.store.tasks.listing import TaskFilter, TaskPage
from nessus_sched.store.tasks.offline import OfflineStore, read_offline

_WITH_FINDINGS: Final = frozenset({"read_findings", "search_all", "compare_findings"})
ANSWERED: Final = _WITH_FINDINGS | {
    "get_scan_status", "read_summary", "list_tasks", "list_dead_letters",
    "find_task", "show_journal",
}  # fmt: skip
"""What can be told from the stores alone."""


class Left:
    """Answers as a daemon does, from what the last one left."""

    def __init__(self, config: Config, reason: NoDaemon) -> None:
        self._config = config
        self._reason = reason

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return self._called(TOOLS, tool, arguments)

    def operate(self, action: str, /, **arguments: Any) -> dict[str, Any]:
        return self._called(OPERATORS, action, arguments)

    def _called(self, registry: Registry, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name not in ANSWERED:
            raise self._reason
        check_text(arguments)
        # In a thread, because the caller may be in an event loop of its own.
        with ThreadPoolExecutor(1) as threads:
            work = partial(self._answer, registry, name, arguments)
            answer: dict[str, Any] = threads.submit(trio.run, work).result()
            return answer

    async def _answer(
        self, registry: Registry, name: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        tool = registry.get(name)
        assert tool is not None
        directory = self._config.state_directory
        try:
            args: Any = validation.parse(tool.arguments, arguments)
            with read_offline(directory) as store:
                findings = await _findings(directory) if name in _WITH_FINDINGS else None
                try:
                    app = _StandIn(
                        service=_Service(store, self._config),
                        config=self._config,
                        findings=findings,
                    )
                    result = await tool.fn(app, Call(peer=Peer(connection="offline")), args)
                finally:
                    if findings is not None:
                        await findings.aclose()
        except ToolError as error:
            raise Refused(error.message, error.code) from error
        except validation.BadArguments as error:
            raise Refused(str(error), error.code) from error
        except StoreError as error:
            raise click.ClickException(str(error)) from error
        return validation.answer(result, Masker(secrets_of(self._config)).masked)[0]


async def _findings(directory: Path) -> OfflineFindings:
    return await open_findings_offline(directory / "findings.db")


class _Service:
    """The reading half of `scheduler.service.Service`."""

    def __init__(self, store: OfflineStore, config: Config) -> None:
        self._store = store
        self.context = self.store = self.fleet = self
        self.drivers = {scanner.id for scanner in config.scanners}

    async def get(self, task_id: str) -> Task | None:
        return self._store.get(task_id)

    async def meant(self, part: str, *, limit: int) -> Sequence[Task]:
        return self._store.meant(part, limit=limit)

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
class _StandIn:
    """What the reading tools want of `mcp.app.App`."""

    service: _Service
    config: Config
    findings: OfflineFindings | None

    def sees(self, _peer: Peer, _task: Task) -> bool:
        """The files are readable, and nothing else keeps them from the caller."""
        return True

    def scopes_of(self, _peer: Peer) -> Sequence[Scope]:
        return ()

    def now(self) -> float:
        return system_now()
