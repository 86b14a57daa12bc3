"""The timeline of the status page: a plan as shapes of an SVG.

Widths are in percent, so that it fits every screen; heights and texts are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import attrs

from nessus_sched.core.calendar.plan import Interval
from nessus_sched.core.calendar.timeline import Bar, BarKind, Closed, Timeline
from nessus_sched.core.calendar.zones import zone_of
from nessus_sched.core.text import pluralize

TOP: Final = 22
"""Above the first row, for the hours."""
_LABEL: Final = 20
"""Of a row, for the name of the scanner."""
GAP: Final = 8
_TALL: Final = 18
"""Of a bar with a name in it."""
_FLAT: Final = 6
_THIN: Final = 0.4
"""Percent of the width that the shortest scan has, to be seen."""
_MOST_TALL: Final = 4
"""Lanes of a scanner with names in their bars; more are drawn flat."""
_MOST_LANES: Final = 32
_MOST_ROWS: Final = 40
_MOST_BARS: Final = 60
"""Bars of a scanner."""
_MOST_SENTENCES: Final = 100
_TICKS: Final = 8
_STEP: Final = 900
"""Seconds: every time zone has its full hours on one of these."""
_WORDS: Final = {
    BarKind.RUNNING: "running",
    BarKind.WAITING: "waiting",
    BarKind.FIRING: "scheduled",
}


@attrs.frozen(kw_only=True)
class Shape:
    """`x` and `width` in percent of the time, `y` and `height` in pixels; `text` goes into it, and
    `title` tells what it is."""

    x: float
    width: float
    y: int
    height: int
    kind: str
    title: str
    text: str = ""


@attrs.frozen(kw_only=True)
class Row:
    """A scanner, or a rule for networks."""

    name: str
    note: str
    y: int
    height: int
    shapes: Sequence[Shape]


@attrs.frozen(kw_only=True)
class Tick:
    x: float
    label: str


@attrs.frozen(kw_only=True)
class Drawing:
    """`height` in pixels; `left_out` more rows are not drawn. `sentences` say the same as the
    picture."""

    height: int
    ticks: Sequence[Tick]
    rows: Sequence[Row]
    left_out: int
    sentences: Sequence[str]


def drawing(found: Timeline) -> Drawing:
    """The timeline as shapes, from the top."""
    rows: list[Row] = []
    y = TOP
    for name, note, bars, closed in [*_scanners(found), *_rules(found)][:_MOST_ROWS]:
        row = _row(found, (name, note), bars, closed, y)
        rows.append(row)
        y += row.height
    return Drawing(
        height=y,
        ticks=tuple(_ticks(found)),
        rows=rows,
        left_out=max(0, len(found.scanners) + len(found.rules) - _MOST_ROWS),
        sentences=[f"{row.name}: {shape.title}" for row in rows for shape in row.shapes][
            :_MOST_SENTENCES
        ],
    )


_Drawn = tuple[str, str, Sequence[Bar], Sequence[Closed]]


def _scanners(found: Timeline) -> Iterator[_Drawn]:
    for row in found.scanners:
        note = pluralize(row.slots, "slot") if row.slots else "starts no scans"
        yield row.scanner_id, note, row.bars, row.closed


def _rules(found: Timeline) -> Iterator[_Drawn]:
    for row in found.rules:
        yield row.text, "for some networks", (), row.closed


def _row(
    found: Timeline, label: tuple[str, str], bars: Sequence[Bar], closed: Sequence[Closed], y: int
) -> Row:
    lanes = _lanes(bars[:_MOST_BARS])
    count = max([lane + 1 for lane, _ in lanes], default=1)
    tall = _TALL if count <= _MOST_TALL else _FLAT
    top, height = y + _LABEL, count * tall
    shapes = [
        _shape(found, each.begin, each.end, top, height, "closed", f"closed by {each.reason}")
        for each in closed
    ]
    for lane, bar in lanes:
        text = bar.name if tall == _TALL else ""
        title = f"{bar.name or 'a scan'}, {_WORDS[bar.kind]}"
        shape = _shape(
            found, bar.begin, bar.end, top + lane * tall + 1, tall - 2, bar.kind.value, title
        )
        shapes.append(attrs.evolve(shape, text=text))
    name, note = label
    more = len(bars) - _MOST_BARS
    return Row(
        name=name,
        note=f"{note}; {more} more scans are not drawn" if more > 0 else note,
        y=y,
        height=_LABEL + height + GAP,
        shapes=shapes,
    )


def _shape(
    found: Timeline, begin: float, end: float, y: int, height: int, kind: str, title: str
) -> Shape:
    x = min(_percent(found, begin), 100 - _THIN)
    when = f"{local_clock(begin, found.zone)} to {local_clock(end, found.zone)}"
    width = round(max(_percent(found, end) - x, _THIN), 2)
    return Shape(x=x, width=width, y=y, height=height, kind=kind, title=f"{title}: {when}")


def _lanes(bars: Iterable[Bar]) -> list[tuple[int, Bar]]:
    """The first lane that is free for each, from the top."""
    ends: list[float] = []
    found: list[tuple[int, Bar]] = []
    for bar in bars:
        lane = next((n for n, end in enumerate(ends) if end <= bar.begin), len(ends))
        if lane >= _MOST_LANES:
            continue
        ends[lane : lane + 1] = [bar.end]
        found.append((lane, bar))
    return found


def _ticks(found: Timeline) -> Iterator[Tick]:
    """Full hours of the operator's time zone."""
    hours = (found.until - found.begin) / 3600
    every = next((each for each in (1, 3, 6, 12) if hours / each <= _TICKS), 24)
    moment = found.begin - found.begin % _STEP + _STEP
    while moment < found.until:
        local = datetime.fromtimestamp(moment, zone_of(found.zone))
        if local.minute == 0 and local.hour % every == 0:
            label = f"{local:%a}" if local.hour == 0 else f"{local:%H:%M}"
            yield Tick(x=_percent(found, moment), label=label)
        moment += _STEP


def _percent(found: Timeline, moment: float) -> float:
    return round((moment - found.begin) / (found.until - found.begin) * 100, 2)


def local_clock(moment: float, zone: str) -> str:
    """Such as `Mon 02:00`."""
    return f"{datetime.fromtimestamp(moment, zone_of(zone)):%a %H:%M}"


def interval(found: Interval | None, zone: str) -> str:
    """Such as `Mon 02:00 (01:40 to 02:30)`; the middle alone if the limits are as good as it."""
    if found is None:
        return "not known"
    if not math.isfinite(found.median):
        return "not within a year"
    middle = local_clock(found.median, zone)
    low, high = (
        local_clock(each, zone)[-5:] if math.isfinite(each) else "?"
        for each in (found.low, found.high)
    )
    return middle if low == high else f"{middle} ({low} to {high})"
