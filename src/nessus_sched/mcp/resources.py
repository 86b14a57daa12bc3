"""Resources: tasks, hosts and the state of the programme as documents that a client can attach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import attrs

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.exceptions.tools import list_exceptions
from nessus_sched.api.findings import get_scan_results, get_scan_summary
from nessus_sched.api.operations import Call, ToolDef, ToolError
from nessus_sched.api.outcomes.changes import get_changes
from nessus_sched.api.outcomes.ledger import get_host
from nessus_sched.api.queue import get_queue_status
from nessus_sched.api.schedules.plan import get_plan
from nessus_sched.api.schedules.tools import list_schedules
from nessus_sched.api.tasks import get_scan_status
from nessus_sched.api.untrusted import for_model
from nessus_sched.core.masking import Masker
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.bounded import bounded
from nessus_sched.mcp.definitions import ResourceDef

SCHEME: Final = "nessus-sched://"
LONGEST: Final = 200

_FIXED: Final = {
    "queue": (get_queue_status, "Running and waiting tasks, and why they wait."),
    "plan": (get_plan, "What scans are due, when they will run, and what will not fit."),
    "schedules": (list_schedules, "The schedules, with their latest and next runs."),
    "changes": (get_changes, "What scans changed in the last 7 days."),
    "exceptions": (list_exceptions, "Open exceptions for findings."),
}
_HOST: Final = ResourceDef(
    uri=f"{SCHEME}host/{{host}}",
    name="host",
    description="Whether a host is clean and what is open on it, as get_host returns it.",
)
_TASK: Final = (
    ResourceDef(
        uri=f"{SCHEME}task/{{task_id}}",
        name="task status",
        description="Status of a task, as get_scan_status returns it.",
    ),
    ResourceDef(
        uri=f"{SCHEME}task/{{task_id}}/summary",
        name="task summary",
        description="Summary of a completed task, as get_scan_summary returns it.",
    ),
    ResourceDef(
        uri=f"{SCHEME}task/{{task_id}}/results",
        name="task results",
        description="Worst findings of a completed task: the first page of get_scan_results.",
    ),
)
_READERS: Final = {
    "": get_scan_status,
    "summary": get_scan_summary,
    "results": get_scan_results,
}


def _utc() -> str:
    return "UTC"


@attrs.frozen(kw_only=True)
class TaskResources:
    """The daemon's resources. Reading one calls the tool with the same answer, so it needs the
    same permission. `permits` decides that; `mask` removes secrets; `zone` is that of times."""

    app: App
    permits: Callable[[Peer, ToolDef], bool]
    mask: Masker = attrs.field(factory=Masker)
    zone: Callable[[], str] = _utc

    @property
    def definitions(self) -> Sequence[ResourceDef]:
        fixed = (
            ResourceDef(uri=f"{SCHEME}{name}", name=name, description=description)
            for name, (_, description) in _FIXED.items()
        )
        return (*fixed, _HOST, *_TASK)

    async def read(self, call: Call, uri: str) -> tuple[str, str]:
        tool, arguments = _parse_uri(uri)
        if not self.permits(call.peer, tool):
            raise _unknown(uri)
        try:
            args: Any = validation.parse(tool.arguments, arguments)
        except validation.BadArguments as error:
            raise _unknown(uri) from error
        shown = bounded(partial(for_model, mask=self.mask, zone=self.zone()))
        _, text = validation.answer(await tool.fn(self.app, call, args), shown)
        return "application/json", text


def _parse_uri(uri: str) -> tuple[ToolDef, dict[str, Any]]:
    if uri.startswith(SCHEME) and (found := _FIXED.get(uri.removeprefix(SCHEME))) is not None:
        return found[0], {}
    place, _, rest = uri.removeprefix(SCHEME).partition("/")
    if uri.startswith(SCHEME) and place == "host" and rest:
        return get_host, {"host": unquote(rest)}
    task_id, _, part = rest.partition("/")
    reader = _READERS.get(part)
    if not uri.startswith(SCHEME) or place != "task" or not task_id or reader is None:
        raise _unknown(uri)
    return reader, {"task_id": unquote(task_id)}


def _unknown(uri: str) -> ToolError:
    return ToolError(
        "unknown_resource",
        f"There is no resource {uri[:LONGEST]}",
        f"There are {', '.join(SCHEME + name for name in _FIXED)}, {SCHEME}host/HOST, and "
        f"{SCHEME}task/TASK_ID with an optional /summary or /results.",
    )
