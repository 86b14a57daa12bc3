"""Decisions about exceptions, which people make with the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.exceptions.answers import ExceptionAnswer, exception_answer
from nessus_sched.api.exceptions.definition import (
    ProposeArgs,
    bad_exception,
    check_hosts,
    end_of,
    exception_of,
)
from nessus_sched.api.exceptions.tools import covered_by, notes_on, sees
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.submit import submitter_of_call
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.exceptions.exception import Decision, ExceptionStatus, FindingException
from nessus_sched.core.exceptions.rule import BadException, BadField
from nessus_sched.core.fields import field
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.exceptions import Decider


@attrs.frozen(kw_only=True)
class ShowArgs:
    exception_id: str = field("The exception.", min_length=1, max_length=40)


@attrs.frozen(kw_only=True)
class DecideArgs(ShowArgs):
    decision: Decision = field("What to do.")
    reason: str = field("Why.", default="", max_length=1000)
    until: str | None = field("For extend: its new end.", default=None, max_length=40)


class Change(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"


@attrs.frozen(kw_only=True)
class PutArgs(ProposeArgs):
    approve: bool = field("Approve it at once.", default=False)
    dry_run: bool = field("Only check.", default=False)


@attrs.frozen(kw_only=True)
class PutAnswer:
    exception: ExceptionAnswer = field("The exception; without an id after a dry run.")
    change: Change = field("What was done, or would be.")
    concerns: int | None = field("Open findings that it covers now; null: not known.")
    notes: list[str] = field("What may be surprising.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False)
async def show_exception(app: App, call: Call, args: ShowArgs) -> ExceptionAnswer:
    """An exception by its id."""
    with as_tool_errors():
        exception = app.exceptions.named(args.exception_id)
    if not sees(app, call, exception):
        raise _not_shown()
    return exception_answer(exception)


@tool(writes=True)
async def decide_exception(app: App, call: Call, args: DecideArgs) -> ExceptionAnswer:
    """Approve, reject, revoke or extend an exception."""
    with as_tool_errors():
        exception = app.exceptions.named(args.exception_id)
    own = exception.actor == call.peer.actor and args.decision is Decision.REJECT
    if not own:
        check_approver(app, call)
    if not sees(app, call, exception):
        raise _not_shown()
    if not own:
        check_hosts(app, call, exception.rule)
    terms: dict[str, Any] = {}
    if args.decision is Decision.EXTEND:
        try:
            terms["expires"] = end_of(app, args.until or "")
        except BadException as error:
            raise bad_exception(error) from error
    elif args.until is not None:
        raise ToolError("bad_arguments", f"until: has no meaning for {args.decision}")
    decider = Decider(actor=call.peer.actor, submitter=await submitter_of_call(app, call))
    cause = clean_line(args.reason, 1000)
    with as_tool_errors():
        after = await app.exceptions.decide(
            args.exception_id, args.decision, decider, cause=cause, **terms
        )
    return exception_answer(after)


@tool(writes=True)
async def put_exception(app: App, call: Call, args: PutArgs) -> PutAnswer:
    """Propose an exception, or approve it at once, unless there is one like it. With `approve`,
    one in force with the same rule gets the new end, reason and owner."""
    wanted = await exception_of(app, call, args, again=True)
    change, there = _change(app, call, wanted, approve=args.approve)
    if args.dry_run or change is Change.UNCHANGED:
        return await _put(app, there or wanted, change)
    decider = Decider(actor=call.peer.actor, submitter=wanted.submitter)
    with as_tool_errors():
        if there is None:
            approver = decider if change is Change.APPROVED else None
            return await _put(app, await app.exceptions.propose(wanted, approver), change)
        terms = {name: getattr(wanted, name) for name in ("expires", "reason", "owner")}
        decision = Decision.EXTEND if change is Change.EXTENDED else Decision.APPROVE
        done = await app.exceptions.decide(
            there.exception_id, decision, decider, **(terms if change is Change.EXTENDED else {})
        )
    return await _put(app, done, change)


EXCEPTION_ACTIONS: tuple[ToolDef, ...] = (show_exception, decide_exception, put_exception)


def _not_shown() -> ToolError:
    return ToolError(
        "not_permitted", "It covers hosts that are not among the targets of your role."
    )


def check_approver(app: App, call: Call) -> None:
    """Raises `ToolError` if the caller's role does not approve exceptions."""
    if not app.may_approve(call.peer):
        raise ToolError(
            "not_permitted",
            "Your role may not decide about exceptions.",
            "Ask the operator for a role with `approve_exceptions`.",
        )


def _change(
    app: App, call: Call, wanted: FindingException, *, approve: bool
) -> tuple[Change, FindingException | None]:
    """What has to be done, and about which exception that there is already. Raises `ToolError`
    if it may not be done."""
    if approve:
        check_approver(app, call)
    likes = app.exceptions.like(wanted.rule)
    same = next((each for each in reversed(likes) if _terms(each) == _terms(wanted)), None)
    there = same or next((each for each in likes if each.open), None)
    status = None if there is None else there.status
    if same is not None and not (approve and status is ExceptionStatus.PROPOSED):
        return Change.UNCHANGED, same
    if wanted.expires <= app.now():
        raise bad_exception(BadException([BadField("until", "is in the past")]))
    with as_tool_errors():
        if approve:
            app.exceptions.check_decider((there or wanted).actor, call.peer.actor)
        if approve and status is ExceptionStatus.APPROVED:
            return Change.EXTENDED, there
        if same is None:
            app.exceptions.check_room(wanted.rule)
    return (Change.APPROVED if approve else Change.PROPOSED), same


def _terms(exception: FindingException) -> tuple[float, str, str]:
    return exception.expires, exception.reason, exception.owner


async def _put(app: App, exception: FindingException, change: Change) -> PutAnswer:
    concerns = await covered_by(app, exception.rule)
    return PutAnswer(
        exception=exception_answer(exception),
        change=change,
        concerns=concerns,
        notes=list(notes_on(app, exception, concerns)),
        untrusted=NAMES,
    )
