"""Results of scans: pages of findings, summaries, comparison and search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs

from nessus_sched.api import summary_view
from nessus_sched.api.access import seen, visible
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.overview import listed, texts_once
from nessus_sched.api.outcomes.standing import room_left, with_standing
from nessus_sched.api.paging import USUAL_BYTES, USUAL_ROWS
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.api.untrusted import FINDINGS, mark_row_untrusted, sanitize
from nessus_sched.core.fields import field
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.core.text import pluralize
from nessus_sched.results.comparison import IN_BEFORE, SAME, SWAPPED, Change
from nessus_sched.results.query.catalogs import STORED, Catalog
from nessus_sched.results.query.input import KEYS, read_query
from nessus_sched.results.query.joining import identified
from nessus_sched.results.query.model import PROFILES, GroupBy, Match, Query
from nessus_sched.results.query.page import Page
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.results.untrusted import clean_line

PAGE = 500
MAX_BYTES = 40_000
"""Of the rows of one answer; dense text has fewer, so that it stays under 10,000 tokens."""


@attrs.frozen(kw_only=True)
class QueryArgs:
    profile: str | None = field(
        "Fields per finding: " + ", ".join(PROFILES) + ". Default: brief.",
        once=True,
        default=None,
        max_length=20,
    )
    fields: list[str] = field(
        "Fields to show, such as cvss3_base_score; instead of a profile or besides it.",
        once=True,
        factory=list,
        max_length=100,
    )
    filters: list[dict[str, Any] | str] = field(
        'Such as "severity>=high", "cve contains 2021-44228", "exploit_available=true", '
        '"solution is absent", or {field, op, value}.',
        once=True,
        factory=list,
        max_length=50,
    )
    match: Match = field("Whether all filters must match.", once=True, default=Match.ALL)
    sort: list[str] = field(
        "Fields to sort by, - for descending. Default: worst first.",
        once=True,
        factory=list,
        max_length=5,
    )
    page_size: int = field(
        "Findings per page.", once=True, default=USUAL_ROWS, minimum=1, maximum=1000
    )
    cursor: str | None = field(
        "`next_cursor` of the page before.", once=True, default=None, max_length=2000
    )
    max_bytes: int = field(
        "Maximum bytes of findings.",
        once=True,
        default=USUAL_BYTES,
        minimum=2000,
        maximum=MAX_BYTES,
    )


@attrs.frozen(kw_only=True)
class ResultsArgs(QueryArgs):
    EXPLAINS: ClassVar = True
    task_id: str = field("The id of the task.", max_length=64)
    group_by: GroupBy | None = field(
        "Count findings instead of listing each; by host also its logins, for example with "
        'filters ["host_login=failed"].',
        default=None,
    )


@attrs.frozen(kw_only=True)
class CompareArgs(QueryArgs):
    before_task_id: str = field("The earlier scan.", min_length=1, max_length=64)
    after_task_id: str = field("The later scan.", min_length=1, max_length=64)
    change: Change = field("Which findings to list.", default=Change.NEW)


@attrs.frozen(kw_only=True)
class PageAnswer:
    findings: list[dict[str, Any]] = field("The findings of this page, or their groups.")
    total: int = field("How many findings match the filters.")
    severity_counts: dict[str, int] = field("Those that match, by severity.")
    compliance_counts: dict[str, int] = field("Compliance checks by result, not by severity.")
    next_cursor: str | None = field("For the next page; null at the end.")
    notes: list[str] = field("What was left out or cut, and how to narrow.")
    untrusted: str = field("How to treat the texts.")
    groups_total: int | None = field("How many groups, if these are groups.", default=None)


@attrs.frozen(kw_only=True)
class SummaryArgs(TaskArgs):
    detail: Literal["concise", "full"] = field(
        "full: longer lists, hosts with the evidence; several times as long.",
        default="concise",
    )


@attrs.frozen(kw_only=True)
class SummaryAnswer:
    task_id: str = field("The task.")
    summary: dict[str, Any] = field(
        "hosts, findings, severity_counts, compliance_counts (compliance checks by result, which "
        "are in no other count but findings), verdict, host_verdicts, warnings, "
        "top_findings, known_exploited, exploitable, top_hosts, families, problems. In rows, what "
        "is missing is empty or false. `left_out` "
        "counts what its lists do not show; get_scan_results with group_by plugin or host has all."
    )
    untrusted: str = field("How to treat the texts.")


@attrs.frozen(kw_only=True)
class CompareAnswer:
    counts: dict[str, Any] = field(
        "severities and compliance_counts by change; not_checked and not_checked_before by "
        "reason; hosts; notes."
    )
    page: PageAnswer = field("The findings with the change that was asked for.")


@tool(writes=False, open_world=True)
async def get_scan_results(app: App, call: Call, args: ResultsArgs) -> PageAnswer:
    """List the findings of one completed scan, worst first, a page at a time. Narrow with filters
    rather than paging through everything: filters may name any field, whatever the profile
    shows.

    For an overview use get_scan_summary first. An empty page with total 0 means that nothing
    matches; the notes of a first page say where the scan saw too little for that to mean much."""
    task = await must_have_results(app, call, args.task_id)
    query = identified(query_of(args))

    async def read(asked: Query) -> Page:
        room = room_left(args.max_bytes, asked)
        return await app.findings.page(args.task_id, asked, max_bytes=room)

    with as_tool_errors():
        page = await listed(args, query, read)
        page = await with_standing(app, call, page, query, args.task_id)
    return page_answer(_first_warned(page, task, args.cursor), fence=True)


@tool(writes=False, open_world=True)
async def get_scan_summary(app: ReadApp, call: Call, args: SummaryArgs) -> SummaryAnswer:
    """Summarize the results of a completed scan: findings by severity, host and
    family, the worst findings, known-exploited and exploitable ones, whether logins worked
    per host, and warnings when the result may be incomplete. Read the warnings before
    concluding that something is fine."""
    task = (await seen(app, call, args.task_id)).task
    if task.summary is None:
        raise _not_yet(task.task_id, task.state)
    shown = summary_view.full if args.detail == "full" else summary_view.concise
    return SummaryAnswer(task_id=task.task_id, summary=shown(task.summary), untrusted=FINDINGS)


@tool(writes=False, open_world=True)
async def compare_scans(app: App, call: Call, args: CompareArgs) -> CompareAnswer:
    """What changed between two completed tasks. A finding is fixed only if the later scan
    would have shown it; otherwise it is not_checked, with the reason (host down, login
    failed, port not scanned ...), and may still be there. new and not_checked_before
    differ likewise. changed: another severity or compliance result. Read counts.notes.

    Arguments without a description are those of get_scan_results."""
    before = await must_have_results(app, call, args.before_task_id)
    known = pair_notes(before, await must_have_results(app, call, args.after_task_id))
    query = identified(query_of(args))
    with as_tool_errors():
        comparison = await app.findings.compare(args.before_task_id, args.after_task_id, query)
        both = (args.before_task_id, args.after_task_id)
        room = room_left(args.max_bytes, query)
        page = await app.findings.changed(*both, args.change, query, max_bytes=room)
        seen_by = both[args.change not in IN_BEFORE]
        page = await with_standing(app, call, texts_once(args, page), query, seen_by)
    return CompareAnswer(
        counts=attrs.asdict(comparison),
        page=page_answer(page, fence=True, notes=known),
    )


RESULT_TOOLS: tuple[ToolDef, ...] = (
    get_scan_results,
    get_scan_summary,
    compare_scans,
)


def query_of(args: object, catalog: Catalog = STORED) -> Query:
    """What the arguments of a tool ask for. Raises `ToolError`."""
    with as_tool_errors():
        return read_query(asked_for(args), catalog)


def asked_for(args: object) -> dict[str, Any]:
    """The arguments that `read_query` takes: they have an attribute for each of its keys."""
    return {key: getattr(args, key, None) for key in KEYS}


async def readable(app: ReadApp, call: Call) -> list[str] | None:
    """The tasks with results that the caller may see; None for all, without reading them."""
    if not app.scopes_of(call.peer):
        return None
    wanted = TaskFilter(shown=visible(app, call))
    found: list[str] = []
    cursor = None
    while True:
        page = await app.queries.tasks(wanted, limit=PAGE, cursor=cursor)
        found += [task.task_id for task in page.tasks if task.summary is not None]
        cursor = page.cursor
        if cursor is None:
            return found


async def must_have_results(app: App, call: Call, task_id: str) -> Task:
    """The task. Raises `ToolError` unless it has results: an empty page would be taken for a
    clean bill of health."""
    task = (await seen(app, call, task_id)).task
    if task.summary is None:
        raise _not_yet(task_id, task.state)
    return task


def _first_warned(page: Page, task: Task, cursor: str | None) -> Page:
    return page if cursor else attrs.evolve(page, notes=(*cautions(task.summary), *page.notes))


async def early_among(app: ReadApp, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on the early ends of the scans whose findings are on this page."""
    notes: list[str] = []
    for task_id in dict.fromkeys(str(row["task_id"]) for row in rows if "task_id" in row):
        task = await app.queries.stored(task_id)
        if task is not None:
            notes += early_end(task)
    return notes


def early_end(task: Task) -> list[str]:
    """A note on results that are not those of a whole scan; none otherwise."""
    if task.partial is None:
        return []
    found = task.summary or {}
    why = clean_line(task.partial, 300)
    what = (
        f"The scan of task {task.task_id} ended early: {why}"
        if task.split is None
        else f"Some targets of task {task.task_id} have no results: {why}"
    )
    note = (
        f"{what}. "
        f"{found.get('hosts_finished', 0)} of {pluralize(found.get('hosts', 0), 'host')} in its "
        "report finished; absent is not clean."
    )
    return [note]


def pair_notes(before: Task, after: Task) -> list[str]:
    """What to know about two tasks before their results are compared."""
    if before.task_id == after.task_id:
        return [SAME, *early_end(before)]
    began = before.launched_at
    # An imported report was not launched: when it was scanned is not known here.
    ended = None if after.launched_at is None else after.entered.get(after.state)
    swapped = began is not None and ended is not None and began > ended
    return [*([SWAPPED] if swapped else []), *early_end(before), *early_end(after)]


def _not_yet(task_id: str, state: TaskState) -> ToolError:
    return ToolError(
        "no_results",
        f"Task {task_id} is {state}: it has no results.",
        "get_scan_status shows its status.",
    )


def page_answer(page: Page, *, fence: bool = False, notes: Sequence[str] = ()) -> PageAnswer:
    """`fence`: for a model, which must see where texts of hosts begin and end. `notes` go before
    those of the page."""
    return PageAnswer(
        findings=[mark_row_untrusted(row) if fence else sanitize(row) for row in page.rows],
        total=page.total,
        groups_total=page.groups,
        severity_counts=dict(page.severities),
        compliance_counts=dict(page.checks),
        next_cursor=page.next_cursor,
        notes=[*notes, *page.notes],
        untrusted=FINDINGS,
    )
