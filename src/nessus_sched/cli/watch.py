"""`nessus-sched watch`: follows tasks until they finish."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import click

from nessus_sched.cli.client import DaemonApi, daemon
from nessus_sched.cli.formatting import counts, epoch
from nessus_sched.cli.options import daemon_option, json_option, tasks_argument
from nessus_sched.cli.output import STYLES, can_redraw, console, print_json, print_line, print_note
from nessus_sched.cli.task_ids import task_ids_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import HOLDS_SLOT, LIVE, TaskState
from nessus_sched.core.text import duration
from nessus_sched.results.audits import checks_text
from nessus_sched.results.untrusted import clean_line

LOOK_EVERY: Final = (0.2, 1.0)
"""Seconds between polls, first and longest: most waits are short or very long."""
EXIT_PARTIAL: Final = 4
EXIT_INTERRUPTED: Final = 130
"""As shells report SIGINT."""
MOST: Final = 40
"""Tasks watched when none are named: more do not fit on a screen."""
MOST_PARTS: Final = 8
"""Parts of a task that have a bar."""


@click.command("watch")
@tasks_argument(required=False)
@daemon_option
@json_option
def watch_command(tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Follow tasks, or all unfinished ones, until they finish.

    Shows progress bars on a terminal, otherwise a line per change. Ctrl-C stops watching, not the
    scans. Exit codes: 0 all completed, 1 some did not, 4 some only in part, 130 stopped watching.
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


Parts = Sequence[Mapping[str, Any]]
"""Rows of `list_tasks`."""
UNDER_WAY: Final = sorted(HOLDS_SLOT | {TaskState.EXPORTING})


class Display(Protocol):
    """Shows the progress of tasks."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *exception: object) -> None: ...
    def show(self, task: Mapping[str, Any], parts: Parts = ()) -> None:
        """`parts` are those of the task that are under way, if it `wants_parts`."""

    @property
    def wants_parts(self) -> bool: ...


def follow(api: DaemonApi, task_ids: Sequence[str], *, quiet: bool = False) -> list[dict[str, Any]]:
    """Shows the tasks until all have settled; returns their last statuses."""
    display: Display = Silence() if quiet else Bars() if can_redraw() else Lines()
    found: dict[str, dict[str, Any]] = {}
    pause, (every, slowest) = threading.Event(), LOOK_EVERY
    with display, interruptible():
        while True:
            for task_id in task_ids:
                if task_id not in found or not found[task_id]["settled"]:
                    found[task_id] = api.call("get_scan_status", task_id=task_id)
                    display.show(found[task_id], _parts(api, found[task_id], display))
            if all(task["settled"] for task in found.values()):
                return [found[task_id] for task_id in task_ids]
            pause.wait(every)
            every = min(1.2 * every, slowest)


def _parts(api: DaemonApi, task: Mapping[str, Any], display: Display) -> Parts:
    """The parts of a split task that are under way, in the order of their numbers."""
    if not display.wants_parts or task["settled"] or not task["parts"]:
        return ()
    found = api.call("list_tasks", part_of=task["task_id"], states=UNDER_WAY, limit=100)
    return sorted(found["tasks"], key=lambda part: part_number(part, task))


def part_number(part: Mapping[str, Any], task: Mapping[str, Any]) -> int:
    return int(part["task_id"].removeprefix(f"{task['task_id']}-"))


@contextmanager
def interruptible() -> Iterator[None]:
    """Ends quietly on Ctrl-C, which is the usual way to stop watching."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def remark(task: Mapping[str, Any], left: float | None = None) -> str:
    """Details besides the state; `left` is how many seconds a running scan still takes."""
    if task["settled"]:
        error = task["error"] or {}
        found = counts(task["severity_counts"]) if task["severity_counts"] else ""
        audit = checks_text(task.get("compliance_counts"))
        found = f"{found}; checks: {audit}" if audit else found
        return clean_line(str(error.get("message") or found), 200)
    if task["parts"]:
        return parts_text(task["parts"])
    wait = task["wait"] or {}
    if wait:
        seconds = wait["estimated_wait_seconds"]
        start = "" if seconds is None else f", starts in ~{duration(seconds)}"
        return clean_line(f"#{wait['queue_position']} of {wait['queue']}{start}", 200)
    if task["error"]:
        return clean_line(task["error"]["message"], 200)
    return f"~{duration(left)} left" if left else ""


def parts_text(parts: Mapping[str, int]) -> str:
    """`4 running, 14 done`, and how many parts are in other states."""
    under_way = sum(parts.get(state, 0) for state in UNDER_WAY)
    done = parts.get(TaskState.COMPLETED, 0)
    others = {
        state: count
        for state, count in parts.items()
        if state not in UNDER_WAY and state != TaskState.COMPLETED
    }
    said = [f"{under_way} running", f"{done} done"]
    return ", ".join([*said, *(f"{count} {state}" for state, count in others.items())])


def time_left(task: Mapping[str, Any]) -> float | None:
    """Seconds left if the scan keeps its pace; None if unknown."""
    started, progress = epoch(task["entered"].get("running")), task["progress_percent"]
    if task["status"] != "running" or started is None or not progress:
        return None
    return (system_now() - started) * (100 - int(progress)) / int(progress)


class Countdown:
    """Seconds left of running scans, counted down while their progress does not change: it is
    looked up on the scanner less often than it is shown, and the pace did not drop meanwhile."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, float]] = {}

    def left(self, task: Mapping[str, Any]) -> float | None:
        """None if unknown, or if more time has passed than was left."""
        expected = time_left(task)
        if expected is None:
            return None
        now, progress = system_now(), task["progress_percent"]
        seen, end = self._ends.get(task["task_id"], (None, 0.0))
        if seen != progress:
            end = now + expected
            self._ends[task["task_id"]] = progress, end
        return end - now if end > now else None


class Silence:
    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, task: Mapping[str, Any], parts: Parts = ()) -> None:
        pass

    @property
    def wants_parts(self) -> bool:
        return False


class Lines(Silence):
    """A line for every change of state, and for every tenth of progress."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, task: Mapping[str, Any], parts: Parts = ()) -> None:
        progress = task["progress_percent"]
        news = (task["status"], (progress or 0) // 10)
        if self._said.get(task["task_id"]) == news:
            return
        self._said[task["task_id"]] = news
        percent = "" if progress is None else f" {progress} %"
        name = f"  {clean_line(task['name'], 60)}" if task["name"] else ""
        said = remark(task, time_left(task))
        print_line(f"{task['task_id']}  {task['status']}{percent}{name}  {said}".rstrip())
        sys.stdout.flush()


def bar_widths(screen: int) -> tuple[int, int, int]:
    """Widths of name, bar and remark on a screen of `columns`. Names and bars shrink first; ids
    (16), progress (5) and states (10) keep their width."""
    name = max(12, min(30, screen - 80))
    bar = 24 if screen >= 120 else 10
    return name, bar, max(8, screen - (16 + name + bar + 5 + 10) - 5)


class Bars(Silence):
    """A bar for every task, and below it those of its parts that are under way."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn
        from rich.table import Column, Table

        class InOrder(Progress):
            """Parts are added later than the tasks after theirs."""

            def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
                return super().make_tasks_table(sorted(tasks, key=lambda t: t.fields["place"]))

        shown_on = console()
        name, bar, rest = bar_widths(shown_on.width)
        named, last = (
            Column(no_wrap=True, overflow="ellipsis", max_width=width) for width in (name, rest)
        )
        self._progress = InOrder(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[name]}", markup=False, table_column=named),
            BarColumn(bar_width=bar, complete_style="cyan", table_column=Column(min_width=8)),
            TextColumn("{task.fields[percent]:>5}", markup=False),
            TextColumn("[{task.fields[style]}]{task.fields[status]}[/]"),
            TextColumn("{task.fields[remark]}", markup=False, style="dim", table_column=last),
            console=shown_on,
        )
        self._countdown = Countdown()
        self._bars: dict[str, TaskID] = {}
        self._places: dict[str, int] = {}
        self._parts: dict[str, list[str]] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @property
    def wants_parts(self) -> bool:
        return True

    def show(self, task: Mapping[str, Any], parts: Parts = ()) -> None:
        task_id = task["task_id"]
        place = self._places.setdefault(task_id, len(self._places))
        said = remark(task, self._countdown.left(task))
        self._draw(task, task_id, (place, 0), clean_line(task["name"], 30), said)
        for gone in set(self._parts.get(task_id, ())) - {part["task_id"] for part in parts}:
            bar = self._bars.pop(gone, None)
            if bar is not None:
                self._progress.remove_task(bar)
        self._parts[task_id] = [part["task_id"] for part in parts]
        for part in parts[:MOST_PARTS]:
            number = part_number(part, task)
            scanner = part["scanner_instance"] or ""
            self._draw(part, f"  part {number}", (place, number), scanner, _targets(part))

    def _draw(
        self, row: Mapping[str, Any], title: str, place: tuple[int, int], name: str, remark: str
    ) -> None:
        progress, state = row["progress_percent"], row["status"]
        shown = {
            "name": name,
            "percent": "" if progress is None else f"{progress} %",
            "status": state,
            "style": STYLES.get(state, "none"),
            "remark": remark,
            "place": place,
        }
        bar = self._bars.get(row["task_id"])
        if bar is None:
            bar = self._bars[row["task_id"]] = self._progress.add_task(title, total=100, **shown)
        self._progress.update(bar, completed=progress or 0, **shown)


def _targets(part: Mapping[str, Any]) -> str:
    more = "..." if part["targets_left_out"] else ""
    return clean_line(" ".join([*part["targets"], more]).rstrip(), 200)
