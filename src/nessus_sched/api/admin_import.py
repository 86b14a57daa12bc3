"""Operator actions that take in a report from elsewhere, piece by piece."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import attrs
import structlog

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.untrusted import sanitize
from nessus_sched.core.fields import field
from nessus_sched.core.task import Task
from nessus_sched.results.untrusted import clean_line

PIECE: Final = 2**20
"""Bytes that are sent at a time."""
log = structlog.get_logger("mcp")

UNDATED: Final = (
    "The report does not enter the ledger: it does not say when its hosts were scanned, or later "
    "scans of them are known. Answers about the present leave it out."
)
_TOLD: Final = ("hosts", "findings", "severity_counts", "compliance_counts", "complete", "problems")


@attrs.frozen(kw_only=True)
class BeginArgs:
    name: str = field("What to call the task.", default="", max_length=100)
    file: str = field("Name of the file it comes from.", default="", max_length=255)


@attrs.frozen(kw_only=True)
class UploadAnswer:
    task_id: str = field("The task that it will be.")


@attrs.frozen(kw_only=True)
class PieceArgs:
    task_id: str = field("Of import_begin.", min_length=1, max_length=64)
    data: str = field("The next bytes of the file, in base64.", max_length=2 * PIECE)


@attrs.frozen(kw_only=True)
class EndArgs:
    task_id: str = field("Of import_begin.", min_length=1, max_length=64)


@attrs.frozen(kw_only=True)
class ImportAnswer:
    task_id: str = field("The task that has the results now.")
    name: str = field("What it is called.")
    hosts: int = field("Hosts in the report.")
    findings: int = field("Findings in it.")
    severity_counts: dict[str, int] = field("Findings by severity.")
    compliance_counts: dict[str, int] = field("Compliance checks by result.")
    complete: bool = field("It could be read to its end.")
    problems: list[dict[str, Any]] = field("What could not be read.")
    notes: list[str] = field("Why it does not count everywhere.")


@tool(writes=True, idempotent=False)
async def import_begin(app: App, call: Call, args: BeginArgs) -> UploadAnswer:
    """Begin to import a .nessus report."""
    with as_tool_errors():
        task_id = app.service.imports.begin(
            name=args.name, file=args.file, owner=call.peer.connection
        )
    return UploadAnswer(task_id=task_id)


# It changes nothing that lasts, and would fill the log.
@tool(writes=False, idempotent=False)
async def import_piece(app: App, call: Call, args: PieceArgs) -> UploadAnswer:
    """The next bytes of a report that is being imported."""
    try:
        piece = base64.b64decode(args.data, validate=True)
    except ValueError as error:  # of binascii, or for characters beyond ASCII
        raise ToolError("bad_arguments", f"data: {error}") from error
    with as_tool_errors():
        await app.service.imports.add(args.task_id, piece, owner=call.peer.connection)
    return UploadAnswer(task_id=args.task_id)


@tool(writes=True, idempotent=False, timeout=3600)
async def import_end(app: App, call: Call, args: EndArgs) -> ImportAnswer:
    """Read the report that was sent, and keep it as a completed task."""
    with as_tool_errors():
        task = await app.service.imports.finish(
            args.task_id,
            owner=call.peer.connection,
            actor=call.peer.actor,
            trace_id=call.trace_id,
        )
    log.info("task_imported", task_id=task.task_id, actor=task.actor)
    with as_tool_errors():
        entered = await app.ledger.scan_times([task.task_id])
    undated = not entered and not app.ledger.waiting
    return import_answer(task, [UNDATED] if undated else [])


IMPORT_ACTIONS: tuple[ToolDef, ...] = (import_begin, import_piece, import_end)


def import_answer(task: Task, notes: Sequence[str] = ()) -> ImportAnswer:
    told = {key: sanitize((task.summary or {})[key]) for key in _TOLD}
    name = clean_line(task.request.name)
    return ImportAnswer(task_id=task.task_id, name=name, notes=list(notes), **told)
