"""Verifies fixes: scans of exactly the hosts and plugins of findings, judged by the ledger."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

import attrs

from nessus_sched.api.access import seen
from nessus_sched.api.answers import MAX_TARGETS
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.ledger import behind, may_see
from nessus_sched.api.outcomes.verified import (
    MOST,
    VerifyAnswer,
    VerifyScan,
    finding_row,
    finding_rows,
    scan_row,
    verify_answer,
)
from nessus_sched.api.submit import submit_request
from nessus_sched.config.schema import Config
from nessus_sched.core.fields import field
from nessus_sched.core.profile import NO_PROFILE
from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_targets
from nessus_sched.core.task import DEFAULT_POOL, ScanKind, ScanRequest, Task
from nessus_sched.core.templates import LOGIN_TYPES
from nessus_sched.core.text import pluralize
from nessus_sched.results.identity import plain_name
from nessus_sched.results.ledger.questions import Shown
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.verifying import Result, Verdict, finding_of, plan
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.admission.admit import MAX_CREDENTIALS
from nessus_sched.scheduler.admission.combinations import profile_of
from nessus_sched.scheduler.errors import RequestError

_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")


@attrs.frozen(kw_only=True)
class VerifyArgs:
    hosts: list[str] = field(
        "Addresses, networks or names; alone: all their open findings above info.",
        factory=list,
        max_length=200,
    )
    plugin_ids: list[int] = field("Findings by these plugins.", factory=list, max_length=100)
    cves: list[str] = field("Findings with these CVEs.", factory=list, max_length=100)
    credential: list[str] = field(
        "Other credentials than the earlier scan's.", factory=list, max_length=MAX_CREDENTIALS
    )
    task_id: str | None = field("Instead: what a verification found.", default=None, max_length=64)
    idempotency_key: str | None = field(
        "As in submit_scan.", default=None, min_length=1, max_length=190
    )
    dry_run: bool = field("Only show what would be scanned.", default=False)


@tool(writes=True, idempotent=False, open_world=True)
async def verify_fix(app: App, call: Call, args: VerifyArgs) -> VerifyAnswer:
    """Verify that findings are fixed (patched, remediated): scan just the hosts that have them,
    with just their plugins, ports and login. Then call it with the task_id: fixed, still there,
    or not verified and why, per finding. Fixed is proved; not verified is not fixed."""
    if args.task_id is not None:
        return await _outcome(app, call, args)
    wanted = _selection(args)
    with as_tool_errors():
        found = await app.ledger.selected(wanted, app.now())
    visible = [each for each in found if may_see(app, call, each.entry.host, each.entry.ip)]
    notes = [*behind(app)]
    if len(found) > MOST:
        raise ToolError(
            "too_many_findings",
            f"More than {MOST} findings match.",
            "Give fewer hosts, plugins or CVEs.",
        )
    able = [each for each in visible if _scannable(each)]
    if len(able) < len(visible):
        left = pluralize(len(visible) - len(able), "finding")
        notes.append(f"{left} left out: no plugin family, or a host that is not a scan target.")
    if not able:
        raise await _nothing(app, call, args, notes)
    requests = await _plans(app, call, able, args)
    notes += _doubts(able, requests, args)
    scans, tasks = await _submit(app, call, requests, args)
    rows = [row for task in tasks for row in await finding_rows(app, task)]
    if args.dry_run:
        planned = Verdict(result=Result.PENDING, text="would be verified")
        rows = [finding_row(finding_of(each.entry), each, planned) for each in able]
    return verify_answer(scans, rows, notes, dry_run=args.dry_run)


VERIFY_TOOLS: tuple[ToolDef, ...] = (verify_fix,)


# -- which findings


def _selection(args: VerifyArgs) -> Selection:
    """Raises `ToolError` for arguments that do not choose findings."""
    if not (args.hosts or args.plugin_ids or args.cves):
        raise ToolError(
            "bad_arguments",
            "The request does not say which findings to verify.",
            "Give hosts, plugin_ids, cves or several of them; or the task_id of a verification.",
        )
    cves = [each.strip().upper() for each in args.cves]
    wrong = [each for each in cves if not _CVE.fullmatch(each)]
    if wrong:
        raise ToolError("bad_arguments", f"Not a CVE: {clean_line(wrong[0], 40)!r}.")
    try:
        hosts = parse_targets(args.hosts) if args.hosts else TargetSet()
    except BadTargets as error:
        raise ToolError("bad_arguments", f"hosts cannot be read: {error}") from error
    by_plugin = bool(args.plugin_ids or cves)
    return Selection(
        ranges=hosts.ranges,
        names=tuple(map(plain_name, hosts.names)),
        plugins=tuple(args.plugin_ids),
        cves=tuple(cves),
        shown=Shown.ALL if by_plugin and args.hosts else Shown.OPEN,
        least_severity=0 if by_plugin else 1,
        limit=MOST + 1,
    )


def _scannable(found: Selected) -> bool:
    try:
        parse_targets([found.entry.host])
    except BadTargets:
        return False
    return bool(found.family)


async def _nothing(app: App, call: Call, args: VerifyArgs, notes: list[str]) -> ToolError:
    """What is known instead: an empty answer would be taken for "all is fixed"."""
    strange = [] if app.scopes_of(call.peer) else [each async for each in _never_seen(app, args)]
    return ToolError(
        "nothing_to_verify",
        "Nothing was submitted: no such finding is open.",
        " ".join([*strange, *notes, "This does not mean that the hosts are clean: see get_host."]),
    )


async def _never_seen(app: App, args: VerifyArgs) -> AsyncIterator[str]:
    """What no scan has ever reported, of what was asked for."""
    with as_tool_errors():
        for name in args.hosts[:MAX_TARGETS]:
            pages = await app.ledger.hosts(
                plain_name(name), shown=Shown.ALL, least_severity=0, limit=1, offset=0
            )
            if not pages and "/" not in name:
                yield f"No scan has ever reported {clean_line(name, 100)}."
        for plugin_id in args.plugin_ids[:MAX_TARGETS]:
            wanted = Selection(plugins=(plugin_id,), shown=Shown.ALL, limit=1)
            if not await app.ledger.selected(wanted, app.now()):
                yield f"No scan has ever found anything with plugin {plugin_id}."


# -- scanning


async def _plans(
    app: App, call: Call, found: Sequence[Selected], args: VerifyArgs
) -> list[ScanRequest]:
    if not app.may_submit(call.peer, ScanKind.CUSTOM):
        raise ToolError(
            "not_permitted",
            "Your role does not have submit_custom_scan, which verifying needs.",
            "Ask the operator, under roles in the configuration.",
        )
    bases: dict[str, ScanRequest] = {}
    for task_id in dict.fromkeys(each.entry.last_task_id for each in found):
        task = await app.queries.stored(task_id)
        if task is not None and task.request.targets:
            bases[task_id] = _as_now(app.config, task.request)
    logins = {each.name: LOGIN_TYPES[each.kind] for each in app.config.credentials}
    return plan(found, bases, logins=logins, credentials=args.credential)


def _as_now(config: Config, request: ScanRequest) -> ScanRequest:
    """An earlier request with the profile that it had by its kind, without a scanner, a pool or a
    profile that is not configured any more."""
    try:
        profile = profile_of(request, config)
    except RequestError:
        profile = None
    pools = {each.id: each.pool for each in config.scanners}
    named = request.scanner_instance if request.scanner_instance in pools else None
    pool = pools[named] if named else request.pool
    return attrs.evolve(
        request,
        profile=NO_PROFILE if profile is None else profile.name,
        scanner_instance=named,
        pool=pool if pool in pools.values() else DEFAULT_POOL,
    )


def _doubts(
    found: Iterable[Selected], requests: Iterable[ScanRequest], args: VerifyArgs
) -> Iterator[str]:
    without = {
        finding
        for request in requests
        if not request.credentials and request.verify is not None
        for finding in request.verify.findings
    }
    blind = sum(each.took_login and finding_of(each.entry) in without for each in found)
    if blind:
        yield (
            f"{pluralize(blind, 'finding')} may need a login, and none is known from the earlier "
            "scan: name a credential, or they stay unverified."
        )


async def _submit(
    app: App, call: Call, requests: Sequence[ScanRequest], args: VerifyArgs
) -> tuple[list[VerifyScan], list[Task]]:
    """Submits the last request first: once the first one has taken the key, all have. Without a
    key, an unfinished task that does the same is taken instead of a second one."""
    scans: list[VerifyScan] = []
    tasks: list[Task] = []
    for number in reversed(range(len(requests))):
        request = requests[number]
        if args.dry_run:
            tried = await submit_request(app, call, request, idempotency_key=None, dry_run=True)
            scans.insert(0, scan_row(None, tried.status, request))
            continue
        task = await _submitted(app, call, request, _key(args, number))
        scans.insert(0, scan_row(task.task_id, task.state, task.request))
        tasks.insert(0, task)
    return scans, tasks


def _key(args: VerifyArgs, number: int) -> str | None:
    key = args.idempotency_key
    return f"{key} {number + 1}" if key is not None and number else key


async def _submitted(app: App, call: Call, request: ScanRequest, key: str | None) -> Task:
    if key is None:
        tried = await submit_request(app, call, request, idempotency_key=None, dry_run=True)
        equal = await _equal(app, call, tried.equal_task)
        if equal is not None:
            return equal
    made = await submit_request(app, call, request, idempotency_key=key, dry_run=False)
    assert made.task_id is not None
    return (await seen(app, call, made.task_id)).task


async def _equal(app: App, call: Call, task_id: str | None) -> Task | None:
    """The unfinished task that does the same, if the caller may see it."""
    task = None if task_id is None else await app.queries.stored(task_id)
    return task if task is not None and app.sees(call.peer, task) else None


# -- the outcome


async def _outcome(app: App, call: Call, args: VerifyArgs) -> VerifyAnswer:
    if args.hosts or args.plugin_ids or args.cves or args.credential or args.dry_run:
        raise ToolError("bad_arguments", "task_id asks for an outcome and takes nothing else.")
    assert args.task_id is not None
    task = (await seen(app, call, args.task_id)).task
    if task.request.verify is None:
        raise ToolError(
            "not_a_verification",
            f"Task {task.task_id} does not verify fixes.",
            "verify_fix with hosts, plugin_ids or cves submits one that does.",
        )
    rows = await finding_rows(app, task)
    scan = scan_row(task.task_id, task.state, task.request)
    return verify_answer([scan], rows, [*behind(app)], dry_run=False)
