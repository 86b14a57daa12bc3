"""The arguments that define an exception, and the exception that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.submit import submitter_of_call
from nessus_sched.core.exceptions.exception import FindingException, check_end, parse_end
from nessus_sched.core.exceptions.rule import (
    MAX_ITEMS,
    BadException,
    BadField,
    ExceptionKind,
    Rule,
    read_rule,
)
from nessus_sched.core.fields import field
from nessus_sched.results.untrusted import clean, clean_line

MAX_REASON = 1000


@attrs.frozen(kw_only=True)
class ProposeArgs:
    plugins: list[int] = field("Plugin ids.", factory=list, max_length=MAX_ITEMS)
    cves: list[str] = field("CVEs.", factory=list, max_length=MAX_ITEMS)
    hosts: list[str] = field(
        "Addresses, networks, names, or * for all.",
        max_length=MAX_ITEMS,
        examples=(["192.0.2.0/28"],),
    )
    port: str | None = field("443 or 53/udp. Default: all.", default=None, max_length=12)
    kind: ExceptionKind = field("accepted: the risk; severity: another one than the scanner's.")
    severity: Literal["info", "low", "medium", "high", "critical"] | None = field(
        "For kind severity.", default=None
    )
    reason: str = field("Why.", max_length=MAX_REASON)
    owner: str = field("Who is responsible for it.", max_length=100)
    until: str = field("A date, or 90d.", max_length=40, examples=("90d",))


def rule_of(args: ProposeArgs) -> Rule:
    """Raises `BadException`."""
    return read_rule(
        kind=args.kind,
        plugins=args.plugins,
        cves=args.cves,
        hosts=args.hosts,
        port=args.port,
        severity=args.severity,
    )


def blank(args: ProposeArgs) -> list[BadField]:
    """Texts in which nothing can be read."""
    given = {"reason": args.reason, "owner": args.owner}
    return [BadField(name, "is blank") for name, text in given.items() if not clean_line(text)]


async def exception_of(
    app: App, call: Call, args: ProposeArgs, *, again: bool = False
) -> FindingException:
    """The proposal, without an id. Raises `ToolError` with every mistake; with `again`, an end is
    none that an exception with the same rule has or had."""
    problems, found, expires = blank(args), None, 0.0
    try:
        found = rule_of(args)
    except BadException as error:
        problems += error.problems
    try:
        likes = app.exceptions.like(found) if again and found is not None else ()
        expires = end_of(app, args.until, [each.expires for each in likes])
    except BadException as error:
        problems += error.problems
    if found is None or problems:
        raise bad_exception(BadException(problems))
    check_hosts(app, call, found)
    return FindingException(
        exception_id="",
        rule=found,
        reason=clean(args.reason, MAX_REASON).strip(),
        owner=clean_line(args.owner),
        actor=call.peer.actor,
        submitter=await submitter_of_call(app, call),
        proposed_at=app.now(),
        expires=expires,
    )


def end_of(app: App, until: str, known: Sequence[float] = ()) -> float:
    """Raises `BadException`, but not for an end that is `known`."""
    zone, now = app.config.calendar.time_zone, app.now()
    end = parse_end(until, zone=zone, now=now)
    if end not in known:
        check_end(end, zone=zone, now=now, max_term=app.config.exceptions.max_term)
    return end


def bad_exception(error: BadException) -> ToolError:
    text = str(error)
    return ToolError("bad_exception", f"{text[0].upper()}{text[1:]}.")


def within(app: App, call: Call, rule: Rule) -> bool:
    """Whether all hosts of a rule are among the targets of the caller's role."""
    limits = app.scopes_of(call.peer)
    return not limits or (
        not rule.everywhere and all(limit.covers(rule.targets) for limit in limits)
    )


def check_hosts(app: App, call: Call, rule: Rule) -> None:
    """Raises `ToolError` for hosts that are not among the targets of the caller's role."""
    if not within(app, call, rule):
        raise ToolError(
            "not_permitted",
            "It covers hosts that are not among the targets of your role.",
            "Give only hosts that you may scan.",
        )
