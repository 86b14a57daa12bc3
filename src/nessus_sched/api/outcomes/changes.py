"""What changed across all scans: new, resurfaced, fixed and unverified findings."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import attrs

from nessus_sched.api.answers import iso
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.finding import DAY, FINDING, finding_document
from nessus_sched.api.outcomes.ledger import LeastSeverity, behind
from nessus_sched.api.paging import take_within, token_budget
from nessus_sched.api.untrusted import FINDINGS
from nessus_sched.core.fields import field
from nessus_sched.core.targets.ranges import Ranges, difference, intersection
from nessus_sched.core.targets.targets import BadTargets, parse_targets
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.questions import Change, ChangePage, ChangeQuery, Entry
from nessus_sched.results.model import SEVERITIES

USUAL_DAYS: Final = 7
_CURSOR: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18}){4}")
_UNSEEN: Final = {
    Reason.UNKNOWN: "what the previous scan could see is unknown",
    Reason.REPORT_INCOMPLETE: "the report of the previous scan was incomplete",
    Reason.HOST_DOWN: "the host did not answer the previous scan",
    Reason.HOST_CHANGED: "another machine has the address now",
    Reason.HOST_UNFINISHED: "the previous scan did not finish the host",
    Reason.CHECK_NOT_RUN: "the previous scan did not run this audit check",
    Reason.PLUGIN_NOT_RUN: "the previous scan did not run the plugin",
    Reason.SETTINGS_WEAKER: "the previous scan was less thorough",
    Reason.LOGIN_FAILED: "the previous scan did not log in as well",
    Reason.PORT_NOT_SCANNED: "the previous scan did not scan the port",
}


@attrs.frozen(kw_only=True)
class ReadChangesArgs:
    since: datetime | None = field(
        f"Changes by scans after this. Default: the last {USUAL_DAYS} days.", default=None
    )
    targets: list[str] = field("Only hosts in these networks.", factory=list, max_length=50)
    changes: list[Change] = field("Only these.", factory=list, max_length=4)
    severity: LeastSeverity = field("Lowest severity.", default="low")
    limit: int = field("Rows per page.", default=5, minimum=1, maximum=200)
    cursor: str | None = field("`next_cursor` of the page before.", default=None)


@attrs.frozen(kw_only=True)
class ChangesArgs(ReadChangesArgs):
    schedule: str | None = field(
        "Instead of since: after its second-to-last run.", default=None, max_length=100
    )


@attrs.frozen(kw_only=True)
class ChangesAnswer:
    since: str | None = field("Changes by scans after this.")
    scans: int = field("Scans entered since then; 0: nothing is known about changes.")
    counts: dict[str, dict[str, int]] = field("By change and severity, over all pages.")
    excepted: dict[str, int] = field("By change: how many of these have an exception.")
    compliance_counts: dict[str, int] = field("Compliance checks by change, not by severity.")
    first_scans: int = field("How many of the new ones come from the first scan of their host.")
    unverified: dict[str, int] = field("The unverified ones by reason; they may still be there.")
    rows: list[dict[str, Any]] = field(
        f"Latest first: change; of new ones why (a new exposure, or why no earlier scan showed "
        f"it); {FINDING}."
    )
    next_cursor: str | None = field("For the next page.")
    notes: list[str] = field("What is missing.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False, open_world=True)
async def get_changes(app: App, call: Call, args: ChangesArgs) -> ChangesAnswer:
    """What scans changed since a time: findings that are new (and why), resurfaced, proved fixed,
    or unverified, which is not fixed."""
    notes: list[str] = []
    since = args.since.timestamp() if args.since else None
    if args.schedule is not None:
        since, note = await _last_run(app, call, args.schedule)
        notes.append(note)
    return await _answer(app, call, args, since, notes, token_budget(args.limit))


@tool(writes=False, open_world=True)
async def read_changes(app: ReadApp, call: Call, args: ReadChangesArgs) -> ChangesAnswer:
    """What changed, without a daemon, too."""
    return await _answer(app, call, args, args.since.timestamp() if args.since else None, [])


CHANGE_TOOLS: tuple[ToolDef, ...] = (get_changes,)
CHANGE_ACTIONS: tuple[ToolDef, ...] = (read_changes,)


async def _last_run(app: App, call: Call, name: str) -> tuple[float, str]:
    """The time of a schedule's last run but one, and what to say about it."""
    with as_tool_errors():
        schedule = app.schedules.named(name)
        if not app.sees(call.peer, schedule.template):
            raise ToolError("not_permitted", "That schedule is another user's.")
        ran = [firing.task_id for firing in schedule.recent if firing.task_id is not None]
        times = await app.ledger.scan_times(ran)
    if not times:
        raise ToolError(
            "no_results", f"Schedule {schedule.name} has no finished run yet.", "Give since."
        )
    if len(times) == 1:
        return 0.0, f"Schedule {schedule.name} has run once: everything it found is new."
    return times[1], f"Between the last two runs of schedule {schedule.name}, and since."


async def _answer(
    app: ReadApp,
    call: Call,
    args: ReadChangesArgs,
    since: float | None,
    notes: list[str],
    most: int | None = None,
) -> ChangesAnswer:
    """`most` limits the rows, in tokens; None gives as many as were asked for."""
    now = app.now()
    begin = int(now - USUAL_DAYS * DAY if since is None else since)
    query = ChangeQuery(
        since=begin,
        changes=tuple(args.changes) or tuple(Change),
        least_severity=SEVERITIES.index(args.severity),
        ranges=_ranges(app, call, args.targets),
        limit=args.limit,
        after=_after(args.cursor),
        now=now,
    )
    with as_tool_errors():
        page = await app.ledger.changes(query)
        rows = _rows(app, page, now)
        if most is not None and len(kept := take_within(rows, most)) < len(rows):
            page, rows = await app.ledger.changes(attrs.evolve(query, limit=len(kept))), kept
    if not page.scans:
        notes.append("No scan since then, so no changes does not mean that all is well.")
    return ChangesAnswer(
        since=iso(begin),
        scans=page.scans,
        counts={change.value: dict(found) for change, found in page.counts.items() if found},
        compliance_counts={change.value: count for change, count in page.checks.items()},
        excepted={change.value: count for change, count in page.excepted.items()},
        first_scans=page.first_scans,
        unverified={reason.value: count for reason, count in page.reasons.items()},
        rows=rows,
        next_cursor=None if page.after is None else ".".join(map(str, page.after)),
        notes=[*notes, *behind(app)],
        untrusted=FINDINGS,
    )


def _rows(app: ReadApp, page: ChangePage, now: float) -> list[dict[str, Any]]:
    return [
        {
            "change": change.value,
            **({"why": why_new(entry)} if change is Change.NEW else {}),
            **finding_document(entry, now, app.config.ledger.stale_after),
        }
        for change, entry in page.entries
    ]


def why_new(entry: Entry) -> str:
    """Why no earlier scan showed a finding, or that it is a new exposure."""
    if entry.first_scan:
        return "first scan of the host"
    if entry.unseen_before is None:
        return "new exposure: the previous scan would have shown it"
    published = ""
    if entry.unseen_before is Reason.PLUGIN_NOT_RUN and entry.published:
        published = f" (published {entry.published})"
    return _UNSEEN.get(entry.unseen_before, str(entry.unseen_before)) + published


def _ranges(app: ReadApp, call: Call, targets: list[str]) -> Ranges | None:
    """The addresses that are asked for and that the caller may see; None for all."""
    found: Ranges | None = None
    if targets:
        try:
            asked = parse_targets(targets)
        except BadTargets as error:
            raise ToolError("bad_arguments", f"targets: {error}") from error
        if asked.names:
            raise ToolError(
                "bad_arguments", "targets: addresses only; get_host finds a host by name"
            )
        found = asked.ranges
    for scope in app.scopes_of(call.peer):
        allowed = difference(scope.allow.networks, scope.deny.networks)
        found = allowed if found is None else tuple(intersection(found, allowed))
    return found


def _after(cursor: str | None) -> tuple[int, ...] | None:
    if cursor is None:
        return None
    if _CURSOR.fullmatch(cursor) is None:
        raise ToolError("bad_arguments", "cursor: not one that get_changes returned")
    return tuple(map(int, cursor.split(".")))
