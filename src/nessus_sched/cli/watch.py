"""`nessus-sched watch`: follows tasks until they finish."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import click

from nessus_sched.cli.client import DaemonApi, daemon
from nessus_sched.cli.formatting import counts, epoch
from nessus_sched.cli.options import any_tasks_argument, daemon_option, json_option
from nessus_sched.cli.output import STYLES, console, is_terminal, print_json, print_line, print_note
from nessus_sched.cli.task_ids import task_ids_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import LIVE
from nessus_sched.core.text import duration
from nessus_sched.results.untrusted import clean_line

LOOK_EVERY: Final = (0.2, 1.0)
"""Seconds between polls, first and longest: most waits are short or very long."""
EXIT_PARTIAL: Final = 4
EXIT_INTERRUPTED: Final = 130
"""As shells report SIGINT."""
MOST: Final = 40
"""Tasks watched when none are named: more do not fit on a screen."""


@click.command("watch")
@any_tasks_argument
@daemon_option
@json_option
def watch_command(tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Follow tasks, or all unfinished ones, until they finish.

    Shows progress bars on a terminal, else a line per change. Ctrl-C stops watching, not the
    scans. Exit codes: 0 all completed, 1 some did not, 4 some only in part,
    130 stopped watching.
    """
    with daemon(config) as connection:
        task_ids = task_ids_of(connection, tasks) if tasks else _unfinished(connection)
        if not task_ids and not as_json:
            print_note("no unfinished tasks")
        ended = follow(connection, task_ids, quiet=as_json) if task_ids else []
    if as_json:
        print_json({"tasks": ended})
    exit_unless_completed(ended)


def exit_unless_completed(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Exits with 4 if some tasks completed only in part, or 1 if some did not at all."""
    states = {task["status"] for task in tasks} - {"completed"}
    if states:
        sys.exit(EXIT_PARTIAL if states == {"partial"} else 1)


def _unfinished(api: DaemonApi) -> list[str]:
    found = api.call("list_tasks", states=sorted(LIVE), limit=MOST)
    if found["next_cursor"]:
        print_note(f"showing the latest {MOST} only")
    return [task["task_id"] for task in reversed(found["tasks"])]


class Display(Protocol):
    """Shows the progress of tasks."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *exception: object) -> None: ...
    def show(self, task: Mapping[str, Any]) -> None: ...


def follow(api: DaemonApi, task_ids: Sequence[str], *, quiet: bool = False) -> list[dict[str, Any]]:
    """Shows the tasks until all have settled; returns their last statuses."""
    display: Display = Silence() if quiet else Bars() if is_terminal() else Lines()
    found: dict[str, dict[str, Any]] = {}
    pause, (every, slowest) = threading.Event(), LOOK_EVERY
    with display, interruptible():
        while True:
            for task_id in task_ids:
                if task_id not in found or not found[task_id]["settled"]:
                    found[task_id] = api.call("get_scan_status", task_id=task_id)
                    display.show(found[task_id])
            if all(task["settled"] for task in found.values()):
                return [found[task_id] for task_id in task_ids]
            pause.wait(every)
            every = min(1.2 * every, slowest)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ends quietly on Ctrl-C, which is the usual way to stop watching."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def remark(task: Mapping[str, Any]) -> str:
    """Details besides the state."""
    if task["settled"]:
        error = task["error"] or {}
        found = counts(task["severity_counts"]) if task["severity_counts"] else ""
        return clean_line(str(error.get("message") or found), 200)
    if task["parts"]:
        parts = ", ".join(f"{count} {state}" for state, count in task["parts"].items())
        return clean_line(f"parts: {parts}", 200)
    wait = task["wait"] or {}
    if wait:
        seconds = wait["estimated_wait_seconds"]
        start = "" if seconds is None else f", starts in ~{duration(seconds)}"
        return clean_line(f"#{wait['queue_position']} of {wait['queue']}{start}", 200)
    if task["error"]:
        return clean_line(task["error"]["message"], 200)
    left = time_left(task)
    return "" if left is None else f"~{duration(left)} left"


def time_left(task: Mapping[str, Any]) -> float | None:
    """Seconds left if the scan keeps its pace; None if unknown."""
    started, progress = epoch(task["entered"].get("running")), task["progress_percent"]
    if task["status"] != "running" or started is None or not progress:
        return None
    return (system_now() - started) * (100 - int(progress)) / int(progress)


class Silence:
    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, task: Mapping[str, Any]) -> None:
        pass


class Lines(Silence):
    """A line for every change of state, and for every tenth of progress."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, task: Mapping[str, Any]) -> None:
        progress = task["progress_percent"]
        news = (task["status"], (progress or 0) // 10)
        if self._said.get(task["task_id"]) == news:
            return
        self._said[task["task_id"]] = news
        percent = "" if progress is None else f" {progress} %"
        name = f"  {clean_line(task['name'], 60)}" if task["name"] else ""
        print_line(f"{task['task_id']}  {task['status']}{percent}{name}  {remark(task)}".rstrip())
        sys.stdout.flush()


def bar_widths(screen: int) -> tuple[int, int, int]:
    """Widths of name, bar and remark on a screen of `columns`. Names and bars shrink first; ids
    (16), progress (5) and states (10) keep their width."""
    name = max(12, min(30, screen - 80))
    bar = 24 if screen >= 120 else 10
    return name, bar, max(8, screen - (16 + name + bar + 5 + 10) - 5)


class Bars(Silence):
    """A bar for every task."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskID, TextColumn
        from rich.table import Column

        shown_on = console()
        name, bar, rest = bar_widths(shown_on.width)
        named, last = (
            Column(no_wrap=True, overflow="ellipsis", max_width=width) for width in (name, rest)
        )
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[name]}", markup=False, table_column=named),
            BarColumn(bar_width=bar, complete_style="cyan", table_column=Column(min_width=8)),
            TextColumn("{task.fields[percent]:>5}", markup=False),
            TextColumn("[{task.fields[style]}]{task.fields[status]}[/]"),
            TextColumn("{task.fields[remark]}", markup=False, style="dim", table_column=last),
            console=shown_on,
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, task: Mapping[str, Any]) -> None:
        progress, state = task["progress_percent"], task["status"]
        shown = {
            "name": clean_line(task["name"], 30),
            "percent": "" if progress is None else f"{progress} %",
            "status": state,
            "style": STYLES.get(state, "none"),
            "remark": remark(task),
        }
        task_id = task["task_id"]
        if task_id not in self._bars:
            self._bars[task_id] = self._progress.add_task(task_id, total=100, **shown)
        self._progress.update(self._bars[task_id], completed=progress or 0, **shown)
