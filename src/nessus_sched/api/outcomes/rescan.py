"""A new scan of those targets of an earlier one that it did not cover, or that have findings."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.api.access import seen
from nessus_sched.api.answers import SubmitAnswer
from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.coverage import coverage_as
from nessus_sched.api.submit import MINUTE, pool_of, submit_request, submit_tool
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.core.coverage import counts_text
from nessus_sched.core.fields import field
from nessus_sched.core.states import SETTLED
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Discovery, Priority, ScanKind, ScanRequest, Task
from nessus_sched.core.text import pluralize
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import GroupBy, Match, Query
from nessus_sched.results.rescan import Outcome, targets_of
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.scheduler.admission.admit import MAX_CREDENTIALS

WITHOUT_LOGIN = frozenset({ScanKind.BASIC, ScanKind.QUICK})
FAILED = "host_login=failed"
BY_COVERAGE = frozenset({Outcome.NOT_REACHED, Outcome.SILENT})


@attrs.frozen(kw_only=True)
class Otherwise(TaskArgs):
    """What may be other than in the earlier task, as in `SubmitArgs`."""

    name: str = field("Another name.", once=True, default="", max_length=100)
    description: str = field("Another reason for the scan.", once=True, default="", max_length=1000)
    scanner_instance: str | None = field("Another scanner.", once=True, default=None, max_length=64)
    priority: Priority | None = field("Another queue priority.", once=True, default=None)
    profile: str | None = field("Another scan profile.", once=True, default=None, max_length=64)
    settings: dict[str, str] = field("Nessus settings instead of its own.", once=True, factory=dict)
    max_runtime_minutes: int | None = field(
        "Stop the scan after that long.", once=True, default=None, minimum=1, maximum=43200
    )
    idempotency_key: str | None = field(
        "As in submit_scan.", once=True, default=None, min_length=1, max_length=200
    )
    dry_run: bool = field("Submit nothing.", once=True, default=False)


@attrs.frozen(kw_only=True)
class RescanArgs(Otherwise):
    """What is left out is as in the earlier task; template, profile and settings only if the kind
    is, too."""

    hosts: Outcome = field(
        "Which of its hosts. failed_logins: where no credential worked; silent, not_reached: as in "
        "get_coverage; matching: those that match `filters`."
    )
    filters: list[dict[str, Any] | str] = field(
        "With matching: conditions as in get_scan_results; a host needs one finding that matches.",
        factory=list,
        max_length=50,
        examples=(["severity>=high"],),
    )
    match: Match = field("Whether all filters must match.", default=Match.ALL)
    kind: ScanKind | None = field(
        "Another kind of scan, such as trusted for hosts that a quick scan found; then template, "
        "profile and settings are not taken over.",
        default=None,
    )
    template: str | None = field("custom: another template.", default=None, max_length=128)
    audit: str | None = field("compliance: another audit.", default=None, max_length=64)
    credential: list[str] = field(
        "Other credentials, by name, such as a corrected one.",
        factory=list,
        max_length=MAX_CREDENTIALS,
    )


@attrs.frozen(kw_only=True)
class RescanAnswer(SubmitAnswer):
    rescan_of: str = field("The earlier task.")
    notes: list[str] = field("Why hosts may be missing: the earlier scan saw less than all.")


@tool(writes=True, idempotent=False, open_world=True, like="submit_scan")
async def rescan(app: App, call: Call, args: RescanArgs) -> RescanAnswer:
    """Queue a new scan of some hosts of a finished one: where logins failed, that were not
    reached or silent, or that have certain findings. The kind of scan, template, credentials and
    options are those of the earlier task unless others are given.

    If no host qualifies, nothing is queued, which is not an all-clear: the error says what the
    earlier scan saw. Arguments without a description are those of submit_scan."""
    task = await _finished(app, call, args)
    with as_tool_errors():
        found = await _targets(app, task, args)
    if not found:
        raise _nothing(task, args)
    answer = await submit_request(
        app,
        call,
        _request(app, task, args, found),
        idempotency_key=args.idempotency_key,
        dry_run=args.dry_run,
    )
    return RescanAnswer(
        **attrs.asdict(answer, recurse=False),
        rescan_of=task.task_id,
        notes=cautions(task.summary),
    )


RESCAN_TOOLS: tuple[ToolDef, ...] = (rescan,)


async def _finished(app: App, call: Call, args: RescanArgs) -> Task:
    """The earlier task. Raises `ToolError` if the caller may not see it or submit such scans, or if
    it cannot be rescanned."""
    if bool(args.filters) != (args.hosts is Outcome.MATCHING):
        raise ToolError(
            "bad_arguments",
            "`filters` go with hosts=matching, and with nothing else",
            'For example {"hosts": "matching", "filters": ["severity>=high"]}.',
        )
    task = (await seen(app, call, args.task_id)).task
    kind = args.kind or task.request.kind
    if not app.may_submit(call.peer, kind):
        raise ToolError(
            "not_permitted",
            f"Your role does not have {submit_tool(kind)}, so it cannot rescan with a {kind} scan.",
            "Ask the operator, under roles in the configuration.",
        )
    if not task.request.targets:
        raise ToolError(
            "not_rescannable",
            f"Task {task.task_id} is an imported report, not a scan that could be repeated.",
            "Submit a scan of its hosts; get_scan_results with group_by host lists them.",
        )
    if task.state not in SETTLED or (task.summary is None and args.hosts not in BY_COVERAGE):
        raise ToolError(
            "no_results",
            f"Task {task.task_id} is {task.state}: it has no results to choose hosts by.",
            "get_scan_status shows its status. To scan all its targets, submit them again.",
        )
    if args.credential and kind in WITHOUT_LOGIN:
        raise ToolError(
            "credential_not_used",
            f"A {kind} scan does not log in, so it takes no credential.",
            "Use the kind trusted or privileged.",
        )
    return task


async def _targets(app: App, task: Task, args: RescanArgs) -> list[str]:
    if args.hosts is Outcome.NOT_REACHED:
        return await coverage_as(app, task, lambda coverage, _: list(coverage.missed.texts))
    if args.hosts is Outcome.SILENT:
        return await coverage_as(app, task, lambda coverage, _: list(coverage.silent.texts))
    hosts = await app.findings.hosts(task.task_id, _query(args))
    return targets_of(hosts, parse_targets(task.request.targets))


def _query(args: RescanArgs) -> Query:
    """Raises `BadQuery`."""
    filters = [FAILED] if args.hosts is Outcome.FAILED_LOGINS else args.filters
    return read_query({"filters": filters, "match": args.match, "group_by": GroupBy.HOST})


def _request(app: App, task: Task, args: RescanArgs, targets: list[str]) -> ScanRequest:
    minutes = args.max_runtime_minutes
    given: dict[str, Any] = {
        "audit": args.audit,
        "credentials": tuple(args.credential),
        "name": args.name,
        "description": args.description,
        "scanner_instance": args.scanner_instance,
        "pool": pool_of(app, args.scanner_instance) if args.scanner_instance else None,
        "priority": args.priority,
        "profile": args.profile,
        "settings": args.settings,
        "max_runtime": None if minutes is None else minutes * MINUTE,
    }
    return attrs.evolve(
        _base(task.request, args),
        targets=tuple(targets),
        rescan_of=task.task_id,
        deadline=None,
        **{name: value for name, value in given.items() if value},
    )


def _base(request: ScanRequest, args: RescanArgs) -> ScanRequest:
    """The earlier request, changed to another kind or template."""
    kind = args.kind or request.kind
    if kind is not request.kind:
        request = attrs.evolve(
            request,
            kind=kind,
            credentials=() if kind in WITHOUT_LOGIN else request.credentials,
            template=None,
            policy=None,
            audit=None,
            discovery=Discovery.HOSTS if kind is ScanKind.QUICK else None,
            profile=None,
            settings={},
            verify=None,
        )
    if args.template:
        request = attrs.evolve(request, template=args.template, policy=None, verify=None)
    return request


def _nothing(task: Task, args: RescanArgs) -> ToolError:
    """What the scan saw instead, which no answer may leave out: an empty one would be taken for
    "all is well"."""
    summary = task.summary or {}
    counts = (summary.get("verdict") or {}).get("counts", {})
    logins = ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in counts.items() if n)
    hosts = pluralize(summary.get("hosts", 0), "host")
    covered = counts_text(summary["coverage"]) if "coverage" in summary else hosts
    said = {
        Outcome.FAILED_LOGINS: f"no host in its report has a failed login ({hosts}: {logins})",
        Outcome.NOT_REACHED: f"every target was scanned ({covered})",
        Outcome.SILENT: f"no target was scanned without an answer ({covered})",
        Outcome.MATCHING: f"no host in its report matches the filters ({hosts})",
    }[args.hosts]
    return ToolError(
        "nothing_to_rescan",
        f"Nothing was queued: in task {task.task_id} {said}.",
        " ".join(
            [
                *cautions(summary),
                "This says nothing about hosts that the scan did not see; see get_scan_summary.",
            ]
        ),
    )
