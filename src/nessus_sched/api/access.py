"""Access to tasks: which one is meant, and what the caller may see and change by role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import attrs

from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError
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


async def named(app: ReadApp, call: Call, text: str, *, limit: int) -> Sequence[Task]:
    """The tasks that the caller may see with exactly that name, newest first; for `LAST` the one
    that the caller submitted last, or without a daemon, when nobody can change it, the latest."""
    sees = visible(app, call)
    if text == LAST:
        actor = call.peer.actor if isinstance(app, App) else None
        wanted = TaskFilter(actor=actor, shown=sees)
        limit = 1
    else:
        wanted = TaskFilter(
            text=text,
            shown=lambda task: (
                text in (task.request.name, clean_line(task.request.name)) and sees(task)
            ),
        )
    with as_tool_errors():
        return (await app.queries.tasks(wanted, limit=limit)).tasks


async def with_task_ids(app: object, call: Call, tool: ToolDef, args: Any) -> Any:
    """The arguments with ids in place of names of tasks. Nothing that begins like an id is a name
    here. Raises `ToolError` if several tasks have the name.

    Tools that change something do not take `LAST`: two conversations of a user have the same one.
    """
    for key in _IDS:
        text = getattr(args, key, None)
        if not isinstance(text, str) or not text or text.startswith(_ID_BEGINS):
            continue
        if text == LAST and tool.writes:
            raise ToolError(
                "ambiguous_task", f"{key}: give the id of the task to change, not {LAST!r}."
            )
        found = await named(cast("ReadApp", app), call, text, limit=_NAMED + 1)
        if len(found) > 1:
            listed = ", ".join(f"{task.task_id} ({task.state})" for task in found[:_NAMED])
            more = " and others" if len(found) > _NAMED else ""
            raise ToolError(
                "ambiguous_task", f"{key}: several tasks have that name: {listed}{more}.",
                "Give the id of one of them.",
            )  # fmt: skip
        if found:
            args = attrs.evolve(args, **{key: found[0].task_id})
    return args


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
