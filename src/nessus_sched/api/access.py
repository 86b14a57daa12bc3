"""Access to tasks: which one is meant, and what the caller may see and change by role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import attrs

from nessus_sched.api.answers import iso
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError
from nessus_sched.core.states import LIVE, SETTLED, Meant
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.views import TaskView

LAST: Final = "last"
"""The caller's latest task."""
_IDS: Final = ("task_id", "before_task_id", "after_task_id")
"""Arguments that name a task."""
_ID_BEGINS: Final = "t-"
_NAMED: Final = 5
"""How many tasks of the same name an error lists."""
_ABOUT_ENDED: Final = frozenset(
    {
        "get_scan_results", "get_scan_summary", "compare_scans", "get_coverage", "create_report",
        "rescan",
    }
)  # fmt: skip
"""Tools that are about what a scan has found."""


@attrs.frozen(kw_only=True)
class Named:
    """The tasks that may be meant, newest first: one, unless that is not clear. `chosen` if there
    are others of that name."""

    tasks: Sequence[Task]
    chosen: bool = False


async def named(app: ReadApp, call: Call, text: str, meant: Meant, *, limit: int) -> Named:
    """Of the tasks that the caller may see with exactly that name, those that are `meant`; for
    `LAST` the one that the caller submitted last, or without a daemon, when nobody can change it,
    the latest."""
    sees = visible(app, call)
    if text == LAST:
        actor = call.peer.actor if isinstance(app, App) else None
        return Named(tasks=await _tasks(app, TaskFilter(actor=actor, shown=sees), 1))
    every = TaskFilter(
        text=text,
        shown=lambda task: (
            text in (task.request.name, clean_line(task.request.name)) and sees(task)
        ),
    )
    found = await _tasks(app, every, limit)
    if len(found) < 2 or meant is Meant.ONLY:
        return Named(tasks=found)
    if meant is Meant.ENDED:
        settled = attrs.evolve(every, states=SETTLED)
        with_results = attrs.evolve(
            settled, shown=lambda task: task.summary is not None and _shows(every, task)
        )
        wanted = await _tasks(app, with_results, 1) or await _tasks(app, settled, 1)
    else:
        wanted = await _tasks(app, attrs.evolve(every, states=LIVE), limit)
    if meant is Meant.UNFINISHED and len(wanted) > 1:
        return Named(tasks=wanted)
    return Named(tasks=(wanted or found)[:1], chosen=True)


def _shows(wanted: TaskFilter, task: Task) -> bool:
    return wanted.shown is None or wanted.shown(task)


async def _tasks(app: ReadApp, wanted: TaskFilter, limit: int) -> Sequence[Task]:
    with as_tool_errors():
        return (await app.queries.tasks(wanted, limit=limit)).tasks


async def with_task_ids(
    app: object, call: Call, tool: ToolDef, args: Any
) -> tuple[Any, Sequence[str]]:
    """The arguments with ids in place of names of tasks, and notes on which of several is meant.
    Nothing that begins like an id is a name here. Raises `ToolError` if that is not clear.

    Tools that change something do not take `LAST`: two conversations of a user have the same one.
    """
    notes: list[str] = []
    for key in _IDS:
        text = getattr(args, key, None)
        if not isinstance(text, str) or not text or text.startswith(_ID_BEGINS):
            continue
        if text == LAST and tool.writes:
            raise ToolError(
                "ambiguous_task", f"{key}: give the id of the task to change, not {LAST!r}."
            )
        found = await named(cast("ReadApp", app), call, text, _meant_by(tool), limit=_NAMED + 1)
        if len(found.tasks) > 1:
            raise ToolError(
                "ambiguous_task", f"{key}: {_several(found.tasks)}", "Give the id of one of them."
            )
        for task in found.tasks:
            args = attrs.evolve(args, **{key: task.task_id})
            if found.chosen:
                notes.append(chosen_text(text, task))
    return args, notes


def _meant_by(tool: ToolDef) -> Meant:
    if tool.name in _ABOUT_ENDED:
        return Meant.ENDED
    return Meant.UNFINISHED if tool.writes else Meant.LATEST


def _several(tasks: Sequence[Task]) -> str:
    listed = ", ".join(
        f"{task.task_id} ({task.state}, {iso(task.created_at)})" for task in tasks[:_NAMED]
    )
    more = " and others" if len(tasks) > _NAMED else ""
    return f"several unfinished tasks have that name: {listed}{more}."


def chosen_text(name: str, task: Task) -> str:
    """Says which of several tasks is meant."""
    return (
        f"Several tasks are named {clean_line(name, 100)!r}; this is about {task.task_id} "
        f"({task.state}, submitted {iso(task.created_at)})."
    )


async def seen(app: ReadApp, call: Call, task_id: str) -> TaskView:
    """The task. Raises `ToolError` if there is none or the caller's role may not see it."""
    with as_tool_errors():
        view = await app.queries.task(task_id)
    if not app.sees(call.peer, view.task):
        raise ToolError(
            "not_permitted",
            f"Task {view.task.task_id} is another user's, and has targets outside your role.",
            "list_tasks shows the tasks that you may see.",
        )
    return view


async def managed(app: App, call: Call, task_id: str) -> TaskView:
    """The task, to change it. Raises `ToolError` if the caller's role may not."""
    view = await seen(app, call, task_id)
    if not app.manages(call.peer, view.task):
        raise ToolError(
            "not_permitted",
            f"Task {view.task.task_id} is another user's, and your role does not manage those.",
            "Ask its submitter, or the operator for a role with `manage_others`.",
        )
    return view


def visible(app: ReadApp, call: Call) -> Callable[[Task], bool]:
    """Whether the caller may see a task, for filters."""
    return lambda task: app.sees(call.peer, task)
