"""Output: tables and lines for people, JSON for scripts.

On a terminal tables are drawn with rich. Elsewhere they are plain columns that are never cut,
so that grep and awk find everything. Cells are data: markup in them is not interpreted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

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


_NAMES = frozenset({"name", "targets", "title", "description", "cve", "edition"})
"""Columns that shrink first when there is no room."""
_TEXTS = frozenset({"why", "remark", "found", "what to do", "blocked", "error", "message", "cause"})
"""Columns of sentences: wrapped between words, or cut where a row is a line."""
_FOLDED = _NAMES | _TEXTS
_LEAST_NAME = 8
_LEAST_TEXT = 16
_KEPT = 24
"""Characters of other columns that are never cut if rows are single lines."""
_PADDING = 2
"""Spaces around a cell."""


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_json(document: Any) -> None:
    """ASCII only, so that nothing in it can control a terminal."""
    click.echo(json.dumps(document, indent=2))


def print_line(text: str = "") -> None:
    """Prints a line to stdout, with control characters removed."""
    click.echo(clean(text))


def print_note(text: str) -> None:
    """Prints a note to stderr, so that stdout holds only what was asked for."""
    click.echo(clean(text), err=True)


def format_cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(format_cell, value)) or "-"
    return clean_line(str(value), 1000)


def print_table(columns: Sequence[str], rows: Sequence[Row], *, title: str = "") -> None:
    """Prints a table; its first two columns are never cut."""
    texts = [[format_cell(value) for value in row] for row in rows]
    if is_terminal() and not texts:
        click.echo("none")
    elif is_terminal():
        console().print(build_table(columns, texts, title=title))
    else:
        _plain(columns, texts, title)


def build_table(
    columns: Sequence[str], rows: Sequence[Row], *, title: str = "", wrap: bool = True
) -> Any:
    """The table as a rich renderable that fits the console; a row is one line unless `wrap`."""
    texts = [[format_cell(value) for value in row] for row in rows]
    return _Fitted(columns, texts, title, wrap)


class _Fitted:
    def __init__(
        self, columns: Sequence[str], texts: Sequence[Sequence[str]], title: str, wrap: bool
    ) -> None:
        self._columns = columns
        self._texts = texts
        self._title = title
        self._wrap = wrap

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Any]:
        from rich.table import Table
        from rich.text import Text

        made = Table(title=self._title or None, title_justify="left", title_style="bold", box=None)
        natural = [max(map(len, each)) for each in zip(self._columns, *self._texts, strict=True)]
        room = options.max_width - _PADDING * len(self._columns)
        widths = fitted_widths(self._columns, natural, room)
        fits = sum(widths) <= room
        for column, width, wanted in zip(self._columns, widths, natural, strict=True):
            made.add_column(
                column,
                no_wrap=not self._wrap or (fits and column not in _FOLDED),
                width=width if width < wanted and (fits or not self._wrap) else None,
                min_width=None if self._wrap or column in _FOLDED else min(wanted, _KEPT),
                header_style="bold dim",
            )
        how: dict[str, Any] = {
            "no_wrap": not self._wrap,
            "overflow": "fold" if self._wrap else "ellipsis",
        }
        for row in self._texts:
            made.add_row(*(Text(text, style=_style(text), **how) for text in row))
        yield made


def fitted_widths(columns: Sequence[str], natural: Sequence[int], room: int) -> list[int]:
    """Column widths in characters: names shrink first, then texts, each to a minimum; other
    columns keep their width even if there is no room."""
    widths = list(natural)
    for group, least in ((_NAMES, _LEAST_NAME), (_TEXTS, _LEAST_TEXT)):
        places = [place for place, column in enumerate(columns) if column in group]
        while sum(widths) > room and places:
            widest = max(places, key=widths.__getitem__)
            if widths[widest] <= least:
                break
            widths[widest] -= 1
    return widths


def _style(text: str) -> str:
    """The style of the first word: a state may be followed by its progress."""
    first, _, rest = text.partition(" ")
    return STYLES.get(first, "") if not rest or rest[0] in "#0123456789" else ""


def print_fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Prints names and values in lines, without unknown ones."""
    known = [(name, format_cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        styled = is_terminal() and value in STYLES and not os.environ.get("NO_COLOR")
        shown = click.style(value, **_click_style(value)) if styled else value
        click.echo(f"{name:<{width}}  {shown}")


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
