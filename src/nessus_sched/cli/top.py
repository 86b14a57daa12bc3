"""`nessus-sched top`: everything on one screen."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import DaemonApi, NoDaemon, daemon, fetch_all
from nessus_sched.cli.formatting import ago
from nessus_sched.cli.options import daemon_option
from nessus_sched.cli.output import build_table, can_redraw, console, print_line, print_table
from nessus_sched.cli.queue import shown_id, slots_free, waiting_rows
from nessus_sched.cli.scanners import COLUMNS, scanner_rows
from nessus_sched.cli.schedules.timeline import timeline_lines
from nessus_sched.cli.tasks import SERIOUS_COLUMN, severity_cell
from nessus_sched.cli.watch import time_left
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import SETTLED
from nessus_sched.core.text import duration, pluralize

RECENT: Final = 8
RUNNING: Final = 30
"""Running tasks whose progress is queried one by one."""
_BAR: Final = 12
PLAN_EVERY: Final = 60.0
"""Seconds between two plans; making one may take the daemon a second."""
_PLAN_ROWS: Final = 6
"""Scanners in the plan on a live screen; `plan` has all."""
_AROUND: Final = 3
"""Lines of a table besides its rows: title, headings, and an empty line below."""
_KEPT: Final = 2
"""Rows that no table loses to the plan."""
_AROUND_PLAN: Final = 4
"""Lines of the plan besides its scanners: an empty line above, title, hours and legend."""

_EDITION: Final = COLUMNS.index("edition")
_SCANNER: Final = COLUMNS[:_EDITION] + COLUMNS[_EDITION + 1 :]
"""Columns that change by the minute; `scanners list` has the rest."""

Look = Mapping[str, Any]
Shown = tuple[str, tuple[str, ...], list[tuple[Any, ...]]]
"""Title, columns and rows of a table."""


@click.command("top")
@click.option(
    "--every", type=click.FloatRange(0.2, 60.0), default=2.0, show_default=True,
    metavar="SECONDS", help="Refresh interval.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Print once and exit; the default without a terminal.")
@daemon_option
def top_command(every: float, once: bool, config: Path | None) -> None:
    """Show scanners, slots, queues, running scans, recently finished tasks and the plan for the
    coming day, live.

    Press Ctrl-C to quit.
    """
    with daemon(config) as connection:
        if once or not can_redraw():
            _print(fetch(connection, fetch_plan(connection)))
            return
        with suppress(KeyboardInterrupt):
            _live(connection, every)


def _live(api: DaemonApi, every: float) -> None:
    from rich.live import Live

    pause = threading.Event()
    plan, planned_at = None, -math.inf
    with Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            if time.monotonic() >= planned_at + PLAN_EVERY:
                plan, planned_at = fetch_plan(api), time.monotonic()
            live.update(screen(fetch(api, plan), live.console.size), refresh=True)
            pause.wait(every)


def fetch_plan(api: DaemonApi) -> Look | None:
    """The plan for the coming day; None if there is none for this user, or in this daemon."""
    try:
        return api.call("get_plan", timeline=True)
    except NoDaemon:
        raise
    except click.ClickException:
        return None


def fetch(api: DaemonApi, plan: Look | None) -> Look:
    """A snapshot of everything the screen shows. `plan` may be older."""
    queue = api.call("get_queue_status", limit=20)
    running = [
        {**api.call("get_scan_status", task_id=row["task_id"]), "part_of": row["part_of"]}
        for row in queue["running"][:RUNNING]
    ]
    ended = api.call("list_tasks", states=sorted(SETTLED), limit=RECENT)
    return {
        "queue": queue,
        "running": running,
        "scanners": fetch_all(api, "list_scanners", "scanners")["scanners"],
        "ended": ended["tasks"],
        "plan": plan,
        "counts": api.call("list_tasks", limit=1)["counts"] or {},
        "routes": fetch_routes(api),
    }


def fetch_routes(api: DaemonApi) -> list[Look]:
    """The routes of messages; none if this user may not see them, or in an older daemon."""
    try:
        routes: list[Look] = api.operate("list_routes")["routes"]
    except NoDaemon:
        raise
    except click.ClickException:
        return []
    return routes


def headline(seen: Look) -> str:
    queue = seen["queue"]
    paused = "PAUSED: no scans start. " if queue["paused"] else ""
    tasks = ", ".join(f"{count} {state}" for state, count in seen["counts"].items())
    return (
        f"{paused}{queue['active']} running, {queue['queued']} waiting, "
        f"{slots_free(queue)}.  Tasks: {tasks or 'none'}{_messages(seen)}"
    )


def _messages(seen: Look) -> str:
    """What is wrong with the delivery of messages, if anything."""
    failing = [each["name"] for each in seen["routes"] if each["error"]]
    dead = sum(each["dead"] for each in seen["routes"])
    said = [pluralize(dead, "dead letter")] if dead else []
    said += [f"failing: {', '.join(failing)}"] if failing else []
    return f".  Messages: {'; '.join(said)}" if said else ""


def tables(seen: Look) -> list[Shown]:
    """Every table that has rows."""
    found: list[Shown] = [
        ("Scanners", _SCANNER, [_without_edition(row) for row in scanner_rows(seen["scanners"])]),
        (
            "Running",
            ("task", "state", "scanner", "name", "progress", "", "left"),
            [_running(task) for task in seen["running"]],
        ),
        (
            "Waiting",
            ("task", "queue", "place", "starts in", "name", "why"),
            waiting_rows(seen["queue"]),
        ),
        (
            "Finished",
            ("task", "state", "scanner", "age", SERIOUS_COLUMN, "name"),
            [_ended(task) for task in seen["ended"]],
        ),
    ]
    return [each for each in found if each[2]]


def _running(task: Mapping[str, Any]) -> tuple[Any, ...]:
    progress = task["progress_percent"]
    done = round((progress or 0) / 100 * _BAR)
    return (
        shown_id(task),
        task["status"],
        task["scanner_instance"],
        None if task["part_of"] else task["name"],
        "█" * done + "░" * (_BAR - done),
        None if progress is None else f"{progress} %",
        duration(time_left(task)),
    )


def _ended(task: Mapping[str, Any]) -> tuple[Any, ...]:
    found = severity_cell(task["severity_counts"])
    age = ago(task["created_at"], system_now()).removesuffix(" ago")
    return (task["task_id"], task["status"], task["scanner_instance"], age, found, task["name"])


def _without_edition(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:_EDITION] + row[_EDITION + 1 :]


def screen(seen: Look, size: tuple[int, int]) -> Any:
    """As a rich renderable of at most that size (columns and lines)."""
    from rich.console import Group
    from rich.text import Text

    def line(text: str, style: str = "") -> Text:
        return Text(text, style=style, no_wrap=True, overflow="ellipsis")

    width, height = size
    found = tables(seen)
    kept = sum(_AROUND + min(len(rows), _KEPT) for _, _, rows in found)
    room = height - 1 - kept - _AROUND_PLAN
    plan = plan_lines(seen, width, min(room, _PLAN_ROWS)) if room > 0 else []
    parts: list[Any] = [line(headline(seen), "bold"), Text()]
    # The last block has no empty line below it, and the first line is one.
    left = height - 1 - (len(plan) + 1 if plan else 0)
    for title, columns, rows, left_out in fitted(found, left):
        more = f" ({left_out} more)" if left_out else ""
        parts += [build_table(columns, rows, title=title + more, wrap=False), Text()]
    parts += [line(each, "" if place else "bold") for place, each in enumerate(plan)]
    return Group(*(parts if plan else parts[:-1]))


def plan_lines(seen: Look, width: int, most: int = 1000) -> list[str]:
    """The plan with its title; empty if nothing is planned or closed."""
    plan = seen["plan"]
    drawn = [] if plan is None else timeline_lines(plan, width, most)
    return ["Plan", *drawn] if drawn else []


def fitted(
    found: list[Shown], height: int
) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]], int]]:
    """The tables with their first rows, and how many rows were left out: the longest table is cut
    first, and one row of each always stays."""
    shown = [len(rows) for _, _, rows in found]
    while sum(shown) + _AROUND * len(found) > height and max(shown) > 1:
        longest = max(range(len(shown)), key=lambda place: (shown[place], place))
        shown[longest] -= 1
    return [
        (title, columns, rows[:count], len(rows) - count)
        for (title, columns, rows), count in zip(found, shown, strict=True)
    ]


def _print(seen: Look) -> None:
    print_line(headline(seen))
    for title, columns, rows in tables(seen):
        print_line()
        print_table(columns, rows, title=title)
    plan = plan_lines(seen, console().width)
    for line in ["", *plan] if plan else []:
        print_line(line)
