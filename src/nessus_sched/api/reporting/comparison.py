"""Gathers what changed between two tasks, or since a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.api.access import seen
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import pair_notes
from nessus_sched.api.operations import ToolError
from nessus_sched.api.outcomes.changes import why_new
from nessus_sched.api.reporting.open_findings import SERIOUS, Finder
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.core.task import Task
from nessus_sched.core.text import pluralize
from nessus_sched.results.absence import MEANINGS, Reason
from nessus_sched.results.comparison import Change as TaskChange
from nessus_sched.results.comparison import Comparison
from nessus_sched.results.ledger.questions import Change, ChangeQuery, Entry
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.query.model import MAX_PAGE_SIZE, Condition, Op, Query
from nessus_sched.results.reports import comparison
from nessus_sched.results.reports.comparison import Section
from nessus_sched.results.reports.grouping import Found, found_of
from nessus_sched.results.reports.period import Period
from nessus_sched.results.untrusted import clean_line

MOST: Final = 10_000
"""Findings: of each change between two tasks, of all changes since a time."""
_FIELDS: Final = (
    "host", "port", "protocol", "severity", "plugin_id", "plugin_name", "compliance_check_name",
    "solution", "cisa_kev",
)  # fmt: skip


async def gather(finder: Finder, period: Period, asked: Asked) -> dict[str, Any]:
    if asked.before_task_id is None:
        return await _since(finder, period)
    if finder.scope.task is None:
        raise ToolError("bad_arguments", "before_task_id: give task_id, too: the later task")
    before = (await seen(finder.app, finder.call, asked.before_task_id)).task
    return await _tasks(finder, before, finder.scope.task, period)


# -- across all scans, since a time


async def _since(finder: Finder, period: Period) -> dict[str, Any]:
    if period.until < finder.now:
        raise ToolError(
            "bad_arguments", "a comparison ends now: give since without until or last, or two tasks"
        )
    scope = finder.scope
    query = ChangeQuery(
        since=int(period.since), limit=MOST, now=finder.now,
        region=scope.region, labelled=scope.labelled,
    )  # fmt: skip
    with as_tool_errors():
        page = await finder.app.ledger.changes(query)
    found: dict[Change, list[Found]] = {change: [] for change in Change}
    for change, entry in page.entries:
        found[change].append(_of_entry(change, entry))
    sections = [
        Section(change=change.value, counts=page.counts.get(change, {}), found=several)
        for change, several in found.items()
    ]
    scans = "No scan" if not page.scans else pluralize(page.scans, "scan")
    facts = [f"{scans} in this period{'' if scope.all_hosts else ', of any hosts'}."]
    if page.first_scans:
        new = pluralize(page.first_scans, "new finding")
        facts.append(f"{new} from the first scan of a host: they are its baseline.")
    if excepted := sum(page.excepted.values()):
        facts.append(f"{pluralize(excepted, 'finding')} with an exception among them.")
    return comparison.document(sections, period, facts)


def _of_entry(change: Change, entry: Entry) -> Found:
    note = None
    if change is Change.NEW:
        note = why_new(entry)
    elif change is Change.UNVERIFIED and entry.life.reason is not None:
        note = MEANINGS[entry.life.reason][0]
    if entry.exception is not None:
        excepted = f"exception: {entry.exception.kind.value.replace('_', ' ')}"
        note = excepted if note is None else f"{note}; {excepted}"
    number = entry.effective_severity
    return found_of(
        host=entry.host, port=entry.port, protocol=entry.protocol, plugin_id=entry.plugin_id,
        name=entry.name, check=entry.check, solution=entry.solution, exploited=entry.exploited,
        severity=severity_name(None if number == NO_SEVERITY else number),
        since=entry.life.first_seen, note=note,
    )  # fmt: skip


# -- between two tasks


async def _tasks(finder: Finder, before: Task, after: Task, period: Period) -> dict[str, Any]:
    app, serious = finder.app, Condition(field="severity", op=Op.IN, value=SERIOUS)
    with as_tool_errors():
        compared = await app.findings.compare(
            before.task_id, after.task_id, Query(conditions=(serious,))
        )
        sections = [
            Section(
                change=change.value, counts=compared.severities[change],
                found=await _rows(finder, before, after, change, serious),
            )
            for change in TaskChange
            if change is not TaskChange.PERSISTING
        ]  # fmt: skip
    return {
        **comparison.document(sections, period, list(_facts(before, after, compared, period))),
        "period": "",
        "notes": pair_notes(before, after),
    }


def _facts(before: Task, after: Task, compared: Comparison, period: Period) -> Iterator[str]:
    yield f"From {_named(before, period)} to {_named(after, period)}."
    stayed = sum(compared.severities[TaskChange.PERSISTING].values())
    yield (
        f"{pluralize(compared.hosts_in_both, 'host')} in both; {compared.hosts_added_total} only "
        f"in the later, {compared.hosts_gone_total} only in the earlier. "
        f"{pluralize(stayed, 'finding')} of severity low or higher remained."
    )


def _named(task: Task, period: Period) -> str:
    name = clean_line(task.request.name, 80)
    shown = f"{name} ({task.task_id})" if name else task.task_id
    return f"{shown}, {period.minute(task.launched_at or task.created_at)}"


async def _rows(
    finder: Finder, before: Task, after: Task, change: TaskChange, serious: Condition
) -> list[Found]:
    found: list[Found] = []
    cursor = None
    while len(found) < MOST:
        query = Query(
            fields=_FIELDS, optional=(), conditions=(serious,), page_size=MAX_PAGE_SIZE,
            cursor=cursor,
        )  # fmt: skip
        page = await finder.app.findings.changed(before.task_id, after.task_id, change, query)
        found += map(_of_row, page.rows)
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _of_row(row: Mapping[str, Any]) -> Found:
    note = None
    if reason := row.get("not_checked"):
        note = MEANINGS[Reason(reason)][0]
    elif row.get("before"):
        note = f"was {clean_line(str(row['before']), 40)}"
    return found_of(
        host=row["host"], port=row["port"], protocol=row["protocol"], plugin_id=row["plugin_id"],
        name=row["plugin_name"], check=row["compliance_check_name"], solution=row["solution"],
        exploited=bool(row["cisa_kev"]), severity=row["severity"], since=None, note=note,
    )  # fmt: skip
