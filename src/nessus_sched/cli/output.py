"""What commands print: tables and lines for people, JSON for scripts.

On a terminal tables are drawn with rich. Elsewhere they are plain columns that are never
cut, so that grep and awk find everything. Cells are data: no markup is read in them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
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
    "dead": "bold red", "timed_out": "red", "canceled": "dim", "paused": "yellow",
    "retry_wait": "yellow", "passed": "green", "full": "green", "none": "dim",
}  # fmt: skip
"""How a cell that is exactly such a word looks on a terminal."""


_KEPT = 24
"""Characters of a column that are never cut away in favour of the last one."""


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def print_json(document: Any) -> None:
    """ASCII only: nothing in it can steer a terminal."""
    click.echo(json.dumps(document, indent=2))


def line(text: str = "") -> None:
    """A line of ours on stdout, with whatever came from elsewhere made harmless."""
    click.echo(clean(text))


def note(text: str) -> None:
    """A remark on stderr, so that stdout stays what was asked for."""
    click.echo(clean(text), err=True)


def cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(cell, value)) or "-"
    return clean_line(str(value), 1000)


def table(columns: Sequence[str], rows: Sequence[Row], *, title: str = "") -> None:
    """Prints a table; its first two columns are never cut."""
    texts = [[cell(value) for value in row] for row in rows]
    if is_terminal() and not texts:
        click.echo("none")
    elif is_terminal():
        console().print(drawn(columns, texts, title=title))
    else:
        _plain(columns, texts, title)


def drawn(
    columns: Sequence[str], rows: Sequence[Row], *, title: str = "", wrap: bool = True
) -> Any:
    """The table as something rich can draw. Cells are folded, so that nothing is lost;
    without `wrap` a row is a line, cut at its end, and the columns before the last keep their
    width, up to a point."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", title_style="bold", box=None)
    for number, column in enumerate(columns):
        longest = max((len(cell(row[number])) for row in rows), default=0)
        kept = not wrap and number < len(columns) - 1
        made.add_column(
            column,
            no_wrap=number < 2 or kept,
            min_width=min(max(longest, len(column)), _KEPT) if kept else None,
            header_style="bold dim",
        )
    how: dict[str, Any] = {"no_wrap": not wrap, "overflow": "fold" if wrap else "ellipsis"}
    for row in rows:
        cells = map(cell, row)
        made.add_row(*(Text(text, style=_style(text), **how) for text in cells))
    return made


def _style(text: str) -> str:
    """By the first word: a state may be followed by its progress."""
    first, _, rest = text.partition(" ")
    return STYLES.get(first, "") if not rest or rest[0] in "#0123456789" else ""


def fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Prints names with values below each other, leaving out what is not known."""
    known = [(name, cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        styled = is_terminal() and value in STYLES and not os.environ.get("NO_COLOR")
        shown = click.style(value, **_click_style(value)) if styled else value
        click.echo(f"{name:<{width}}  {shown}")


def _click_style(value: str) -> dict[str, Any]:
    style = STYLES.get(value, "").removesuffix("on red").split()
    colours = [word for word in style if word not in ("bold", "dim")]
    return {
        "bold": "bold" in style or None,
        "dim": "dim" in style or None,
        "fg": colours[0] if colours else None,
    }


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    if title:
        click.echo(title)
    lines = [list(columns), *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for each in lines:
        padded = (text.ljust(width) for text, width in zip(each, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
