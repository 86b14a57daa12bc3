"""Tables on a terminal: which columns give way when there is little room.

Words are not broken. Names give way first, then sentences, then whatever has spaces, each down to
its longest word. What still does not fit moves to a line of its own below its row, names first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NAMES: Final = frozenset(
    {"name", "targets", "title", "description", "cve", "edition", "solution", "hostname"}
)
"""Columns that shrink first."""
TEXTS: Final = frozenset(
    {"why", "remark", "found", "what to do", "blocked", "error", "message", "cause"}
)
"""Columns of sentences."""
_KEYS: Final = frozenset({"task", "host", "severity", "plugin", "scanner", "status", "state"})
"""Columns that say what a row is about; they leave the row last."""
_COMFORT: Final = {NAMES: 20, TEXTS: 24}
"""Widths below which a name or a sentence does not shrink to spare it a line of its own: a column
of single words is harder to read than a line."""
_LEAST_NAME: Final = 8
_LEAST_TEXT: Final = 16
_GAP: Final = "  "
_EDGE: Final = " "
_NOTHING: Final = "-"
_BETWEEN: Final = " | "
"""Between columns that share the line below a row."""

Texts = Sequence[Sequence[str]]
"""Cells by row."""


def fitted_widths(columns: Sequence[str], natural: Sequence[int], room: int) -> list[int]:
    """Column widths in characters for rows of one line: names shrink first, then texts, each to a
    minimum; other columns keep their width even if there is no room."""
    widths = list(natural)
    for group, least in ((NAMES, _LEAST_NAME), (TEXTS, _LEAST_TEXT)):
        places = [place for place, column in enumerate(columns) if column in group]
        _shrink(widths, places, [least] * len(widths), room)
    return widths


def _shrink(widths: list[int], places: Sequence[int], least: Sequence[int], room: int) -> None:
    """Makes the widest of the columns narrower until all fit or none may be narrower."""
    while sum(widths) > room:
        able = [place for place in places if widths[place] > least[place]]
        if not able:
            return
        widths[max(able, key=widths.__getitem__)] -= 1


@attrs.frozen(kw_only=True)
class Layout:
    """`widths` in cells of the columns `beside` each other, and the columns `below` them."""

    beside: Sequence[int]
    widths: Sequence[int]
    below: Sequence[int]


def layout_of(
    columns: Sequence[str], texts: Texts, room: int, measured: Callable[[str], int] = len
) -> Layout:
    """The layout for a terminal of `room` cells; `measured` gives the cells of a text."""
    rows = [columns, *texts]
    natural = [max(map(measured, each)) for each in zip(*rows, strict=True)]
    words = [
        max((measured(word) for text in each for word in text.split()), default=0)
        for each in zip(*rows, strict=True)
    ]
    least = [
        max(word, min(width, _comfort(column)))
        for column, word, width in zip(columns, words, natural, strict=True)
    ]
    beside, below = list(range(len(columns))), list[int]()
    while True:
        free = room - 2 * len(_EDGE) - len(_GAP) * (len(beside) - 1)
        widths = _widths([columns[each] for each in beside], natural, least, beside, free)
        if sum(widths) <= free or len(beside) == 1:
            break
        moved = _next_below(columns, natural, beside)
        beside.remove(moved)
        below.append(moved)
    if sum(widths) > free:
        widths = [max(1, free)]
    return Layout(beside=beside, widths=widths, below=sorted(below))


def _comfort(column: str) -> int:
    return next((width for group, width in _COMFORT.items() if column in group), 0)


def _widths(
    names: Sequence[str],
    natural: Sequence[int],
    least: Sequence[int],
    beside: Sequence[int],
    room: int,
) -> list[int]:
    widths = [natural[each] for each in beside]
    lowest = [least[each] for each in beside]
    for group in (NAMES, TEXTS, frozenset(names)):
        places = [place for place, name in enumerate(names) if name in group]
        _shrink(widths, places, lowest, room)
    return widths


def _next_below(columns: Sequence[str], natural: Sequence[int], beside: Sequence[int]) -> int:
    """The column that moves below its row: the widest name, then text, then other one; those that
    say what the row is about are the last, and the first column stays."""

    def rank(place: int) -> tuple[int, int]:
        column = columns[place]
        groups = (NAMES, TEXTS, frozenset(columns) - _KEYS)
        group = next((-number for number, group in enumerate(groups) if column in group), -9)
        return group, natural[place]

    return max(beside[1:], key=rank)


class Table:
    """A rich renderable: cells are wrapped between words at the width of the console."""

    def __init__(
        self,
        columns: Sequence[str],
        texts: Texts,
        *,
        title: str,
        style_of: Callable[[str], str],
    ) -> None:
        self._columns = columns
        self._texts = texts
        self._title = title
        self._style_of = style_of

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Any]:
        from rich.cells import cell_len
        from rich.text import Text

        room = options.max_width
        found = layout_of(self._columns, self._texts, room, cell_len)
        if self._title:
            yield Text(self._title, style="bold")
        yield from self._lines(console, found, self._columns, room, lambda _text: "bold dim")
        for row in self._texts:
            yield from self._lines(console, found, row, room, self._style_of)

    def _lines(
        self,
        console: Console,
        found: Layout,
        row: Sequence[str],
        room: int,
        style_of: Callable[[str], str],
    ) -> Iterator[Text]:
        from rich.text import Text

        cells = [
            Text(row[place], style=style_of(row[place])).wrap(console, width)
            for place, width in zip(found.beside, found.widths, strict=True)
        ]
        for parts in zip_longest(*cells):
            line = Text(_EDGE, no_wrap=True)
            for place, (part, width) in enumerate(zip(parts, found.widths, strict=True)):
                text = Text() if part is None else part
                text.rstrip()
                line.append_text(text)
                line.append(" " * max(0, width - text.cell_len))
                line.append(_GAP if place < len(parts) - 1 else "")
            line.rstrip()
            yield line
        indent = " " * (len(_EDGE) + found.widths[0] + len(_GAP)) if len(found.beside) > 1 else _GAP
        if len(indent) > room // 2:
            indent = _GAP * 2
        said = [row[place] for place in found.below if row[place] != _NOTHING]
        for text in Text(_BETWEEN.join(said), style=style_of("")).wrap(console, room - len(indent)):
            text.rstrip()
            if text:
                yield Text(indent, no_wrap=True).append_text(text)
