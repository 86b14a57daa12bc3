"""Operator actions: for the command line, never shown to models."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.core.fields import field
from nessus_sched.mcp.answers import StatusAnswer, iso, status_answer
from nessus_sched.mcp.refusals import translated
from nessus_sched.mcp.registry import Call, Registry, ToolDef, tool
from nessus_sched.mcp.tools_fleet import NoArgs, ScannerAnswer, scanner_answer
from nessus_sched.mcp.tools_tasks import TaskArgs


@attrs.frozen(kw_only=True)
class ReloadAnswer:
    applied: bool = field("The file is in force now.")
    problems: list[str] = field("What is wrong with it; the old configuration stays.")


@attrs.frozen(kw_only=True)
class JournalRow:
    at: str = field("ISO 8601.")
    event: str = field("What happened.")
    before: str | None = field("State before.")
    after: str | None = field("State after.")
    actor: str = field("On whose behalf.")
    cause: str = field("Why.")
    detail: dict[str, Any] = field("More.")


@attrs.frozen(kw_only=True)
class JournalAnswer:
    task: StatusAnswer = field("The task.")
    entries: list[JournalRow] = field("Its whole history, oldest first.")


@attrs.frozen(kw_only=True)
class SwitchArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)
    action: str = field("drain, undrain, enable or disable.", max_length=16)


@attrs.frozen(kw_only=True)
class PauseArgs:
    running: str = field("What becomes of running scans: keep, pause or stop.", default="keep")


@attrs.frozen(kw_only=True)
class PausedAnswer:
    paused: bool = field("Nothing starts.")
    told: int = field("Running scans that were told to pause or stop.")


@tool(writes=True)
async def reload(app: Any, call: Call, args: NoArgs) -> ReloadAnswer:
    """Re-read the configuration and apply it, or say what is wrong with it."""
    problems = await app.reload()
    return ReloadAnswer(applied=not problems, problems=list(problems))


@tool(writes=False)
async def show_journal(app: Any, call: Call, args: TaskArgs) -> JournalAnswer:
    """The whole history of a task."""
    with translated():
        view = await app.service.task(args.task_id)
        records = await app.service.history(args.task_id)
    rows = [
        JournalRow(
            at=iso(record.entry.at) or "",
            event=record.entry.event,
            before=record.entry.before,
            after=record.entry.after,
            actor=record.entry.actor,
            cause=record.entry.cause,
            detail=dict(record.entry.detail),
        )
        for record in records
    ]
    return JournalAnswer(task=status_answer(app, view), entries=rows)


@tool(writes=True)
async def retry_dead_letter(app: Any, call: Call, args: TaskArgs) -> StatusAnswer:
    """Put a dead letter back into the queue."""
    with translated():
        return status_answer(app, await app.service.retry_dead(args.task_id, actor=call.peer.actor))


@tool(writes=True)
async def switch_scanner(app: Any, call: Call, args: SwitchArgs) -> ScannerAnswer:
    """Drain, undrain, enable or disable a scanner."""
    with translated():
        await app.operator.switch(args.scanner_instance, args.action, actor=call.peer.actor)
    found = {view.settings.id: view for view in app.service.scanners()}
    return scanner_answer(found[args.scanner_instance])


@tool(writes=True)
async def pause_all(app: Any, call: Call, args: PauseArgs) -> PausedAnswer:
    """Start nothing more, anywhere; on request pause or stop what runs."""
    with translated():
        told = await app.operator.pause_all(args.running, actor=call.peer.actor)
    return PausedAnswer(paused=True, told=told)


@tool(writes=True)
async def resume_all(app: Any, call: Call, args: NoArgs) -> PausedAnswer:
    """Let scans start again."""
    with translated():
        await app.operator.resume_all(actor=call.peer.actor)
    return PausedAnswer(paused=False, told=0)


_ALL: tuple[ToolDef, ...] = (
    reload,
    show_journal,
    retry_dead_letter,
    switch_scanner,
    pause_all,
    resume_all,
)
OPERATORS = Registry(_ALL)
