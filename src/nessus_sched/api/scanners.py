"""Scanners, and the tasks that failed for good on them."""

from __future__ import annotations

import attrs

from nessus_sched.api.access import visible
from nessus_sched.api.answers import (
    LONGEST_REASON,
    StatusAnswer,
    iso,
    status_answer,
)
from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.errors import as_tool_errors, check_pool
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.paging import (
    MAX_ROWS,
    USUAL_ROWS,
    parse_cursor,
    take_within,
    token_budget,
)
from nessus_sched.api.untrusted import NAMES
from nessus_sched.core.fields import field
from nessus_sched.core.states import TaskState
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.views import ScannerView


@attrs.frozen(kw_only=True)
class NoArgs:
    """No arguments."""


@attrs.frozen(kw_only=True)
class ScannersArgs:
    pool: str | None = field("Only of this pool.", default=None, max_length=64)
    only_available: bool = field("Only those that can take scans now.", default=False)
    limit: int = field("Scanners per page.", default=USUAL_ROWS, minimum=1, maximum=MAX_ROWS)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class ScannerAnswer:
    scanner_instance: str = field("Name it in a submission to run only there.")
    name: str = field("For people.")
    url: str = field("Where it is.")
    pool: str = field("Its group of interchangeable scanners.")
    available: bool = field("It can take scans now.")
    reason: str | None = field("Why it cannot, or its current problem.")
    enabled: bool = field("By the operator.")
    draining: bool = field("Finishes running scans, starts no new ones.")
    drain_from: str | None = field("When a planned drain begins (ISO 8601).")
    drain_until: str | None = field("When it ends; null: not by itself.")
    breaker: str = field("closed (used as usual), open (left alone after errors) or half_open.")
    suspended: str | None = field("Code of the error with which it refuses to scan.")
    max_concurrent_scans: int = field("The operator's limit.")
    capacity: int = field("What holds now, with the scanner's own limit and other people's scans.")
    active_scans: int = field("Of ours.")
    free_slots: int = field("Scans that can start at once.")
    queued: int = field("Tasks in its own queue.")
    networks: list[str] = field("What it can reach; empty: everything in scope.")
    labels: dict[str, str] = field("The operator's words.")
    edition: str | None = field("Nessus edition.")
    version: str | None = field("Nessus version.")
    plugin_set_at: str | None = field("Age of its plugins (ISO 8601).")
    licensed_hosts: int | None = field("Limit of its license.")
    owed_cleanups: int = field("Abandoned scans to clean up there when it answers.")
    last_contact: str | None = field("When it last answered (ISO 8601).")


@attrs.frozen(kw_only=True)
class ScannersAnswer:
    scanners: list[ScannerAnswer] = field("The configured scanners.")
    total: int = field("How many match.")
    next_cursor: str | None = field("For the next page; null at the end.")
    paused: bool = field("The operator has paused everything: nothing starts.")
    untrusted: str = field("How to treat the texts.")


@attrs.frozen(kw_only=True)
class DeadArgs:
    limit: int = field("Dead letters to list.", default=USUAL_ROWS, minimum=1, maximum=MAX_ROWS)
    cursor: str | None = field("`next_cursor` of the page before.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class DeadAnswer:
    total: int | None = field("How many there are; null for a role that does not see all of them.")
    tasks: list[StatusAnswer] = field("Newest first, each with its error.")
    next_cursor: str | None = field("For the next page; null at the end.")


@tool(writes=False)
async def list_scanners(app: App, call: Call, args: ScannersArgs) -> ScannersAnswer:
    """All Nessus scanners: whether each is healthy and can be used now (and why not), its free
    slots, queue, license and plugin age."""
    check_pool(app, args.pool)
    found = [scanner_answer(view) for view in app.queries.scanners()]
    wanted = [
        each
        for each in found
        if args.pool in (None, each.pool) and (each.available or not args.only_available)
    ]
    start = parse_cursor(args.cursor, "list_scanners") or 0
    rows = take_within(wanted[start : start + args.limit], token_budget(args.limit))
    end = start + len(rows)
    return ScannersAnswer(
        scanners=rows,
        total=len(wanted),
        next_cursor=str(end) if end < len(wanted) else None,
        paused=app.queries.statistics().paused,
        untrusted=NAMES,
    )


@tool(writes=False)
async def list_dead_letters(app: ReadApp, call: Call, args: DeadArgs) -> DeadAnswer:
    """Tasks that failed permanently, each with its error. They wait for an operator to retry or
    purge them."""
    limited = bool(app.scopes_of(call.peer))
    with as_tool_errors():
        page = await app.queries.tasks(
            TaskFilter(
                states=frozenset({TaskState.DEAD}),
                shown=visible(app, call) if limited else None,
            ),
            limit=args.limit,
            cursor=parse_cursor(args.cursor, "list_dead_letters"),
        )
    rows = [status_answer(app, view) for view in app.queries.views(page.tasks)]
    kept = take_within(rows, token_budget(args.limit))
    after = page.cursor if len(kept) == len(rows) else page.tasks[len(kept) - 1].order
    return DeadAnswer(
        total=None if limited else app.queries.counts()[TaskState.DEAD],
        tasks=kept,
        next_cursor=None if after is None else str(after),
    )


FLEET_TOOLS: tuple[ToolDef, ...] = (
    list_scanners,
    list_dead_letters,
)


def scanner_answer(view: ScannerView) -> ScannerAnswer:
    settings, statistics, info = view.settings, view.statistics, view.info
    obstacle = statistics.obstacle.text if statistics.obstacle else None
    return ScannerAnswer(
        scanner_instance=settings.id,
        name=settings.name or settings.id,
        url=settings.url,
        pool=settings.pool,
        available=statistics.usable and view.trouble is None,
        reason=clean_line(view.trouble or obstacle or "", LONGEST_REASON) or None,
        enabled=statistics.enabled,
        draining=statistics.draining,
        drain_from=iso(view.drain.begin) if view.drain else None,
        drain_until=iso(view.drain.end) if view.drain else None,
        breaker=statistics.breaker.state,
        suspended=statistics.suspension.kind if statistics.suspension else None,
        max_concurrent_scans=statistics.slots.limit,
        capacity=statistics.slots.capacity,
        active_scans=len(statistics.slots.active),
        free_slots=statistics.free,
        queued=statistics.queue.length,
        networks=list(settings.networks),
        labels=dict(settings.labels),
        edition=clean_line(info.edition) if info else None,
        version=clean_line(info.version) if info else None,
        plugin_set_at=iso(info.plugin_set_at) if info else None,
        licensed_hosts=info.licensed_hosts if info else None,
        owed_cleanups=view.owed,
        last_contact=iso(view.reached_at),
    )
