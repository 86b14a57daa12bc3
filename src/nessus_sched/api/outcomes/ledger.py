"""Questions about hosts and findings across all scans, answered from the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs

from nessus_sched.api.answers import iso
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.finding import FINDING, finding_document
from nessus_sched.api.paging import parse_cursor, take_within, token_budget
from nessus_sched.api.untrusted import FINDINGS
from nessus_sched.config.labels import labels_of
from nessus_sched.config.schema import Config
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.fields import field
from nessus_sched.core.targets.address import Unreadable
from nessus_sched.core.targets.targets import BadTargets, TargetSet, includes, parse_targets
from nessus_sched.core.text import pluralize
from nessus_sched.results.identity import plain_name
from nessus_sched.results.ledger.questions import (
    Clean,
    HostPage,
    Shown,
    is_clean,
)
from nessus_sched.results.model import SEVERITIES
from nessus_sched.results.reached import target_of
from nessus_sched.results.untrusted import clean_line

LeastSeverity = Literal["info", "low", "medium", "high", "critical"]


@attrs.frozen(kw_only=True)
class HostArgs:
    host: str = field("Address or name.", min_length=1, max_length=255)
    shown: Shown = field("Which findings to list.", default=Shown.OPEN)
    severity: LeastSeverity = field("Lowest severity.", default="low")
    limit: int = field("Findings per page.", default=10, minimum=1, maximum=200)
    cursor: str | None = field("`next_cursor` of the page before.", default=None)


@attrs.frozen(kw_only=True)
class HostAnswer:
    host: str = field("The host.")
    known: bool = field("False: no scan has ever reported it.")
    clean: Clean = field("yes, no or unknown; never yes without a recent whole scan with a login.")
    why: str = field("The reason for `clean`.")
    names: list[str] = field("Its other names and addresses.")
    last_answered: str | None = field("Last scan that it answered.")
    last_tried: str | None = field("Last scan that it was a target of.")
    last_whole: str | None = field("Last scan that finished it.")
    last_login: str | None = field("Last scan with a login.")
    login: str | None = field("How the latest login went, and which worked.")
    scanner_instance: str | None = field("Its latest scanner.")
    labels: dict[str, str] = field("Its owner, site and criticality.")
    open: dict[str, int] = field("Its open findings by severity.")
    excepted: dict[str, int] = field("How many of these have an exception.")
    compliance_counts: dict[str, int] = field("FAILED: compliance checks that did not pass.")
    unverified: int = field("Listed findings that the latest scan could not confirm.")
    findings: list[dict[str, Any]] = field(f"Worst first: {FINDING}.")
    total: int = field("Findings that match.")
    next_cursor: str | None = field("For the next page.")
    notes: list[str] = field("Scope, next scans, what is missing.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False, open_world=True)
async def get_host(app: App, call: Call, args: HostArgs) -> HostAnswer:
    """Everything known about one host across all scans: is it clean, what is open since when, when
    it was last scanned (with a login), and when it will be scanned next. unknown does not mean
    clean."""
    answer = await known_host(app, call, args)
    if answer.clean is not Clean.NO:
        seen = [each for each in app.schedules.all() if app.sees(call.peer, each.template)]
        plans = list(_plans(args.host, seen, app.now()))
        answer = attrs.evolve(answer, notes=[*answer.notes, *plans])
    return answer


async def known_host(app: ReadApp, call: Call, args: HostArgs) -> HostAnswer:
    """`get_host` without the next scans."""
    return await host_answer(app, call, args, most=token_budget(args.limit))


@tool(writes=False, open_world=True)
async def read_host(app: ReadApp, call: Call, args: HostArgs) -> HostAnswer:
    """A host as the ledger has it, without a daemon, too."""
    return await host_answer(app, call, args)


async def host_answer(
    app: ReadApp, call: Call, args: HostArgs, most: int | None = None
) -> HostAnswer:
    """`most` limits the findings, in tokens; None lists all of them."""
    name = plain_name(args.host)
    offset = parse_cursor(args.cursor, "get_host") or 0
    _must_be_allowed(app, call, name)
    with as_tool_errors():
        pages = await app.ledger.hosts(
            name, shown=args.shown, least_severity=SEVERITIES.index(args.severity),
            limit=args.limit, offset=offset, now=app.now(),
        )  # fmt: skip
    pages = [page for page in pages if may_see(app, call, page.host.name, page.host.ip)]
    notes = list(behind(app))
    if not pages:
        return _never_seen(app, name, notes)
    if len(pages) > 1:
        others = ", ".join(page.host.name for page in pages[1:])
        notes.append(f"Other hosts with this name or address: {clean_line(others, 300)}.")
    return _known(app, pages[0], offset, notes, most)


def behind(app: ReadApp) -> Iterator[str]:
    """A note on scans that the ledger does not have yet."""
    waiting = app.ledger.waiting
    if waiting:
        yield f"{pluralize(waiting, 'finished scan')} not entered yet: findings may be missing."


def _must_be_allowed(app: ReadApp, call: Call, name: str) -> None:
    if not may_see(app, call, name):
        raise ToolError("not_permitted", f"{clean_line(name, 100)} is outside your role's targets.")


def may_see(app: ReadApp, call: Call, *names: str | None) -> bool:
    """Whether what is known of the host with these names and addresses may be shown to the
    caller."""
    return all(
        scope.covers(target_of_name(name))
        for scope in app.scopes_of(call.peer)
        for name in names
        if name
    )


def target_of_name(name: str) -> TargetSet:
    try:
        return parse_targets([name])
    except BadTargets:
        return TargetSet(names=(name,))


def _known(
    app: ReadApp, page: HostPage, offset: int, notes: list[str], most: int | None
) -> HostAnswer:
    host, now, settings = page.host, app.now(), app.config.ledger
    clean, why = is_clean(host, now=now, recent=settings.clean_within)
    covered = sum(count for name, count in page.excepted.items() if name != "info")
    if clean is Clean.NO and covered:
        why += f"; {covered} of these with an exception"
    if app.ledger.waiting and clean is Clean.YES:
        clean, why = Clean.UNKNOWN, "a finished scan is not entered yet"
    findings = [finding_document(each, now, settings.stale_after) for each in page.entries]
    if most is not None:
        findings = take_within(findings, most)
    end = offset + len(findings)
    others = dict.fromkeys(name for name in (host.ip, host.fqdn, host.netbios) if name)
    others.pop(host.name, None)
    login = host.login
    if login and host.logins:
        login = f"{login}: {'; '.join(clean_line(each, 120) for each in host.logins[:3])}"
    return HostAnswer(
        host=clean_line(host.name, 255),
        known=True,
        clean=clean,
        why=why,
        names=[clean_line(name, 255) for name in others],
        last_answered=iso(host.answered_at),
        last_tried=iso(host.tried_at),
        last_whole=iso(host.whole_at),
        last_login=iso(host.login_at),
        login=login,
        scanner_instance=host.scanner,
        labels=_labels(app.config, host.ip or host.name, host.name, host.fqdn),
        open={name: count for name, count in host.open.items() if count},
        excepted=dict(page.excepted),
        compliance_counts={"FAILED": host.failed_checks} if host.failed_checks else {},
        unverified=page.unverified,
        findings=findings,
        total=page.total,
        next_cursor=str(end) if findings and end < page.total else None,
        notes=notes,
        untrusted=FINDINGS,
    )


def _never_seen(app: ReadApp, name: str, notes: list[str]) -> HostAnswer:
    shown = clean_line(name, 255)
    allowed = _in_scope(app.config, name)
    return HostAnswer(
        host=shown, known=False, clean=Clean.UNKNOWN,
        why=f"no scan has ever reported {shown}, so nothing is known about it",
        names=[], last_answered=None, last_tried=None, last_whole=None, last_login=None,
        login=None, scanner_instance=None, labels=_labels(app.config, name, name),
        open={}, excepted={}, compliance_counts={}, unverified=0, findings=[], total=0,
        next_cursor=None,
        notes=[*notes, f"It is {'' if allowed else 'not '}in the configured scope."],
        untrusted=FINDINGS,
    )  # fmt: skip


def _in_scope(config: Config, name: str) -> bool:
    return config.targets.scope.covers(target_of_name(name))


def _labels(config: Config, address: str, *names: str | None) -> dict[str, str]:
    found = target_of(address)
    return labels_of(config.labels).of(found if isinstance(found, int) else None, names)


def _plans(host: str, schedules: Sequence[Schedule], now: float) -> Iterator[str]:
    """The schedules that scan the host, and when."""
    name = plain_name(host)
    found = [
        (each.next_due, each)
        for each in schedules
        if each.next_due is not None and _scans(each, name)
    ]
    for at, schedule in sorted(found, key=lambda each: each[0])[:3]:
        yield f"Schedule {schedule.name} scans it next at {iso(max(at, now))}."
    if not found:
        yield "No schedule scans it."


def _scans(schedule: Schedule, name: str) -> bool:
    try:
        return includes(parse_targets(schedule.template.request.targets), name)
    except (BadTargets, Unreadable):
        return False


LEDGER_TOOLS: tuple[ToolDef, ...] = (get_host,)
LEDGER_ACTIONS: tuple[ToolDef, ...] = (read_host,)
