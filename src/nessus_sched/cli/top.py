"""`nessus-sched top`: everything on one screen."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import Asking, daemon
from nessus_sched.cli.options import daemon_option
from nessus_sched.cli.pages import listed
from nessus_sched.cli.queue import waiting_rows
from nessus_sched.cli.scanners import COLUMNS, scanner_rows
from nessus_sched.cli.screen import console, drawn, is_terminal, line, table
from nessus_sched.cli.spoken import ago, duration
from nessus_sched.cli.tasks import SERIOUS_COLUMN, serious
from nessus_sched.cli.watch import time_left
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import SETTLED

RECENT: Final = 8
RUNNING: Final = 30
"""Running tasks of which the progress is asked one by one."""
_BAR: Final = 20

Look = Mapping[str, Any]


@click.command("top")
@click.option(
    "--every", type=click.FloatRange(0.2, 60.0), default=2.0, show_default=True,
    metavar="SECONDS", help="How often to look.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Look once and end; so it does without a terminal.")
@daemon_option
def top_command(every: float, once: bool, config: Path | None) -> None:
    """Show scanners, slots, queues, running scans with their progress, and recent ends.

    Ctrl-C ends it.
    """
    with daemon(config) as connection:
        if once or not is_terminal():
            _print(look(connection))
            return
        with suppress(KeyboardInterrupt):
            _live(connection, every)


def _live(asked: Asking, every: float) -> None:
    from rich.live import Live

    pause = threading.Event()
    with Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(look(asked)), refresh=True)
            pause.wait(every)


def look(asked: Asking) -> Look:
    """All that the screen shows, at one moment."""
    queue = asked.call("get_queue_status", limit=20)
    running = [
        asked.call("get_scan_status", task_id=row["task_id"]) for row in queue["running"][:RUNNING]
    ]
    ended = asked.call("list_tasks", states=sorted(SETTLED), limit=RECENT)
    return {
        "queue": queue,
        "running": running,
        "scanners": listed(asked, "list_scanners", "scanners")["scanners"],
        "ended": ended["tasks"],
        "counts": ended["counts"],
    }


def headline(seen: Look) -> str:
    queue = seen["queue"]
    paused = "PAUSED: nothing starts. " if queue["paused"] else ""
    tasks = ", ".join(f"{count} {state}" for state, count in seen["counts"].items())
    return (
        f"{paused}{queue['active']} running, {queue['queued']} waiting, {queue['free_slots']} of "
        f"{queue['capacity']} slots free.  Tasks: {tasks or 'none'}"
    )


def tables(seen: Look) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """Title, columns and rows of every table that has rows."""
    found: list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]] = [
        ("Scanners", COLUMNS, scanner_rows(seen["scanners"])),
        (
            "Running",
            ("task", "state", "scanner", "progress", "", "left", "name"),
            [_running(task) for task in seen["running"]],
        ),
        (
            "Waiting",
            ("task", "queue", "place", "starts in", "name", "why"),
            waiting_rows(seen["queue"]),
        ),
        (
            "Ended",
            ("task", "state", "scanner", "age", SERIOUS_COLUMN, "name"),
            [_ended(task) for task in seen["ended"]],
        ),
    ]
    return [each for each in found if each[2]]


def _running(task: Mapping[str, Any]) -> tuple[Any, ...]:
    progress = task["progress_percent"]
    done = round((progress or 0) / 100 * _BAR)
    return (
        task["task_id"],
        task["status"],
        task["scanner_instance"],
        "█" * done + "░" * (_BAR - done),
        None if progress is None else f"{progress} %",
        duration(time_left(task)),
        task["name"],
    )


def _ended(task: Mapping[str, Any]) -> tuple[Any, ...]:
    found = serious(task["severity_counts"])
    age = ago(task["created_at"], system_now()).removesuffix(" ago")
    return (task["task_id"], task["status"], task["scanner_instance"], age, found, task["name"])


def screen(seen: Look) -> Any:
    """As something rich can draw."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(headline(seen), style="bold"), Text()]
    for title, columns, rows in tables(seen):
        parts += [drawn(columns, rows, title=title), Text()]
    return Group(*parts)


def _print(seen: Look) -> None:
    line(headline(seen))
    for title, columns, rows in tables(seen):
        line()
        table(columns, rows, title=title)
