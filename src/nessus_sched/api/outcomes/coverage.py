"""What became of every target of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, TypeVar

import attrs

from nessus_sched.api.access import seen
from nessus_sched.api.app import ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import PAGE, early_end
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.paging import MAX_BYTES, USUAL_BYTES, take_within
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.coverage import Coverage, Segment, Status, unfinished
from nessus_sched.core.fields import field
from nessus_sched.core.states import SETTLED
from nessus_sched.core.targets.address import Unreadable, parse_host_name
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.reached import ScannedHost, covered, target_of
from nessus_sched.results.untrusted import clean_line

T = TypeVar("T")
View = Callable[[Coverage, Mapping[int | str, ScannedHost]], T]
"""Takes the coverage of a task, and the hosts in its report by the targets that they are."""

LARGE: Final = 2 * 2**20
"""Bytes of the rows of one page for the command line."""
MEMORY: Final = 8 * LARGE


@attrs.frozen(kw_only=True)
class CoverageArgs(TaskArgs):
    status: list[Status] = field("Only targets with these.", factory=list, max_length=3)
    limit: int = field("Rows per page.", default=50, minimum=1, maximum=500)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=300)


@attrs.frozen(kw_only=True)
class ReadCoverageArgs(CoverageArgs):
    limit: int = field("Rows per page.", default=50, minimum=1, maximum=10_000)


@attrs.frozen(kw_only=True)
class CoverageRow:
    targets: str = field("An address, a range of addresses, or a host name.")
    count: int = field("How many addresses or names that is.")
    status: Status = field("answered, silent or not_reached.")
    why: str | None = field("Why it was not reached.")
    scanner_instance: str | None = field("The scanner that scanned it; null when not known.")
    ended: str | None = field(
        "When its scan ended: ISO 8601; without offset it is the scanner's own clock."
    )
    login: str | None = field(
        "full, partial, failed, not_provided, none or unknown, as in host_login."
    )
    logins: list[str] = field("The logins that worked.")


@attrs.frozen(kw_only=True)
class CoverageAnswer:
    """Every requested target is in exactly one row of all pages."""

    task_id: str = field("The task.")
    counts: dict[str, int] = field("requested, answered, silent, not_reached: of all targets.")
    rows: list[CoverageRow] = field("Addresses in their order, then names.")
    next_cursor: str | None = field("For the next page; null at the end.")
    notes: list[str] = field("Why targets may be missing.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False, open_world=True)
async def get_coverage(app: ReadApp, call: Call, args: CoverageArgs) -> CoverageAnswer:
    """What became of each requested target of a settled task: answered (when, by which scanner,
    with which login), silent, or not_reached and why. The last two prove nothing about a host."""
    return await _answer(app, call, args, MAX_BYTES if args.limit > 50 else USUAL_BYTES)


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def read_coverage(app: ReadApp, call: Call, args: ReadCoverageArgs) -> CoverageAnswer:
    """A page of what became of the targets of a task."""
    return await _answer(app, call, args, LARGE)


COVERAGE_TOOLS: tuple[ToolDef, ...] = (get_coverage,)
COVERAGE_ACTIONS: tuple[ToolDef, ...] = (read_coverage,)


async def coverage_as(app: ReadApp, task: Task, view: View[T]) -> T:
    """A view of the coverage of a task. It is called in a thread where there are many hosts.
    Raises `ToolError` if the coverage is not known."""
    _check_known(task)
    parts = await _parts(app, task)
    with as_tool_errors():
        if task.summary is None:
            asked = parse_targets(task.request.targets)
            return view(covered(asked, unfinished(task, parts), {}), {})
        return await app.findings.coverage_as(
            task.task_id, task.request.targets, lambda: unfinished(task, parts), view
        )


def _check_known(task: Task) -> None:
    if task.part is not None:
        whole = task.part.task_id
        raise ToolError(
            "part_of_a_task",
            f"Task {task.task_id} is a part of {whole}, which has the coverage of all parts.",
            f"Use the task_id {whole}.",
        )
    if task.state not in SETTLED:
        raise ToolError(
            "no_results",
            f"Task {task.task_id} is {task.state}: what becomes of its targets is known once it "
            "has settled.",
            "get_scan_status shows its status.",
        )
    imported = task.attempt == 0 and task.split is None and task.summary is not None
    if imported or not task.request.targets:
        raise ToolError(
            "no_coverage",
            f"Task {task.task_id} is an imported report: what was to be scanned is not known.",
            "get_scan_results with group_by host lists its hosts.",
        )


async def _parts(app: ReadApp, task: Task) -> list[Task]:
    """The parts of a split task, in the order of their numbers."""
    if task.split is None:
        return []
    found: list[Task] = []
    cursor = None
    with as_tool_errors():
        while True:
            page = await app.queries.tasks(
                TaskFilter(part_of=task.task_id), limit=PAGE, cursor=cursor
            )
            found += page.tasks
            cursor = page.cursor
            if cursor is None:
                return sorted(found, key=lambda part: part.part.number if part.part else 0)


async def _answer(app: ReadApp, call: Call, args: CoverageArgs, most: int) -> CoverageAnswer:
    task = (await seen(app, call, args.task_id)).task
    after = _after(args.cursor)

    def page(
        coverage: Coverage, hosts: Mapping[int | str, ScannedHost]
    ) -> tuple[dict[str, int], list[CoverageRow], str | None]:
        segments = coverage.segments(args.status or tuple(Status), after)
        found = list(islice(segments, args.limit + 1))
        rows = take_within(list(_rows(found[: args.limit], hosts)), most)
        more = len(rows) < len(found)
        return coverage.counts(), rows, _end(found[len(rows) - 1]) if more else None

    counts, rows, cursor = await coverage_as(app, task, page)
    return CoverageAnswer(
        task_id=task.task_id,
        counts=counts,
        rows=rows,
        next_cursor=cursor,
        notes=early_end(task),
        untrusted=NAMES,
    )


def _after(cursor: str | None) -> int | str | None:
    """The last target of the page before. Raises `ToolError`."""
    if cursor is None:
        return None
    target = target_of(cursor)
    try:
        if target is not None:
            return target if isinstance(target, int) else parse_host_name(target)
    except Unreadable:
        pass
    raise ToolError("bad_arguments", "cursor: not one that get_coverage returned")


def _end(segment: Segment) -> str:
    return segment.target if isinstance(segment.target, str) else address_text(segment.target[1])


def _rows(
    segments: Iterable[Segment], hosts: Mapping[int | str, ScannedHost]
) -> Iterable[CoverageRow]:
    for each in segments:
        host = None
        if each.status is Status.ANSWERED:
            host = hosts.get(each.target if isinstance(each.target, str) else each.target[0])
        yield CoverageRow(
            targets=each.text,
            count=each.size,
            status=each.status,
            why=clean_line(each.why, 300) if each.why else None,
            scanner_instance=host.scanner_instance if host else None,
            ended=clean_line(host.ended_at, 40) if host and host.ended_at else None,
            login=host.login if host else None,
            logins=[clean_line(login, 120) for login in host.logins] if host else [],
        )
