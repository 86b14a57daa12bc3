"""The six ways to submit a scan."""

from __future__ import annotations

from contextlib import suppress

import attrs

from nessus_sched.api.answers import (
    LONGEST_REASON,
    MAX_TARGETS,
    PlanAnswer,
    SubmitAnswer,
    scanner_url,
    wait_seconds,
)
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.next_steps import advice
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.core.fields import field
from nessus_sched.core.targets.ranges import count, range_text
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import (
    DEFAULT_POOL,
    Discovery,
    OnEarlyEnd,
    Priority,
    ScanKind,
    ScanRequest,
    Splitting,
    Submitter,
)
from nessus_sched.ipc.users import UsersUnavailable
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.admission.admit import MAX_CREDENTIALS
from nessus_sched.scheduler.views import PlannedGroup, Submission

MINUTE = 60.0
TARGETS = (["192.0.2.10", "198.51.100.0/24"],)


@attrs.frozen(kw_only=True)
class SubmitArgs:
    """What every scan has."""

    targets: list[str] = field(
        "What to scan: addresses, networks (192.0.2.0/24), ranges (192.0.2.1-20) or host names. "
        "One entry may hold several, separated by commas or white space. All must be inside the "
        "configured scope.",
        once=True,
        min_length=1,
        max_length=10000,
        examples=TARGETS,
    )
    exclude: list[str] = field(
        "What not to scan, although `targets` has it: the same forms, or *.example.com.",
        once=True,
        factory=list,
        max_length=10000,
    )
    name: str = field(
        "Short name to recognize it by.",
        once=True,
        default="",
        max_length=100,
        examples=("weekly web tier",),
    )
    description: str = field(
        "Reason for the scan; stored with the task.", once=True, default="", max_length=1000
    )
    scanner_instance: str | None = field(
        "Only for a certain scanner (see list_scanners). Leave out to let the scheduler choose.",
        once=True,
        default=None,
        max_length=64,
    )
    pool: str | None = field(
        "Group of scanners to choose from. Default: that of scanner_instance, or nessus.",
        once=True,
        default=None,
        max_length=64,
    )
    priority: Priority = field("Queue priority.", once=True, default=Priority.NORMAL)
    idempotency_key: str | None = field(
        "Same key, same request: the same task instead of a second one. Use one whenever you "
        "may have to repeat a call.",
        once=True,
        default=None,
        min_length=1,
        max_length=200,
    )
    max_runtime_minutes: int | None = field(
        "Stop the scan after that long.", once=True, default=None, minimum=1, maximum=43200
    )
    profile: str | None = field(
        "Name of a configured scan profile: how to scan (ports, speed, ping, web tests). Leave out "
        "for the usual one; `none` for the scanner's own defaults. See list_credentials.",
        once=True,
        default=None,
        max_length=64,
    )
    settings: dict[str, str] = field(
        "Nessus settings by name, such as portscan_range or report_paranoia; only harmless ones "
        "and those the operator allows. Never a login.",
        once=True,
        factory=dict,
        examples=({"portscan_range": "1-1024"},),
    )
    between: str | None = field(
        "Scan only in these hours: 'mon-fri 20:00-06:00; sat,sun'.",
        once=True,
        default=None,
        max_length=200,
    )
    deadline: str | None = field(
        "Cancel it then: '06:00', '8h' or a date and time.",
        once=True,
        default=None,
        max_length=40,
    )
    split: Splitting = field(
        "auto: a large request runs as several scans on all scanners that reach its targets; "
        "never: as one scan.",
        once=True,
        default=Splitting.AUTO,
    )
    partial_ok: bool = field(
        "Accept targets that no scanner reaches: they are reported as not reached.",
        once=True,
        default=False,
    )
    on_early_end: OnEarlyEnd | None = field(
        "If the scan ends early, scan the rest, keep or discard its results.",
        once=True,
        default=None,
    )
    dry_run: bool = field(
        "Only check, route and estimate; submit nothing.", once=True, default=False
    )


@attrs.frozen(kw_only=True)
class CredentialedArgs(SubmitArgs):
    credential: list[str] = field(
        "Names of configured credentials (see list_credentials), tried in this order. Never a "
        "password or key.",
        min_length=1,
        max_length=MAX_CREDENTIALS,
        examples=(["linux-prod", "windows-prod"],),
    )


@attrs.frozen(kw_only=True)
class CustomArgs(SubmitArgs):
    template: str | None = field(
        "Name of a scan template (see list_scan_templates); either this or `policy`.",
        default=None,
        max_length=128,
        examples=("malware",),
    )
    policy: str | None = field(
        "Name of a policy on the scanners; either this or `template`.", default=None, max_length=128
    )
    credential: list[str] = field(
        "Name of a configured credential (see list_credentials), or several. Never a password or "
        "key.",
        factory=list,
        max_length=MAX_CREDENTIALS,
    )


@attrs.frozen(kw_only=True)
class QuickArgs(SubmitArgs):
    discovery: Discovery = field(
        "hosts: who is alive; os: also the operating system; ports: also common open ports.",
        default=Discovery.HOSTS,
    )


@attrs.frozen(kw_only=True)
class ComplianceArgs(CredentialedArgs):
    audit: str = field("Name of a configured audit.", min_length=1, max_length=64)


@tool(writes=True, idempotent=False, open_world=True)
async def submit_scan(app: App, call: Call, args: SubmitArgs) -> SubmitAnswer:
    """Scan for vulnerabilities over the network, unauthenticated (without credentials): what an
    attacker on the network sees. Returns a task_id at once; the scan runs when a scanner has a
    free slot and takes minutes to hours.

    Use submit_quick_scan to only find live hosts, submit_trusted_scan to also log in."""
    return await _submit(app, call, args, ScanKind.BASIC)


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def submit_trusted_scan(app: App, call: Call, args: CredentialedArgs) -> SubmitAnswer:
    """Queue a credentialed (authenticated) vulnerability scan that logs in to the targets (SSH or
    Windows) without raising privileges: finds missing patches that a network scan cannot see.
    The result says per host whether the login worked.

    Needs a configured credential, several for a mixed network. Where checks need root or
    administrator rights, use submit_privileged_scan.

    Arguments without a description are those of submit_scan."""
    return await _submit(app, call, args, ScanKind.TRUSTED)


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def submit_privileged_scan(app: App, call: Call, args: CredentialedArgs) -> SubmitAnswer:
    """Queue a vulnerability scan that logs in with full privileges (sudo, su, enable and the
    like, or root or administrator). The most thorough scan; the result says per host
    whether login and privileges worked.

    Needs a configured credential with escalation, several for a mixed network.

    Arguments without a description are those of submit_scan."""
    return await _submit(app, call, args, ScanKind.PRIVILEGED)


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def submit_custom_scan(app: App, call: Call, args: CustomArgs) -> SubmitAnswer:
    """Queue a scan with a template or policy of your choice, for what the other submit tools
    do not cover (malware, one vulnerability, a tuned policy). Give either `template` or
    `policy`, by name.

    Arguments without a description are those of submit_scan."""
    return await _submit(app, call, args, ScanKind.CUSTOM)


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def submit_quick_scan(app: App, call: Call, args: QuickArgs) -> SubmitAnswer:
    """Queue a host discovery (ping sweep): which addresses are alive, optionally their operating
    systems or common open ports. Fast, but looks for no weaknesses.

    Arguments without a description are those of submit_scan."""
    return await _submit(app, call, args, ScanKind.QUICK)


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def submit_compliance_scan(app: App, call: Call, args: ComplianceArgs) -> SubmitAnswer:
    """Queue a check of the targets' configuration against an audit file (such as a CIS
    benchmark): passed, failed or warning per check. Needs a credential and an audit, both by
    name.

    Arguments without a description are those of submit_scan."""
    return await _submit(app, call, args, ScanKind.COMPLIANCE)


SUBMIT_TOOLS: tuple[ToolDef, ...] = (
    submit_scan,
    submit_trusted_scan,
    submit_privileged_scan,
    submit_custom_scan,
    submit_quick_scan,
    submit_compliance_scan,
)


OWN_ARGUMENTS = ("template", "policy", "discovery", "audit")
"""Arguments that only some submit tools have, named as in the request."""


def submit_tool(kind: ScanKind) -> str:
    """The tool that submits scans of that kind."""
    return "submit_scan" if kind is ScanKind.BASIC else f"submit_{kind}_scan"


async def _submit(app: App, call: Call, args: SubmitArgs, kind: ScanKind) -> SubmitAnswer:
    return await submit_request(
        app,
        call,
        request_of(app, args, kind),
        idempotency_key=args.idempotency_key,
        dry_run=args.dry_run,
    )


def request_of(app: App, args: SubmitArgs, kind: ScanKind) -> ScanRequest:
    """The request that the arguments of a submit tool describe."""
    minutes = args.max_runtime_minutes
    own = {name: getattr(args, name) for name in OWN_ARGUMENTS if hasattr(args, name)}
    return ScanRequest(
        kind=kind,
        targets=tuple(args.targets),
        exclude=tuple(args.exclude),
        name=args.name,
        description=args.description,
        scanner_instance=args.scanner_instance,
        pool=args.pool or pool_of(app, args.scanner_instance),
        priority=args.priority,
        credentials=tuple(getattr(args, "credential", ())),
        profile=args.profile,
        settings=args.settings,
        between=args.between,
        deadline=args.deadline,
        split=args.split,
        partial_ok=args.partial_ok,
        on_early_end=args.on_early_end,
        max_runtime=None if minutes is None else minutes * MINUTE,
        **own,
    )


async def submit_request(
    app: App, call: Call, request: ScanRequest, *, idempotency_key: str | None, dry_run: bool
) -> SubmitAnswer:
    """Submits a request for the caller. Raises `ToolError`."""
    if idempotency_key is not None and "\0" in idempotency_key:  # which PostgreSQL cannot store
        raise ToolError("bad_arguments", "idempotency_key: it must not contain the character NUL")
    with as_tool_errors():
        submission = await app.service.submit(
            request,
            actor=call.peer.actor,
            trace_id=call.trace_id,
            idempotency_key=idempotency_key,
            dry_run=dry_run,
            scopes=app.scopes_of(call.peer),
            submitter=await submitter_of_call(app, call),
        )
    return submit_answer(app, submission)


async def submitter_of_call(app: App, call: Call) -> Submitter | None:
    """Who is at the other end, for the record of what it submits."""
    peer = call.peer
    if peer.uid is None:
        return None
    name = None
    with suppress(UsersUnavailable):
        name = (await app.users().learn(peer)).name
    return Submitter(uid=peer.uid, gid=peer.gid, user=name, client=call.client)


def submit_answer(app: App, submission: Submission) -> SubmitAnswer:
    task, standing = submission.view.task, submission.view.standing
    dry, reason = submission.dry_run, standing.wait_reason
    return SubmitAnswer(
        task_id=None if dry else task.task_id,
        trace_id=None if dry else task.trace_id,
        status="valid" if dry else task.state,
        created=submission.created,
        scanner_instance=task.scanner_instance,
        scanner_url=scanner_url(app, task.scanner_instance),
        queue=standing.queue,
        queue_position=standing.position,
        estimated_wait_seconds=wait_seconds(standing),
        wait_reason=clean_line(reason.text, LONGEST_REASON) if reason else None,
        equal_task=submission.equal_task,
        target_count=size_of(task.request.targets),
        targets=list(task.request.targets[:MAX_TARGETS]),
        targets_left_out=max(0, len(task.request.targets) - MAX_TARGETS),
        credentials=list(task.request.credentials),
        left_out=[range_text(each) for each in submission.left_out[:MAX_TARGETS]],
        left_out_count=count(submission.left_out),
        plan=[_planned(each) for each in submission.plan],
        not_reached_count=size_of(task.split.unreachable) if task.split else 0,
        next=_next(submission),
    )


def _planned(group: PlannedGroup) -> PlanAnswer:
    return PlanAnswer(
        scanners=list(group.scanners[:MAX_TARGETS]),
        target_count=group.size,
        parts=group.parts,
        part_seconds=None if group.seconds is None else round(group.seconds),
    )


def _next(submission: Submission) -> str:
    text = (
        "Nothing was submitted; call again without dry_run."
        if submission.dry_run
        else advice(submission.view)
    )
    if submission.equal_task is None:
        return text
    verb = "would do" if submission.dry_run else "does"
    return (
        f"Task {submission.equal_task} {verb} the same scan and has not ended: if that is not "
        f"intended, cancel one of them. {text}"
    )


def pool_of(app: App, scanner_id: str | None) -> str:
    """The pool of a scanner; the default one for None and for unknown scanners."""
    pools = {scanner.id: scanner.pool for scanner in app.config.scanners}
    return pools.get(scanner_id or "", DEFAULT_POOL)
