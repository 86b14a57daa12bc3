"""Gathers what the technical report of a task says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import early_end
from nessus_sched.api.operations import ToolError
from nessus_sched.api.outcomes.coverage import ReadCoverageArgs, read_coverage
from nessus_sched.api.outcomes.standing import with_standing
from nessus_sched.api.reporting.open_findings import Finder
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.core.coverage import Status
from nessus_sched.core.task import Task
from nessus_sched.results.exports import COLUMNS_OF_TASKS
from nessus_sched.results.query.joining import identified
from nessus_sched.results.query.model import JOINED, MAX_PAGE_SIZE, Query
from nessus_sched.results.reports import technical
from nessus_sched.results.reports.period import Period
from nessus_sched.results.untrusted import clean_line

_SHOWN: Final = tuple(dict.fromkeys((*technical.FIELDS, *COLUMNS_OF_TASKS)))
_QUERY: Final = identified(
    Query(
        fields=tuple(name for name in _SHOWN if name not in JOINED),
        joined=tuple(name for name in _SHOWN if name in JOINED),
        shown=_SHOWN,
        optional=(),
        page_size=MAX_PAGE_SIZE,
    )
)
_COVERAGE: Final = 1000


async def gather(finder: Finder, _period: Period, _asked: Asked) -> dict[str, Any]:
    """Raises `ToolError` if there is no task, or it has no results."""
    task = finder.scope.task
    if task is None:
        raise ToolError("bad_arguments", "the technical report is of one task: give its id")
    if task.summary is None:
        raise ToolError("no_results", f"Task {task.task_id} is {task.state}: it has no results.")
    rows = await _rows(finder, task.task_id)
    coverage = await _coverage(finder, task) if "coverage" in task.summary else None
    title = clean_line(task.request.name) or f"task {task.task_id}"
    return {
        **technical.document(title, task.summary, rows, None, coverage),
        "rows": [{name: row.get(name) for name in COLUMNS_OF_TASKS} for row in rows],
        "period": "",
        "notes": early_end(task),
    }


async def _rows(finder: Finder, task_id: str) -> list[Mapping[str, Any]]:
    """As many as the report shows, and one more."""
    found: list[Mapping[str, Any]] = []
    cursor = None
    while len(found) <= technical.MOST_ROWS:
        query = attrs.evolve(_QUERY, cursor=cursor)
        with as_tool_errors():
            page = await finder.app.findings.page(task_id, query)
            page = await with_standing(finder.app, finder.call, page, query, task_id)
        found += [_with_tuples(row) for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _with_tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}


async def _coverage(finder: Finder, task: Task) -> dict[str, Any]:
    asked = ReadCoverageArgs(
        task_id=task.task_id, status=[Status.NOT_REACHED, Status.SILENT], limit=_COVERAGE
    )
    return attrs.asdict(await read_coverage.fn(finder.app, finder.call, asked))
