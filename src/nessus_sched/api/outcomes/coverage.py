"""What became of every target of a task, and how well targets are covered by all scans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

import attrs

from nessus_sched.api.access import seen
from nessus_sched.api.answers import iso
from nessus_sched.api.app import ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.findings import PAGE, early_end
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.outcomes.finding import DAY
from nessus_sched.api.outcomes.ledger import behind
from nessus_sched.api.paging import MOST_TOKENS, USUAL_TOKENS, size, take_within, tokens_of
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.coverage import Coverage, Segment, Status, unfinished
from nessus_sched.core.fields import field
from nessus_sched.core.states import SETTLED
from nessus_sched.core.targets.address import Unreadable, parse_host_name
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import BadTargets, parse_targets
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.findings_port import FindingsReader
from nessus_sched.results.ledger.reach import Reach, ReachedStretch
from nessus_sched.results.reached import ScannedHost, covered, target_of
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.queries import StoredTasks

T = TypeVar("T")
S = TypeVar("S", Status, Reach)
View = Callable[[Coverage, Mapping[int | str, ScannedHost]], T]
"""Takes the coverage of a task, and the hosts in its report by the targets that they are."""

LARGE: Final = 2 * 2**20
"""Bytes of the rows of one page for the command line."""
MEMORY: Final = 8 * LARGE
USUAL_LIMIT: Final = 50


@attrs.frozen(kw_only=True)
class CoverageArgs:
    task_id: str | None = field("The task.", default=None, max_length=64)
    targets: list[str] = field("Or these, across all scans.", factory=list, max_length=50)
    days: int = field("What counts as lately.", default=30, minimum=1, maximum=3650)
    status: list[str] = field("Only targets with these.", factory=list, max_length=10)
    limit: int = field("Rows per page.", default=USUAL_LIMIT, minimum=1, maximum=500)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=300)


@attrs.frozen(kw_only=True)
class ReadCoverageArgs(CoverageArgs):
    limit: int = field("Rows per page.", default=USUAL_LIMIT, minimum=1, maximum=10_000)


@attrs.frozen(kw_only=True)
class CoverageRow:
    targets: str = field("An address, a range of addresses, or a host name.")
    count: int = field("How many addresses or names that is.")
    status: Status | Reach = field("Of a task: answered, silent or not_reached.")
    why: str | None = field("Why it was not reached, or when it last answered or had a login.")
    scanner_instance: str | None = field("The scanner that scanned it; null when not known.")
    ended: str | None = field(
        "When its latest scan ended: ISO 8601; without offset it is the scanner's own clock."
    )
    login: str | None = field(
        "full, partial, failed, not_provided, none or unknown, as in host_login."
    )
    logins: list[str] = field("The logins that worked.")


Fit = Callable[[list[CoverageRow]], list[CoverageRow]]
"""As many of the first rows as fit into an answer."""


@attrs.frozen(kw_only=True)
class CoverageAnswer:
    """Every requested target is in exactly one row of all pages."""

    task_id: str | None = field("The task.")
    counts: dict[str, int] = field("By status, of all targets that were `requested`.")
    rows: list[CoverageRow] = field("Addresses in their order, then names.")
    next_cursor: str | None = field("For the next page; null at the end.")
    notes: list[str] = field("Why targets may be missing.")
    untrusted: str = field("How to treat the texts.")


@tool(writes=False, open_world=True)
async def get_coverage(app: ReadApp, call: Call, args: CoverageArgs) -> CoverageAnswer:
    """Did a scan cover its targets: which hosts could not be reached, where logins failed.
    For each target of a settled task: answered (when, by which scanner, with which
    login), silent, or not_reached and why. Or, across all scans: never_scanned, not_lately,
    never_answered, no_longer_answers, unfinished, without_login or covered."""
    most = MOST_TOKENS if args.limit > USUAL_LIMIT else USUAL_TOKENS
    return await _answer(app, call, args, partial(take_within, most=most, cost=tokens_of))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def read_coverage(app: ReadApp, call: Call, args: ReadCoverageArgs) -> CoverageAnswer:
    """A page of what became of the targets of a task."""
    return await _answer(app, call, args, partial(take_within, most=LARGE, cost=size))


@tool(writes=False, open_world=True, answer_memory=MEMORY)
async def read_reach(app: ReadApp, call: Call, args: ReadCoverageArgs) -> CoverageAnswer:
    """A page of how well targets are covered by all scans."""
    return await _answer(app, call, args, partial(take_within, most=LARGE, cost=size))


COVERAGE_TOOLS: tuple[ToolDef, ...] = (get_coverage,)
COVERAGE_ACTIONS: tuple[ToolDef, ...] = (read_coverage, read_reach)


class Results(Protocol):
    """What coverage is read from; an `App` has it."""

    @property
    def queries(self) -> StoredTasks: ...

    @property
    def findings(self) -> FindingsReader: ...


async def coverage_as(app: Results, task: Task, view: View[T]) -> T:
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


async def _parts(app: Results, task: Task) -> list[Task]:
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


async def _answer(app: ReadApp, call: Call, args: CoverageArgs, fit: Fit) -> CoverageAnswer:
    if (args.task_id is None) is (not args.targets):
        raise ToolError("bad_arguments", "give task_id or targets, one of them")
    after = _after(args.cursor)
    if args.task_id is None:
        return await _across_scans(app, call, args, after, fit)
    task = (await seen(app, call, args.task_id)).task
    wanted = _wanted(args, Status)

    def page(
        coverage: Coverage, hosts: Mapping[int | str, ScannedHost]
    ) -> tuple[dict[str, int], list[CoverageRow], str | None]:
        segments = coverage.segments(wanted, after)
        found = list(islice(segments, args.limit + 1))
        rows = fit(list(_rows(found[: args.limit], hosts)))
        more = len(rows) < len(found)
        cursor = _target_text(found[len(rows) - 1].end) if more else None
        return coverage.counts(), rows, cursor

    counts, rows, cursor = await coverage_as(app, task, page)
    return CoverageAnswer(
        task_id=task.task_id,
        counts=counts,
        rows=rows,
        next_cursor=cursor,
        notes=early_end(task),
        untrusted=NAMES,
    )


async def _across_scans(
    app: ReadApp, call: Call, args: CoverageArgs, after: int | str | None, fit: Fit
) -> CoverageAnswer:
    """How well targets are covered by all scans that the ledger has."""
    wanted = _wanted(args, Reach)
    try:
        asked = parse_targets(args.targets)
    except BadTargets as error:
        raise ToolError("bad_arguments", f"targets: {error}") from error
    if not all(scope.covers(asked) for scope in app.scopes_of(call.peer)):
        raise ToolError("not_permitted", "Some of these are outside your role's targets.")
    with as_tool_errors():
        every = await app.ledger.reach(asked, app.now() - args.days * DAY)
    counts = Counter[str]()
    for each in every:
        counts[each.status] += each.size
    ahead = [each for each in every if each.status in wanted and _is_after(each.end, after)]
    rows = fit([_reach_row(each) for each in ahead[: args.limit]])
    more = len(rows) < len(ahead)
    return CoverageAnswer(
        task_id=None,
        counts={"requested": asked.address_count, **{each: counts[each] for each in Reach}},
        rows=rows,
        next_cursor=_target_text(ahead[len(rows) - 1].end) if more else None,
        notes=list(behind(app)),
        untrusted=NAMES,
    )


def _wanted(args: CoverageArgs, kind: type[S]) -> tuple[S, ...]:
    """The statuses to list. Raises `ToolError`."""
    strange = [each for each in args.status if each not in set(kind)]
    if strange:
        what = "a task" if kind is Status else "targets across all scans"
        raise ToolError(
            "bad_arguments",
            f"status: {clean_line(strange[0], 40)!r} is not a status of {what}: {', '.join(kind)}",
        )
    return tuple(each for each in kind if each in args.status) or tuple(kind)


def _is_after(target: int | str, after: int | str | None) -> bool:
    """Whether a target comes behind another: addresses in their order, then names."""
    if after is None:
        return True
    if isinstance(target, int) and isinstance(after, int):
        return target > after
    if isinstance(target, str) and isinstance(after, str):
        return target > after
    return isinstance(target, str)


def _reach_row(each: ReachedStretch) -> CoverageRow:
    host, why = each.host, None
    if host is not None and each.status is Reach.NO_LONGER_ANSWERS:
        why = f"last answered {iso(host.answered_at)}"
    if host is not None and each.status is Reach.WITHOUT_LOGIN:
        before = iso(host.login_at)
        why = f"last with a login {before}" if before else "never with a login"
    return CoverageRow(
        targets=clean_line(each.text, 300),
        count=each.size,
        status=each.status,
        why=why,
        scanner_instance=host.scanner if host else None,
        ended=iso(host.tried_at) if host else None,
        login=host.login if host else None,
        logins=[],
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


def _target_text(target: int | str) -> str:
    return target if isinstance(target, str) else address_text(target)


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
