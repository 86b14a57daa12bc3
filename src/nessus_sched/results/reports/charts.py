"""Charts as numbers: where their bars and lines are. The templates draw them as SVG.

All of them can be read in black and white: series differ by pattern and dashes, and every value
is in words in the chart's description and in a table for screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any, Final

WIDTH: Final = 680
_LEFT: Final = 36
_RIGHT: Final = 70
_TOP: Final = 14
_PLOT: Final = 130
_GAP: Final = 16
_BELOW: Final = 38
_TICKS: Final = 4
_LABELS: Final = 7
_BAR: Final = 26
_LABEL: Final = 92
"""Width of the labels of horizontal bars."""


def trend(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Findings by week or month: a line of open ones, bars of new and fixed ones, and below how
    many hosts were scanned. Each point has `label`, `open`, `new`, `fixed` and `hosts`."""
    most = _ceiling(max((max(p["open"], p["new"], p["fixed"]) for p in points), default=0))
    hosts = _ceiling(max((p["hosts"] for p in points), default=0), whole=True)
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    bottom, base = _TOP + _PLOT, _TOP + _PLOT + _GAP + _BELOW
    bar = min(step * 0.36, 14)

    def y(value: float) -> float:
        return round(bottom - value / most * _PLOT, 1)

    columns = []
    for place, point in enumerate(points):
        middle = _LEFT + step * (place + 0.5)
        high = point["hosts"] / hosts * _BELOW
        columns.append(
            {
                "x": round(middle, 1),
                "new": _bar(middle - bar, bar, y(point["new"]), bottom),
                "fixed": _bar(middle, bar, y(point["fixed"]), bottom),
                "hosts": _bar(middle - bar, 2 * bar, round(base - high, 1), base),
                "open_y": y(point["open"]),
                "label": point["label"] if _is_labeled(place, len(points)) else None,
            }
        )
    return {
        "width": WIDTH,
        "height": base + 18,
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "bottom": bottom,
        "base": base,
        "ticks": [
            {"y": y(most * n / _TICKS), "value": most * n / _TICKS} for n in range(_TICKS + 1)
        ],
        "columns": columns,
        "line": " ".join(f"{each['x']},{each['open_y']}" for each in columns),
        "most_hosts": hosts,
        "points": list(points),
    }


def _bar(x: float, width: float, top: float, bottom: float) -> dict[str, float]:
    return {
        "x": round(x, 1),
        "y": top,
        "width": round(width, 1),
        "height": round(max(bottom - top, 0), 1),
    }


def _is_labeled(place: int, count: int) -> bool:
    every = max(ceil(count / _LABELS), 1)
    return (count - 1 - place) % every == 0


def _ceiling(value: float, *, whole: bool = False) -> float:
    """A round number from `value` up, divisible by the ticks of an axis unless `whole`."""
    if value <= _TICKS:
        return max(ceil(value), 1) if whole else _TICKS
    magnitude = 10.0 ** floor(log10(value))
    for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10):
        if factor * magnitude >= value and (whole or factor * magnitude % _TICKS == 0):
            return factor * magnitude
    return 10.0 * magnitude if 10 * magnitude % _TICKS == 0 else 12.0 * magnitude


def bars(rows: Iterable[tuple[str, int, str]], width: int = 300) -> dict[str, Any]:
    """Horizontal bars, one below the other: each with its label, a number, and words beside it."""
    found = list(rows)
    most = max((count for _, count, _ in found), default=0) or 1
    room = width - _LABEL - 50
    return {
        "width": width,
        "height": _BAR * len(found),
        "label": _LABEL,
        "bars": [
            {
                "label": label,
                "count": count,
                "note": note,
                "y": place * _BAR,
                "width": max(round(count / most * room), 2 if count else 0),
            }
            for place, (label, count, note) in enumerate(found)
        ],
    }


def shares(parts: Iterable[tuple[str, int]], width: int = 300) -> dict[str, Any]:
    """One bar that is divided; parts without a count are left out of it."""
    found = list(parts)
    total = sum(count for _, count in found) or 1
    drawn, x = [], 0.0
    for place, (label, count) in enumerate(found):
        wide = count / total * width
        drawn.append(
            {
                "label": label, "count": count, "x": round(x, 1), "width": round(wide, 1),
                "percent": percent(count, total), "pattern": place,
            }
        )  # fmt: skip
        x += wide
    return {"width": width, "parts": drawn}


def percent(count: int, total: int) -> str:
    """Never `100%` for less than all, nor `0%` for more than none."""
    if not total:
        return "–"  # noqa: RUF001
    share = 100 * count / total
    if 0 < share < 1:
        return "<1%"
    if 99 < share < 100:
        return ">99%"
    return f"{round(share)}%"
