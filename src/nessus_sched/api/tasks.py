"""Tasks: how they stand, waiting for them, and stopping, pausing or resuming them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs
import trio

from nessus_sched.api.access import managed, seen, visible
from nessus_sched.api.answers import (
    StatusAnswer,
    iso,
    status_answer,
    submitter_text,
    wait_answer,
)
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors, check_pool, check_scanner
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.paging import MAX_ROWS, USUAL_ROWS, parse_cursor, take_within, token_budget
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.fields import field
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.targets.targets import BadTargets, parse_targets
from nessus_sched.core.task import ScanKind
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import UsersUnavailable
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.views import TaskView

LONGEST_WAIT = 25.0
"""Seconds; hosts cut calls off at 60, some earlier."""
REPORT_EVERY = 5.0
_TARGETS = 5
"""Targets of each task in a list."""


@attrs.frozen(kw_only=True)
class TaskArgs:
    task_id: str = field("The id of the task.", max_length=64)


@attrs.frozen(kw_only=True)
class CancelArgs(TaskArgs):
    discard: bool = field("Discard what a running scan has found.", default=False)


@attrs.frozen(kw_only=True)
class WaitArgs(TaskArgs):
    timeout_seconds: float = field(
        "How long to wait at most.", default=LONGEST_WAIT, minimum=0, maximum=LONGEST_WAIT
    )


@attrs.frozen(kw_only=True)
class WaitedAnswer:
    timed_out: bool = field("The time was up before the task settled.")
    task: StatusAnswer = field("The task as it is now.")


@attrs.frozen(kw_only=True)
class ListArgs:
    """Filters; what is left out does not restrict."""

    states: list[TaskState] = field(
        "Only in these states.", factory=list, max_length=10, examples=(["running"],)
    )
    scanner_instance: str | None = field("Only of this scanner.", default=None, max_length=64)
    pool: str | None = field("Only of this pool.", default=None, max_length=64)
    kind: ScanKind | None = field("Only of this kind.", default=None)
    target: str | None = field(
        "Only with targets in this network.",
        default=None,
        max_length=200,
        examples=("192.0.2.0/24",),
    )
    part_of: str | None = field(
        "The parts of this task, which runs as several scans.", default=None, max_length=64
    )
    text: str = field("Only with this in name or description.", default="", max_length=200)
    submitter: str | None = field(
        "Only of this user: a name, a uid, or `me`.", default=None, max_length=64
    )
    created_after: datetime | None = field(
        "ISO 8601 with offset.", default=None, examples=("2026-01-31T00:00Z",)
    )
    created_before: datetime | None = field("ISO 8601 with offset.", default=None)
    limit: int = field("Tasks per page.", default=USUAL_ROWS, minimum=1, maximum=MAX_ROWS)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class TaskRow:
    task_id: str = field("The task.")
    name: str = field("As submitted.")
    kind: str = field("Kind of scan.")
    status: str = field("State.")
    scanner_instance: str | None = field("Scanner.")
    progress_percent: int | None = field("Of the running scan.")
    targets: list[str] = field("The first few targets.")
    targets_left_out: int = field("How many more there are.")
    submitted_by: str = field("Who asked for it.")
    created_at: str = field("ISO 8601.")
    queue_position: int | None = field("When it waits in a queue.")
    wait_reason: str | None = field("Why it waits.")
    partial: bool = field("The results are those of a scan that ended early.")
    severity_counts: dict[str, int] | None = field("When there are results.")
    compliance_counts: dict[str, int] | None = field("Compliance checks by result.")


@attrs.frozen(kw_only=True)
class ListAnswer:
    tasks: list[TaskRow] = field("Newest first.")
    next_cursor: str | None = field("For the next page; null at the end.")
    counts: dict[str, int] | None = field(
        "Matching tasks by state, on all pages; null with filters other than states."
    )
    untrusted: str = field("How to treat the texts.")


@tool(writes=False)
async def get_scan_status(app: ReadApp, call: Call, args: TaskArgs) -> StatusAnswer:
    """Show a task's status: state, progress, place in the queue and why it waits, errors with
    what to do, and once completed the number of findings by severity and whether logins
    worked. For the findings themselves use get_scan_summary or get_scan_results."""
    return status_answer(app, await seen(app, call, args.task_id))


@tool(writes=False, timeout=LONGEST_WAIT + 10)
async def wait_for_scan(app: App, call: Call, args: WaitArgs) -> WaitedAnswer:
    """Wait until a task has settled (completed, partial, canceled, timed_out or dead), at most 25
    seconds, and return its status. Most scans take far longer: tell the user and come back
    later."""
    started = trio.current_time()
    view = await seen(app, call, args.task_id)
    with as_tool_errors():
        while view.task.state not in SETTLED:
            left = args.timeout_seconds - (trio.current_time() - started)
            if left <= 0:
                break
            await _report(call, view, trio.current_time() - started, args.timeout_seconds)
            view = await app.service.wait(args.task_id, within=min(left, REPORT_EVERY))
    return WaitedAnswer(timed_out=view.task.state not in SETTLED, task=status_answer(app, view))


@tool(writes=False)
async def list_tasks(app: ReadApp, call: Call, args: ListArgs) -> ListAnswer:
    """List the scans that were submitted, run or ran (tasks), newest first, by state, scanner,
    pool, kind, target, time or text. Use it to find a task_id."""
    wanted = TaskFilter(
        states=frozenset(args.states),
        scanner=args.scanner_instance,
        pool=args.pool,
        kind=args.kind,
        created_from=args.created_after.timestamp() if args.created_after else None,
        created_before=args.created_before.timestamp() if args.created_before else None,
        text=args.text,
        part_of=args.part_of,
        targets=None if args.target is None else overlapping(args.target),
        actor=await _actor(app, call, args.submitter),
        shown=visible(app, call) if app.scopes_of(call.peer) else None,
    )
    with as_tool_errors():
        cursor = parse_cursor(args.cursor, "list_tasks")
        page = await app.queries.tasks(wanted, limit=args.limit, cursor=cursor)
    if not page.tasks and cursor is None:
        # With a wrong name an empty list would be taken for idleness.
        check_scanner(app, args.scanner_instance)
        check_pool(app, args.pool)
    rows = take_within(
        [_row(app, view) for view in app.queries.views(page.tasks)], token_budget(args.limit)
    )
    after = page.cursor if len(rows) == len(page.tasks) else page.tasks[len(rows) - 1].order
    return ListAnswer(
        tasks=rows,
        next_cursor=None if after is None else str(after),
        counts=_counts(app, wanted),
        untrusted=NAMES,
    )


@tool(writes=True, destructive=True, like="get_scan_status")
async def cancel_scan(app: App, call: Call, args: CancelArgs) -> StatusAnswer:
    """Stop (cancel) a scan: take it out of the queue, or stop its scan on the scanner. What a
    running scan has found is kept as partial results. Canceling twice does no harm."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        view = await app.service.cancel(args.task_id, actor=call.peer.actor, discard=args.discard)
        return status_answer(app, view)


@tool(writes=True, like="get_scan_status")
async def pause_scan(app: App, call: Call, args: TaskArgs) -> StatusAnswer:
    """Pause a task. A running scan keeps its slot on the scanner until resume_scan or
    cancel_scan, so do not leave it paused for long; a waiting task is not launched."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        return status_answer(app, await app.service.pause(args.task_id, actor=call.peer.actor))


@tool(writes=True, like="get_scan_status")
async def resume_scan(app: App, call: Call, args: TaskArgs) -> StatusAnswer:
    """Continue (resume) a paused scan."""
    await managed(app, call, args.task_id)
    with as_tool_errors():
        return status_answer(app, await app.service.resume(args.task_id, actor=call.peer.actor))


TASK_TOOLS: tuple[ToolDef, ...] = (
    get_scan_status,
    wait_for_scan,
    list_tasks,
    cancel_scan,
    pause_scan,
    resume_scan,
)


def _counts(app: ReadApp, wanted: TaskFilter) -> dict[str, int] | None:
    """Tasks by state, as far as they are known without reading them."""
    if wanted != TaskFilter(states=wanted.states):
        return None
    counts = app.queries.counts().items()
    return {
        state: count
        for state, count in counts
        if count and (not wanted.states or state in wanted.states)
    }


def overlapping(text: str) -> Callable[[Sequence[str]], bool]:
    """Whether a task's target texts overlap `text`. Raises `ToolError` for a bad `text`."""
    try:
        wanted = parse_targets(text)
    except BadTargets as error:
        raise ToolError("bad_arguments", f"target: {error}") from error
    return lambda texts: parse_targets(texts).overlaps(wanted)


async def _actor(app: ReadApp, call: Call, submitter: str | None) -> str | None:
    """How the journal names a user that a filter names. Raises `ToolError`."""
    if submitter is None:
        return None
    if submitter == "me":
        return call.peer.actor
    try:
        uid = int(submitter) if submitter.isdecimal() else await app.users().uid_of(submitter)
    except (KeyError, ValueError) as error:  # no such user; no name or number that one can have
        name = submitter[:40]
        raise ToolError("bad_arguments", f"submitter: there is no user {name!r}") from error
    except UsersUnavailable as error:
        raise ToolError("try_again", f"submitter: {error}") from error
    return Peer(connection="", uid=uid).actor


async def _report(call: Call, view: TaskView, waited: float, total: float) -> None:
    progress = f", {view.progress} %" if view.progress is not None else ""
    await call.progress(waited, total, f"{view.task.state}{progress}")


def _row(app: ReadApp, view: TaskView) -> TaskRow:
    task, wait = view.task, wait_answer(app, view)
    summary = task.summary or {}
    return TaskRow(
        task_id=task.task_id,
        name=clean_line(task.request.name),
        kind=task.request.kind,
        status=task.state,
        scanner_instance=task.scanner_instance,
        progress_percent=view.progress,
        targets=list(task.request.targets[:_TARGETS]),
        targets_left_out=max(0, len(task.request.targets) - _TARGETS),
        submitted_by=submitter_text(task),
        created_at=iso(task.created_at) or "",
        queue_position=wait.queue_position if wait else None,
        wait_reason=wait.wait_reason if wait else None,
        partial=task.partial is not None,
        severity_counts=summary.get("severity_counts"),
        compliance_counts=summary.get("compliance_counts") or None,
    )
