"""Output: tables and lines for people, JSON for scripts.

On a terminal tables are drawn with rich. Elsewhere they are plain columns that are never cut,
so that grep and awk find everything. Cells are data: markup in them is not interpreted.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from nessus_sched.cli.layout import NAMES, TEXTS, Table, fitted_widths
from nessus_sched.results.untrusted import clean, clean_line

if TYPE_CHECKING:
    from rich.console import Console

Row = Sequence[Any]

STYLES: Mapping[str, str] = {
    "critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan",
    "info": "dim", "ok": "green", "warning": "yellow", "failed": "bold red", "yes": "green",
    "completed": "green", "running": "cyan", "exporting": "cyan", "launching": "cyan",
    "partial": "yellow",
    "dead": "bold red", "timed_out": "red", "canceled": "dim", "paused": "yellow",
    "retry_wait": "yellow", "passed": "green", "full": "green", "none": "dim",
}  # fmt: skip
"""The style of cells with exactly such a word on a terminal."""


_ZONE = "nessus_sched.zone"
_KEPT = 24
"""Characters of columns other than names and texts that are never cut if rows are single lines."""
_PADDING = 2
"""Spaces around a cell."""
_LEAST_LINE = 20
"""Characters of a wrapped line, however narrow the terminal is."""


def is_terminal() -> bool:
    return sys.stdout.isatty()


def can_redraw() -> bool:
    """Whether stdout is a terminal on which lines can be drawn again."""
    return is_terminal() and os.environ.get("TERM") not in ("dumb", "unknown")


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def use_zone(context: click.Context, zone: str) -> None:
    """Makes `print_json` give times in the zone, while the command of the context runs."""
    context.meta[_ZONE] = zone


def print_json(document: Any) -> None:
    """ASCII only, so that nothing in it can control a terminal."""
    context = click.get_current_context(silent=True)
    zone = None if context is None else context.meta.get(_ZONE)
    if zone is not None:
        from nessus_sched.core.calendar.local_times import in_zone

        document = in_zone(document, zone)
    click.echo(json.dumps(document, indent=2))


def print_line(text: str = "") -> None:
    """Prints a line to stdout, with control characters removed."""
    click.echo(clean(text))


def print_note(text: str) -> None:
    """Prints a note to stderr, so that stdout holds only what was asked for."""
    click.echo(wrapped(clean(text), 0, sys.stderr), err=True)


def wrapped(text: str, indent: int, stream: TextIO) -> str:
    """The text as it is; on a terminal broken between words, so that the terminal does not break
    them elsewhere. Further lines are indented."""
    if not stream.isatty():
        return text
    room = max(shutil.get_terminal_size().columns, indent + _LEAST_LINE) - indent
    broken = [
        textwrap.wrap(
            line, room, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )
        if len(line) > room
        else [line]
        for line in text.split("\n")
    ]
    return ("\n" + " " * indent).join(part for parts in broken for part in parts)


def format_cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(format_cell, value)) or "-"
    return clean_line(str(value), 1000)


def print_table(
    columns: Sequence[str], rows: Sequence[Row], *, title: str = "", nothing: str = ""
) -> None:
    """Prints a table; on a terminal it fits the width. Without rows it says `nothing`, for a
    program in a note."""
    texts = [[format_cell(value) for value in row] for row in rows]
    if is_terminal() and not texts:
        click.echo(nothing or "none")
    elif is_terminal():
        console().print(build_table(columns, texts, title=title))
    else:
        _plain(columns, texts, title)
        if nothing and not texts:
            print_note(nothing)


def build_table(
    columns: Sequence[str], rows: Sequence[Row], *, title: str = "", wrap: bool = True
) -> Any:
    """The table as a rich renderable that fits the console; a row is one line unless `wrap`."""
    texts = [[format_cell(value) for value in row] for row in rows]
    if wrap:
        return Table(columns, texts, title=title, style_of=_style)
    return _Lines(columns, texts, title)


class _Lines:
    """Rows of one line: what does not fit is cut."""

    def __init__(self, columns: Sequence[str], texts: Sequence[Sequence[str]], title: str) -> None:
        self._columns = columns
        self._texts = texts
        self._title = title

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Any]:
        from rich.table import Table as Grid
        from rich.text import Text

        made = Grid(title=self._title or None, title_justify="left", title_style="bold", box=None)
        natural = [max(map(len, each)) for each in zip(self._columns, *self._texts, strict=True)]
        room = options.max_width - _PADDING * len(self._columns)
        widths = fitted_widths(self._columns, natural, room)
        for column, width, wanted in zip(self._columns, widths, natural, strict=True):
            folded = column in NAMES or column in TEXTS
            made.add_column(
                column,
                no_wrap=True,
                width=width if width < wanted else None,
                min_width=None if folded else min(wanted, _KEPT),
                header_style="bold dim",
            )
        for row in self._texts:
            made.add_row(
                *(Text(text, style=_style(text), no_wrap=True, overflow="ellipsis") for text in row)
            )
        yield made


def _style(text: str) -> str:
    """The style of the first word: a state may be followed by its progress."""
    first, _, rest = text.partition(" ")
    return STYLES.get(first, "") if not rest or rest[0] in "#0123456789" else ""


def print_fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Prints names and values in lines, without unknown ones; on a terminal long values are
    wrapped between words."""
    known = [(name, format_cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        styled = is_terminal() and value in STYLES and not os.environ.get("NO_COLOR")
        shown = click.style(value, **_click_style(value)) if styled else value
        click.echo(f"{name:<{width}}  {wrapped(shown, width + 2, sys.stdout)}")


def _click_style(value: str) -> dict[str, Any]:
    style = STYLES.get(value, "").removesuffix("on red").split()
    colors = [word for word in style if word not in ("bold", "dim")]
    return {
        "bold": "bold" in style or None,
        "dim": "dim" in style or None,
        "fg": colors[0] if colors else None,
    }


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    if title:
        click.echo(title)
    lines = [list(columns), *rows]
    widths = [max(len(row[place]) for row in lines) for place in range(len(columns))]
    for each in lines:
        padded = (text.ljust(width) for text, width in zip(each, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
