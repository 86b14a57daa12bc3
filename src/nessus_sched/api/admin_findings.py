"""Operator actions on results: large pages of findings, as they were reported.

Texts are not sanitized here; the client does that when it shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.access import seen
from nessus_sched.api.app import ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import early_among, pair_notes, query_of, readable
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.standing import room_left, with_standing
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.core.fields import field
from nessus_sched.results.comparison import IN_BEFORE, Change, Comparison
from nessus_sched.results.query.joining import identified
from nessus_sched.results.query.model import GroupBy, Match, SearchScope
from nessus_sched.results.query.page import Page
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.results.untrusted import clean_line

LARGE: Final = 2 * 2**20
"""Bytes of the rows of one page."""
MEMORY: Final = 8 * LARGE
"""Bytes that such a page takes, as objects and as text."""


@attrs.frozen(kw_only=True)
class PageArgs:
    profile: str | None = field("Named choice of fields.", default=None, max_length=20)
    fields: list[str] = field("Fields to show.", factory=list, max_length=200)
    filters: list[dict[str, Any] | str] = field("Conditions.", factory=list, max_length=50)
    match: Match = field("Whether all filters must match.", default=Match.ALL)
    sort: list[str] = field("Fields to sort by.", factory=list, max_length=5)
    page_size: int = field("Findings per page.", default=50, minimum=1, maximum=1000)
    cursor: str | None = field("Of the page before.", default=None, max_length=2000)


@attrs.frozen(kw_only=True)
class SummaryAnswer:
    title: str = field("What the task is called.")
    summary: dict[str, Any] = field("The document of `results.summary`.")


@attrs.frozen(kw_only=True)
class ReadArgs(PageArgs):
    group_by: GroupBy | None = field("Groups instead of findings.", default=None)
    task_id: str = field("The task.", min_length=1, max_length=64)


@attrs.frozen(kw_only=True)
class SearchArgs(PageArgs):
    history: bool = field("Every scan's findings, not the present state.", default=False)


@attrs.frozen(kw_only=True)
class CompareArgs(PageArgs):
    before: str = field("The earlier task.", min_length=1, max_length=64)
    after: str = field("The later task.", min_length=1, max_length=64)
    change: Change = field("Which findings to list.", default=Change.NEW)


@attrs.frozen(kw_only=True)
class FindingsAnswer:
    findings: list[dict[str, Any]] = field("The findings of this page.")
    total: int = field("How many findings match.")
    severity_counts: dict[str, int] = field("Those that match, by severity.")
    compliance_counts: dict[str, int] = field("Compliance checks by result, not by severity.")
    next_cursor: str | None = field("For the next page; null at the end.")
    notes: list[str] = field("What was left out or cut.")
    groups_total: int | None = field("How many groups, if these are groups.", default=None)


@attrs.frozen(kw_only=True)
class CompareAnswer:
    counts: dict[str, Any] = field(
        "severities (by change: new, not_checked_before, fixed, not_checked, changed, "
        "persisting), compliance_counts (by change), not_checked and not_checked_before (by "
        "reason), hosts_added, hosts_gone and their totals, hosts_in_both, notes."
    )
    page: FindingsAnswer = field("The findings with the change that was asked for.")


@tool(writes=False, open_world=True)
async def read_summary(app: ReadApp, call: Call, args: TaskArgs) -> SummaryAnswer:
    """The whole summary of a completed task."""
    task = (await seen(app, call, args.task_id)).task
    if task.summary is None:
        raise ToolError("no_results", f"task {task.task_id} is {task.state}: it has no results")
    title = clean_line(task.request.name) or f"task {task.task_id}"
    return SummaryAnswer(title=title, summary=dict(task.summary))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def read_findings(app: ReadApp, call: Call, args: ReadArgs) -> FindingsAnswer:
    """A page of a task's findings."""
    await seen(app, call, args.task_id)
    with as_tool_errors():
        query = identified(query_of(args))
        task = (await app.queries.task(args.task_id)).task
        page = await app.findings.page(args.task_id, query, max_bytes=room_left(LARGE, query))
        page = await with_standing(app, call, page, query, args.task_id)
    return findings_answer(page, () if args.cursor else cautions(task.summary))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def search_all(app: ReadApp, call: Call, args: SearchArgs) -> FindingsAnswer:
    """A page of the findings of all tasks: the present state, or the history."""
    with as_tool_errors():
        query = identified(query_of(args))
        task_ids = await readable(app, call)
        scope = SearchScope(
            task_ids=None if task_ids is None else tuple(task_ids), history=args.history
        )
        page = await app.findings.search(query, scope, max_bytes=room_left(LARGE, query))
        page = await with_standing(app, call, page, query)
    return findings_answer(page, await early_among(app, page.rows))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def compare_findings(app: ReadApp, call: Call, args: CompareArgs) -> CompareAnswer:
    """What changed between two tasks, and a page of the findings that did."""
    before = (await seen(app, call, args.before)).task
    known = pair_notes(before, (await seen(app, call, args.after)).task)
    with as_tool_errors():
        query = identified(query_of(args))
        both = (args.before, args.after)
        comparison = await app.findings.compare(*both, query)
        room = room_left(LARGE, query)
        page = await app.findings.changed(*both, args.change, query, max_bytes=room)
        page = await with_standing(app, call, page, query, both[args.change not in IN_BEFORE])
    return compare_answer(comparison, page, known)


RESULT_ACTIONS: tuple[ToolDef, ...] = (read_summary, read_findings, search_all, compare_findings)


def findings_answer(page: Page, warned: Sequence[str] = ()) -> FindingsAnswer:
    return FindingsAnswer(
        findings=[dict(row) for row in page.rows],
        total=page.total,
        groups_total=page.groups,
        severity_counts=dict(page.severities),
        compliance_counts=dict(page.checks),
        next_cursor=page.next_cursor,
        notes=[*warned, *page.notes],
    )


def compare_answer(comparison: Comparison, page: Page, warned: Sequence[str] = ()) -> CompareAnswer:
    return CompareAnswer(counts=attrs.asdict(comparison), page=findings_answer(page, warned))
