"""Answers from the state directory when no daemon is running.

The same operations run as in a daemon, on stores opened for reading, so that every command asks
in one way and answers have one shape.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from nessus_sched.api import validation
from nessus_sched.api.app import ReadApp
from nessus_sched.api.operations import Call, Registry, ToolDef
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.calendar.local_times import localized
from nessus_sched.core.clock import Now, system_now
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.masking import Masker
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreError, StoreUnavailable
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter, TaskPage
from nessus_sched.daemon.storage.places import read_tasks
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import Users
from nessus_sched.scheduler.queries import StoredTasks
from nessus_sched.store.findings.reader import OfflineFindings, open_findings_offline
from nessus_sched.store.ledger.store import OfflineLedger, open_ledger_offline
from nessus_sched.store.tasks.offline import OfflineStore

_NEED_FINDINGS: Final = frozenset(
    {
        "read_findings",
        "search_all",
        "search_now",
        "compare_findings",
        "read_coverage",
        "read_report",
    }
)
_NEED_LEDGER: Final = frozenset(
    {"read_host", "read_changes", "read_reach", "search_now", "read_report"}
)
_BETTER_WITH_LEDGER: Final = frozenset({"read_findings", "search_all", "compare_findings"})
"""They say what is missing if the ledger cannot be read."""
OFFLINE: Final = _NEED_FINDINGS | _NEED_LEDGER | {
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
    mask = Masker(secrets_of(config))
    with read_tasks(config) as store:
        ledger, no_ledger = await _open_ledger(directory, tool.name)
        findings = (
            await open_findings_offline(directory / "findings.db")
            if tool.name in _NEED_FINDINGS
            else None
        )
        try:
            app: ReadApp = _App(
                config=config,
                queries=StoredTasks(_Tasks(store), [each.id for each in config.scanners]),
                opened=findings,
                opened_ledger=ledger,
                no_ledger=no_ledger,
                mask=mask,
            )
            result = await tool.fn(
                app, Call(peer=Peer(connection="offline", uid=os.getuid())), args
            )
        finally:
            for opened in (findings, ledger):
                if opened is not None:
                    await opened.aclose()
    zone = config.calendar.time_zone
    return validation.answer(result, lambda value: localized(mask.masked(value), zone))[0]


async def _open_ledger(directory: Path, name: str) -> tuple[OfflineLedger | None, str | None]:
    """The ledger if the operation needs it, and if it only is better with it, why there is none.
    Raises `StoreError`."""
    if name not in _NEED_LEDGER | _BETTER_WITH_LEDGER:
        return None, None
    try:
        return await open_ledger_offline(directory / "ledger.db", directory / "findings.db"), None
    except StoreError as error:
        if name in _NEED_LEDGER:
            raise
        return None, str(error)


class _Tasks:
    """A `TaskReader` on a store opened for reading."""

    def __init__(self, store: OfflineStore) -> None:
        self._store = store

    async def get(self, task_id: str) -> Task | None:
        return self._store.get(task_id)

    async def by_id_part(self, part: str, *, limit: int) -> Sequence[Task]:
        return self._store.by_id_part(part, limit=limit)

    async def list(
        self, wanted: TaskFilter | None = None, *, limit: int = 50, cursor: int | None = None
    ) -> TaskPage:
        return self._store.list(wanted, limit=limit, cursor=cursor)

    async def journal_of(self, task_id: str) -> Sequence[JournalRecord]:
        return self._store.journal_of(task_id)

    async def journal_of_parts(self, task_id: str) -> Sequence[JournalRecord]:
        return self._store.journal_of_parts(task_id)

    def counts(self) -> Mapping[TaskState, int]:
        return self._store.counts()


def _sees(_peer: Peer, _task: Task) -> bool:
    """A user who can read the files may see every task."""
    return True


def _scopes_of(_peer: Peer) -> Sequence[Scope]:
    return ()


@attrs.frozen(kw_only=True)
class _App:
    """A `ReadApp` without a daemon."""

    config: Config
    queries: StoredTasks
    opened: OfflineFindings | None
    opened_ledger: OfflineLedger | None
    no_ledger: str | None
    mask: Masker
    now: Now = system_now
    sees: Callable[[Peer, Task], bool] = _sees
    scopes_of: Callable[[Peer], Sequence[Scope]] = _scopes_of
    users: Callable[[], Users] = Users

    @property
    def findings(self) -> OfflineFindings:
        """Opened only for the operations in `_NEED_FINDINGS`."""
        assert self.opened is not None
        return self.opened

    @property
    def ledger(self) -> OfflineLedger:
        """Opened only for the operations in `_NEED_LEDGER` and `_BETTER_WITH_LEDGER`."""
        if self.no_ledger is not None:
            raise StoreUnavailable(self.no_ledger)
        assert self.opened_ledger is not None
        return self.opened_ledger
