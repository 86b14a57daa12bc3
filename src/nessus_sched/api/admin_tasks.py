"""Operator actions on tasks: search, history and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.access import LAST, Named, chosen_text, managed, named, seen
from nessus_sched.api.answers import StatusAnswer, iso, status_answer
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.core.fields import field
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.states import Meant, TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.untrusted import clean_line

PAGE: Final = 200
ROUTINE: Final = frozenset(
    {"cut", "taken", "scan_pending", "scan_created", "launched", "scan_finished", "completed"}
)
"""Events of every scan that runs to its end."""
MAX_MATCHES: Final = 10
"""How many tasks are listed when part of an id is ambiguous."""


@attrs.frozen(kw_only=True)
class FindArgs:
    part: str = field(
        "How the task's id begins or ends, its name, or `last` for your own latest.",
        min_length=1,
        max_length=256,
    )
    meant: Meant = field("Which of several tasks of that name.", default=Meant.ONLY)


@attrs.frozen(kw_only=True)
class FoundTask:
    task_id: str = field("The whole id.")
    status: str = field("Its state.")
    name: str = field("What it is called.")
    created_at: str = field("When it was accepted (ISO 8601).")


@attrs.frozen(kw_only=True)
class FindAnswer:
    tasks: list[FoundTask] = field("The tasks that may be meant, newest first, at most 10.")
    more: bool = field("There are others.")
    note: str | None = field("Which of several tasks of that name it is.", default=None)


@attrs.frozen(kw_only=True)
class JournalRow:
    seq: int = field("Place in the journal.")
    task_id: str | None = field("The task, or the part of it, to which it happened.")
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
    entries: list[JournalRow] = field(
        "Its whole history, oldest first. Of parts only what is not routine: each has its own."
    )


@attrs.frozen(kw_only=True)
class PurgeArgs:
    task_ids: list[str] = field("Only these dead letters.", factory=list, max_length=1000)
    older_than_seconds: float | None = field(
        "Only those that have been dead for longer.", default=None, minimum=0
    )
    error_code: str | None = field("Only those with this error.", default=None, max_length=64)
    dry_run: bool = field("Only say which.", default=False)


@attrs.frozen(kw_only=True)
class PurgeAnswer:
    task_ids: list[str] = field("The dead letters that are deleted, or would be.")
    dry_run: bool = field("Nothing was deleted.")


@tool(writes=False)
async def find_task(app: ReadApp, call: Call, args: FindArgs) -> FindAnswer:
    """The task with that id; else those whose id begins or ends so, and those of that name."""
    by_name = await named(app, call, args.part, args.meant, limit=MAX_MATCHES + 1)
    by_id: Sequence[Task] = ()
    if args.part != LAST:
        with as_tool_errors():
            by_id = await app.queries.find(args.part.lower(), limit=MAX_MATCHES + 1)
    if [task.task_id for task in by_id] == [args.part]:
        by_name = Named(tasks=())
    known = {task.task_id: task for task in (*by_id, *by_name.tasks) if app.sees(call.peer, task)}
    found = list(known.values())
    return FindAnswer(
        tasks=[
            FoundTask(
                task_id=task.task_id,
                status=task.state,
                name=clean_line(task.request.name, 60),
                created_at=iso(task.created_at) or "",
            )
            for task in found[:MAX_MATCHES]
        ],
        more=len(found) > MAX_MATCHES,
        note=chosen_text(args.part, found[0]) if by_name.chosen and len(found) == 1 else None,
    )


@tool(writes=False)
async def show_journal(app: ReadApp, call: Call, args: TaskArgs) -> JournalAnswer:
    """The whole history of a task, for a split task with what went wrong with its parts."""
    view = await seen(app, call, args.task_id)
    with as_tool_errors():
        records = list(await app.queries.history(args.task_id))
        if view.task.split is not None:
            of_parts = await app.queries.history_of_parts(args.task_id)
            records += [each for each in of_parts if each.entry.event not in ROUTINE]
            records.sort(key=lambda each: each.seq)
    return JournalAnswer(task=status_answer(app, view), entries=journal_rows(records))


@tool(writes=True)
async def retry_dead_letter(app: App, call: Call, args: TaskArgs) -> StatusAnswer:
    """Put a dead letter back into the queue."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        return status_answer(app, await app.service.retry_dead(args.task_id, actor=call.peer.actor))


@tool(writes=True)
async def release_targets(app: App, call: Call, args: TaskArgs) -> StatusAnswer:
    """Declare the scans that a task left on lost scanners dead, which frees their targets."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        return status_answer(app, await app.service.release(args.task_id, actor=call.peer.actor))


@tool(writes=True, destructive=True)
async def purge_dead_letters(app: App, call: Call, args: PurgeArgs) -> PurgeAnswer:
    """Delete dead letters for good; each deletion is journaled."""
    now = app.now()
    with as_tool_errors():
        await _must_be_dead(app, call, args.task_ids)
        dead = TaskFilter(
            states=frozenset({TaskState.DEAD}),
            shown=lambda task: app.manages(call.peer, task),
        )
        doomed = [task.task_id async for task in _tasks(app, dead) if _to_purge(task, args, now)]
        if args.dry_run:
            return PurgeAnswer(task_ids=doomed, dry_run=True)
        purged: list[str] = []
        for start in range(0, len(doomed), PAGE):
            batch = doomed[start : start + PAGE]
            purged += await app.service.purge(batch, actor=call.peer.actor)
        for task_id in purged:
            await app.findings.delete(task_id)
    return PurgeAnswer(task_ids=purged, dry_run=False)


@tool(writes=True)
async def override_windows(app: App, call: Call, args: TaskArgs) -> StatusAnswer:
    """Let a task's running scan go on, whatever windows and blackouts say; journaled."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        view = await app.service.resume(args.task_id, actor=call.peer.actor, override=True)
        return status_answer(app, view)


TASK_ACTIONS: tuple[ToolDef, ...] = (
    override_windows,
    find_task,
    show_journal,
    retry_dead_letter,
    release_targets,
    purge_dead_letters,
)


def journal_rows(records: Sequence[JournalRecord]) -> list[JournalRow]:
    return [
        JournalRow(
            seq=record.seq,
            task_id=record.entry.task_id,
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


async def _tasks(app: App, wanted: TaskFilter) -> AsyncIterator[Task]:
    """All tasks that match, newest first."""
    cursor = None
    while True:
        page = await app.queries.tasks(wanted, limit=PAGE, cursor=cursor)
        for task in page.tasks:
            yield task
        cursor = page.cursor
        if cursor is None:
            return


async def _must_be_dead(app: App, call: Call, task_ids: Sequence[str]) -> None:
    for task_id in task_ids:
        task = (await managed(app, call, task_id)).task
        if task.state is not TaskState.DEAD:
            raise ToolError(
                "not_possible_now",
                f"Task {task_id} is {task.state}, not a dead letter; nothing was purged.",
            )


def _to_purge(task: Task, args: PurgeArgs, now: float) -> bool:
    if args.task_ids and task.task_id not in args.task_ids:
        return False
    dead_for = now - task.entered.get(TaskState.DEAD, task.created_at)
    if args.older_than_seconds is not None and dead_for <= args.older_than_seconds:
        return False
    kind = task.last_error.kind if task.last_error else None
    return args.error_code is None or kind == args.error_code
