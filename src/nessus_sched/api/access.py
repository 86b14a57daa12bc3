"""Access to tasks by role: what the caller may see and change."""

from __future__ import annotations

from collections.abc import Callable

from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.core.task import Task
from nessus_sched.scheduler.views import TaskView


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
