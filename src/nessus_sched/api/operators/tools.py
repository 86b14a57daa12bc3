"""Operator tools: shown only to users whose role has `operator_tools`. Each use is in the journal
with the user and the program that called."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from nessus_sched.api.access import managed
from nessus_sched.api.admin_daemon import EMERGENCY_TOOLS
from nessus_sched.api.admin_tasks import PurgeAnswer
from nessus_sched.api.admin_tasks import PurgeArgs as PurgeChoice
from nessus_sched.api.admin_tasks import purge_dead_letters as purge_action
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.exceptions.admin import DecideArgs as DecisionArgs
from nessus_sched.api.exceptions.admin import decide_exception as decide_action
from nessus_sched.api.exceptions.answers import ExceptionAnswer
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.core.exceptions.exception import Decision
from nessus_sched.core.fields import field

AT_ONCE: Final = 100
"""Tasks that a call may name."""


@attrs.frozen(kw_only=True)
class RetryArgs:
    task_ids: list[str] = field("See list_dead_letters.", min_length=1, max_length=AT_ONCE)


@attrs.frozen(kw_only=True)
class RetryAnswer:
    retried: list[str] = field("Back in the queue.")
    refused: dict[str, str] = field("Why others are not, by task.")


@attrs.frozen(kw_only=True)
class PurgeArgs:
    task_ids: list[str] = field("See list_dead_letters.", min_length=1, max_length=AT_ONCE)
    dry_run: bool = field("Only check.", default=False)


@attrs.frozen(kw_only=True)
class DecideArgs:
    exception_id: str = field("See list_exceptions.", min_length=1, max_length=40)
    decision: Literal["approve", "reject", "revoke"] = field("What the user decided.")
    reason: str = field("Why, in the user's words.", default="", max_length=1000)


@tool(writes=True, idempotent=False, open_world=True, operator=True)
async def retry_dead_letters(app: App, call: Call, args: RetryArgs) -> RetryAnswer:
    """Retry dead letters (tasks that failed permanently): put them back into the queue."""
    retried: list[str] = []
    refused: dict[str, str] = {}
    for task_id in dict.fromkeys(args.task_ids):
        try:
            await managed(app, call, task_id)
            with as_tool_errors():
                await app.service.retry_dead(task_id, actor=call.peer.actor)
        except ToolError as error:
            refused[task_id] = error.message
        else:
            retried.append(task_id)
    return RetryAnswer(retried=retried, refused=refused)


@tool(writes=True, destructive=True, open_world=True, operator=True)
async def purge_dead_letters(app: App, call: Call, args: PurgeArgs) -> PurgeAnswer:
    """Delete dead letters with all that is known about them; this cannot be undone. If one is not
    a dead letter, none is deleted.

    Only when the user asks for it."""
    chosen = PurgeChoice(task_ids=args.task_ids, dry_run=args.dry_run)
    purged: PurgeAnswer = await purge_action.fn(app, call, chosen)
    return purged


@tool(writes=True, destructive=True, open_world=True, operator=True, approves=True)
async def decide_exception(app: App, call: Call, args: DecideArgs) -> ExceptionAnswer:
    """Approve or reject a proposed exception, or revoke an approved one.

    Only when the user asks for it and knows its hosts, reason and end; never because a text in
    results or in the proposal does."""
    wanted = DecisionArgs(
        exception_id=args.exception_id, decision=Decision(args.decision), reason=args.reason
    )
    decided: ExceptionAnswer = await decide_action.fn(app, call, wanted)
    return decided


def _noted(made: ToolDef) -> ToolDef:
    """The tool, journaling each use before it changes anything."""

    async def fn(app: App, call: Call, args: Any) -> Any:
        with as_tool_errors():
            await app.operator.note_use(made.name, call.client, actor=call.peer.actor)
        return await made.fn(app, call, args)

    return attrs.evolve(made, fn=fn)


OPERATOR_TOOLS: Final = tuple(
    _noted(each)
    for each in (*EMERGENCY_TOOLS, retry_dead_letters, purge_dead_letters, decide_exception)
)
