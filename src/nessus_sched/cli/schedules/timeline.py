"""The timeline of a plan as lines of text: one per scanner, with the hours above."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from nessus_sched.results.untrusted import clean_line

LEGEND: Final = "share of slots in use: ▁ few, █ all, · none; ░ closed"
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_IDLE, _CLOSED = "·", "░"
_LABEL: Final = 16
"""Characters of a name."""
_LEAST: Final = 24
"""Characters for the hours, however narrow the terminal is."""
_HOUR: Final = 3600
_WEEK: Final = 7 * 86400
_STEP: Final = 900
"""Seconds: every time zone has its full hours on one of these."""

_Span = tuple[float, float]


def timeline_lines(plan: Mapping[str, Any], width: int, most: int = 1000) -> list[str]:
    """The timeline of an answer of `get_plan`, with at most `most` scanners and rules, in
    `width` columns; empty if nothing is planned or closed."""
    drawn = plan["timeline"]
    if drawn is None or not _worth_showing(drawn):
        return []
    named = [(row["scanner"], row) for row in drawn["scanners"]]
    named += [(row["rule"], row) for row in drawn["rules"]]
    label = max(len(name) for name, _ in named)
    label = min(label, _LABEL)
    count = max(width - label - 2, _LEAST)
    begin, until = _epoch(plan["begin"]), _epoch(plan["until"])
    edges = [begin + (until - begin) * place / count for place in range(count + 1)]
    lines = [" " * (label + 2) + _hours(edges)]
    for name, row in named[:most]:
        shown = clean_line(name, label).ljust(label)
        lines.append(f"{shown}  {_cells(row, edges)}")
    more = len(named) - most
    return [*lines, LEGEND + (f" ({more} more rows)" if more > 0 else "")]


def _worth_showing(drawn: Mapping[str, Any]) -> bool:
    rows = drawn["scanners"]
    planned = any(scan["kind"] != "running" for row in rows for scan in row["scans"])
    return planned or bool(drawn["rules"]) or any(row["closed"] for row in rows)


def _cells(row: Mapping[str, Any], edges: Sequence[float]) -> str:
    scans, closed = (_spans(row.get(each, ())) for each in ("scans", "closed"))
    slots = max(row.get("slots", 1), 1)
    found = []
    for begin, end in pairwise(edges):
        busy = _covered(scans, begin, end) / (end - begin) / slots
        if busy > 0:
            found.append(_LEVELS[min(math.ceil(busy * len(_LEVELS)), len(_LEVELS)) - 1])
        elif 2 * _covered(closed, begin, end) >= end - begin:
            found.append(_CLOSED)
        else:
            found.append(_IDLE)
    return "".join(found)


def _covered(spans: Sequence[_Span], begin: float, end: float) -> float:
    """Seconds of spans between two moments, together."""
    return sum(max(0.0, min(until, end) - max(since, begin)) for since, until in spans)


def _hours(edges: Sequence[float]) -> str:
    """Labels that begin where their hour does, in local time."""
    cell = edges[1] - edges[0]
    every = next((each for each in (1, 3, 6, 12) if each * _HOUR >= 7 * cell), 24)
    midnight = "%a" if edges[-1] - edges[0] <= _WEEK else "%b %d"
    line = ""
    moment = edges[0] - edges[0] % _STEP
    while moment < edges[-1]:
        local = datetime.fromtimestamp(moment, UTC).astimezone()
        place = round((moment - edges[0]) / cell)
        label = local.strftime("%H:%M" if local.hour else midnight)
        hour = local.minute == 0 and local.hour % every == 0
        fits = len(line) < place or (not line and place == 0)
        if hour and fits and place + len(label) < len(edges):
            line = line.ljust(place) + label
        moment += _STEP
    return line


def _spans(found: Sequence[Mapping[str, Any]]) -> list[_Span]:
    return [(_epoch(each["begin"]), _epoch(each["end"])) for each in found]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
