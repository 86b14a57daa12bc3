"""Search across all scans: what is open now from the ledger, the rest from stored scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.access import visible
from nessus_sched.api.admin_findings import LARGE, MEMORY, FindingsAnswer, PageArgs
from nessus_sched.api.answers import iso
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import (
    PAGE,
    PageAnswer,
    QueryArgs,
    asked_for,
    early_among,
    early_end,
    must_have_results,
    page_answer,
    query_of,
    readable,
)
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.ledger import behind, target_of_name
from nessus_sched.api.outcomes.overview import Lists, as_asked, listed, texts_once
from nessus_sched.api.outcomes.standing import room_left, with_standing
from nessus_sched.config.labels import labels_of
from nessus_sched.core.fields import field
from nessus_sched.core.targets.ranges import Ranges, difference, intersection
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.columns import Kind
from nessus_sched.results.ledger.fields import LEDGER, LEDGER_FIELDS
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch, Seen, mixed
from nessus_sched.results.query.catalogs import STORED
from nessus_sched.results.query.input import named_fields
from nessus_sched.results.query.joining import identified
from nessus_sched.results.query.model import JOINED, GroupBy, Query, SearchScope
from nessus_sched.results.query.page import Page

_UNGROUPED: Final = (
    "Findings of stored scans come one by one: get_scan_results groups those of one task."
)
_SHOWN: Final = 3
"""Fields that a message names."""
_GROUPS: Final = "Count findings by this instead of listing each."


@attrs.frozen(kw_only=True)
class SearchArgs(QueryArgs):
    group_by: GroupBy | None = field(_GROUPS, default=None)
    task_ids: list[str] = field("Only in these tasks.", factory=list, max_length=100)
    history: bool = field("Every scan that ever saw a finding.", default=False)


@attrs.frozen(kw_only=True)
class ReadSearchArgs(PageArgs):
    group_by: GroupBy | None = field(_GROUPS, default=None)


@attrs.frozen(kw_only=True)
class SearchAnswer(PageAnswer):
    excepted: dict[str, int] = field("How many of severity_counts have an exception.", factory=dict)


@attrs.frozen(kw_only=True)
class ReadSearchAnswer(FindingsAnswer):
    excepted: dict[str, int] = field("How many of severity_counts have an exception.", factory=dict)


@tool(writes=False, open_world=True)
async def search_findings(app: App, call: Call, args: SearchArgs) -> SearchAnswer:
    """What is open now across all scans, each finding once, worst first: which hosts have a CVE,
    a plugin, a severity, or who has log4j; since when. Filters such as ["cve contains 2021-44228",
    "host=192.0.2.0/24", "age_days>30", "state=fixed", "schedule=weekly", "unverified present",
    "exception absent"]. Fields that only stored scans have (plugin_output ...) search those.

    No findings does not mean clean: the notes say when a requested host was last scanned. Arguments
    without a description are those of get_scan_results."""
    early: list[str] = []
    for task_id in args.task_ids:
        early += early_end(await must_have_results(app, call, task_id))
    if args.history or args.task_ids:
        page = await _stored(app, call, args, args.max_bytes, args.task_ids, history=args.history)
    else:
        page = await _present(app, call, args, args.max_bytes, listed)
    if not args.task_ids:
        early = await early_among(app, page.rows)
    answer = page_answer(page, fence=True, notes=early)
    return SearchAnswer(**attrs.asdict(answer, recurse=False), excepted=_excepted(page))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def search_now(app: ReadApp, call: Call, args: ReadSearchArgs) -> ReadSearchAnswer:
    """A page of what is open now across all scans."""
    page = await _present(app, call, args, LARGE, as_asked)
    return ReadSearchAnswer(
        findings=[dict(row) for row in page.rows],
        total=page.total,
        groups_total=page.groups,
        severity_counts=dict(page.severities),
        compliance_counts=dict(page.checks),
        next_cursor=page.next_cursor,
        notes=[*await early_among(app, page.rows), *page.notes],
        excepted=_excepted(page),
    )


SEARCH_TOOLS: tuple[ToolDef, ...] = (search_findings,)
SEARCH_ACTIONS: tuple[ToolDef, ...] = (search_now,)


def _excepted(page: Page) -> dict[str, int]:
    return dict(page.excepted) if isinstance(page, LedgerPage) else {}


async def _present(
    app: ReadApp, call: Call, args: SearchArgs | ReadSearchArgs, max_bytes: int, lists: Lists
) -> Page:
    """From the ledger, if it has all the fields; else from the stored findings."""
    stored_only, ledger_only = mixed(named_fields(asked_for(args)), STORED.fields)
    ledger_only = [name for name in ledger_only if name not in _joined_only(args)]
    if stored_only and ledger_only:
        raise ToolError(
            "bad_query",
            f"{_listed(stored_only)}: only stored scans have this; {_listed(ledger_only)}: only "
            "the ledger has this. One search cannot use both.",
            "Search for one, then for the other with filters on host and plugin_id.",
        )
    if not stored_only:
        return await lists(
            args, query_of(args, LEDGER), lambda query: _from_ledger(app, call, query, max_bytes)
        )
    page = await _stored(app, call, args, max_bytes)
    note = (
        f"Answered from the stored scans, because only these have {_listed(stored_only)}: findings "
        "whose scans were deleted are missing."
    )
    return attrs.evolve(page, notes=(note, *page.notes))


async def _stored(
    app: ReadApp,
    call: Call,
    args: SearchArgs | ReadSearchArgs,
    max_bytes: int,
    task_ids: Sequence[str] = (),
    *,
    history: bool = False,
) -> Page:
    _, ledger_only = mixed(named_fields(asked_for(args)), STORED.fields)
    ledger_only = [name for name in ledger_only if name not in _joined_only(args)]
    if ledger_only:
        raise ToolError(
            "bad_query",
            f"{_listed(ledger_only)}: only a search of the current state can filter or sort by "
            "this.",
            "Leave out history and task_ids; task_id=ID keeps what that scan was the last to see.",
        )
    if args.group_by is not None:
        raise ToolError(
            "bad_query",
            "group_by: only for what is open now, and fields of the ledger",
            "get_scan_results groups the findings of one task.",
        )
    query = identified(query_of(args))
    with as_tool_errors():
        among = task_ids or await readable(app, call)
        scope = SearchScope(task_ids=None if among is None else tuple(among), history=history)
        page = await app.findings.search(query, scope, max_bytes=room_left(max_bytes, query))
        if isinstance(args, SearchArgs):
            page = texts_once(args, page)
        page = await with_standing(app, call, page, query)
    rows = tuple({**row, "imported_at": iso(row["imported_at"])} for row in page.rows)
    notes = (*page.notes, _UNGROUPED) if page.next_cursor else page.notes
    return attrs.evolve(page, rows=rows, notes=notes)


def _joined_only(args: SearchArgs | ReadSearchArgs) -> frozenset[str]:
    """The fields of the ledger that are to be shown and no more: rows of stored scans can, too."""
    chosen = named_fields({**asked_for(args), "fields": None})
    return frozenset(JOINED).difference(chosen)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


# -- from the ledger


async def _from_ledger(app: ReadApp, call: Call, query: Query, max_bytes: int) -> LedgerPage:
    scheduled: Mapping[str, tuple[str, ...]] = {}
    with as_tool_errors():
        if any(condition.field == "schedule" for condition in query.conditions):
            scheduled = await _scheduled(app, call)
        search = LedgerSearch(
            query=query,
            now=app.now(),
            stale_after=app.config.ledger.stale_after,
            scheduled=scheduled,
            seen=seen_by(app.scopes_of(call.peer)),
            labels=labels_of(app.config.labels),
        )
        page = await app.ledger.search(search, max_bytes=max_bytes)
    return attrs.evolve(
        page, rows=tuple(map(_with_times, page.rows)), notes=(*behind(app), *page.notes)
    )


def _with_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: iso(value)
        if name in LEDGER_FIELDS and LEDGER_FIELDS[name].kind is Kind.TIME
        else value
        for name, value in row.items()
    }


async def _scheduled(app: ReadApp, call: Call) -> Mapping[str, tuple[str, ...]]:
    """The stored tasks of each schedule with results, by its name in lower case."""
    sees = visible(app, call)
    wanted = TaskFilter(
        shown=lambda task: task.schedule is not None and task.summary is not None and sees(task)
    )
    found: dict[str, tuple[str, ...]] = {}
    cursor = None
    while True:
        page = await app.queries.tasks(wanted, limit=PAGE, cursor=cursor)
        for task in page.tasks:
            if task.schedule is not None:
                name = task.schedule.name.casefold()
                found[name] = (*found.get(name, ()), task.task_id)
        cursor = page.cursor
        if cursor is None:
            return found


def seen_by(scopes: Sequence[Scope]) -> Seen | None:
    """The hosts within all of these; None for all hosts."""
    if not scopes:
        return None
    ranges: Ranges | None = None
    for scope in scopes:
        allowed = difference(scope.allow.networks, scope.deny.networks)
        ranges = allowed if ranges is None else tuple(intersection(ranges, allowed))
    return Seen(
        ranges=ranges or (),
        name=lambda name: all(scope.covers(target_of_name(name)) for scope in scopes),
    )
