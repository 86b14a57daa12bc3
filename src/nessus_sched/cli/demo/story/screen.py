"""The story's output for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from nessus_sched.cli.demo.story.clock import BEGIN
from nessus_sched.cli.demo.story.lines import Chapter, Line, moment
from nessus_sched.cli.demo.story.plot import DAYS
from nessus_sched.cli.demo.story.told import StoryTold
from nessus_sched.cli.mcp import typed_program

STYLES: Final[Mapping[Chapter, str]] = {
    Chapter.SCHEDULE: "bold",
    Chapter.WINDOW: "cyan",
    Chapter.LOST: "yellow",
    Chapter.EXCEPTION: "magenta",
    Chapter.FIX: "green",
    Chapter.RESULTS: "bold",
    Chapter.DIGEST: "blue",
    Chapter.REPORT: "bold",
}
_DAY: Final = 86400.0
_NARROWEST: Final = 40


class StoryScreen:
    """Prints to a terminal, with the days that have passed below, or as plain text to any other
    stdout; `quiet` prints nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        self._progress: Progress | None = None
        self._bar: TaskID | None = None

    def opening(self, scanners: int) -> None:
        self._print(
            f"Two weeks of a scanning program in fast motion: {scanners} simulated scanners, three "
            "networks that change, and the real daemon on a clock that skips idle time."
        )
        self._console.print()

    @contextmanager
    def running(self) -> Iterator[None]:
        columns = (TextColumn("{task.description}"), BarColumn())
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            self._progress, self._bar = progress, progress.add_task("day 1", total=DAYS)
            yield
        self._progress = None

    def show(self, line: Line) -> None:
        if self._progress is not None and self._bar is not None:
            day = (line.at - BEGIN) / _DAY
            self._progress.update(self._bar, completed=day, description=f"day {int(day) + 1}")
        prefix = f"{moment(line.at)}  "
        style = STYLES.get(line.chapter, "")
        for number, text in enumerate(self._wrapped(line.text, len(prefix))):
            start = prefix if number == 0 else " " * len(prefix)
            self._put(Text(start, style="dim"), Text(text, style=style))
        for detail in line.details:
            for text in self._wrapped(detail, len(prefix) + 2):
                self._put(Text(" " * (len(prefix) + 2)), Text(text))

    def ending(self, told: StoryTold) -> None:
        self._console.print()
        completed = sum(task.state == "completed" for task in told.tasks)
        scans = sum(scanner.scans_run for scanner in told.scanners)
        changes = ", ".join(f"{count} {change}" for change, count in told.changes.items())
        is_open = ", ".join(f"{count} {each}" for each, count in told.severity_counts.items())
        self._print(f"Tasks: {completed} of {len(told.tasks)} completed, with {scans} scans")
        self._print(f"Findings: {changes}")
        self._print(f"Open now: {is_open}; {told.excepted} of them with an exception")
        self._print(f"Exceptions: {told.exceptions} in force")
        self._console.print(Text(f"Report: {told.report}"), soft_wrap=True)
        self._console.print()
        self._print(
            f"Two weeks took {told.seconds:.0f} s. Next, run two simulated scanners and a daemon "
            "to connect Claude Desktop to, or write a configuration for your own scanner:"
        )
        for command in ("demo --stay", "config init"):
            self._console.print(Text(f"  {typed_program()} {command}"), soft_wrap=True)

    def _print(self, text: str) -> None:
        for line in textwrap.wrap(text, self._width):
            self._console.print(Text(line))

    def _put(self, *parts: Text) -> None:
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def _wrapped(self, text: str, indent: int) -> list[str]:
        return textwrap.wrap(text, max(self._width - indent, _NARROWEST // 2)) or [""]

    @property
    def _width(self) -> int:
        return max(self._console.width, _NARROWEST)
