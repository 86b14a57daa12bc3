"""A plan as it is drawn: what scanners do over time, and when scanning is not allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.calendar.plan import Planned
from nessus_sched.core.calendar.playing import Slot, median
from nessus_sched.core.calendar.timetable import Rule, Timetable, verdict

_MOST_CLOSED: Final = 200
"""Closed spans of a row; later ones are left out."""


class BarKind(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    FIRING = "firing"
    """Of a schedule."""


@attrs.frozen(kw_only=True)
class Bar:
    """A scan on a scanner (epoch seconds); `name` is empty for one that the reader may not know."""

    kind: BarKind
    name: str
    begin: float
    end: float


@attrs.frozen(kw_only=True)
class Closed:
    """A time in which nothing may be scanned, and why (epoch seconds)."""

    begin: float
    end: float
    reason: str


@attrs.frozen(kw_only=True)
class ScannerRow:
    """`bars` in the order of their begins; at most `slots` at a time. `closed` is for all that the
    scanner could scan."""

    scanner_id: str
    slots: int
    bars: tuple[Bar, ...]
    closed: tuple[Closed, ...]


@attrs.frozen(kw_only=True)
class RuleRow:
    """A window or blackout for some networks only."""

    text: str
    closed: tuple[Closed, ...]


@attrs.frozen(kw_only=True)
class Timeline:
    """From `begin` to `until` (epoch seconds), where everything in it is cut off. `zone` is the
    operator's time zone."""

    begin: float
    until: float
    zone: str
    scanners: tuple[ScannerRow, ...] = ()
    rules: tuple[RuleRow, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is planned or closed; scans that run may be in it."""
        planned = any(bar.kind is not BarKind.RUNNING for row in self.scanners for bar in row.bars)
        return not (planned or self.rules or any(row.closed for row in self.scanners))


def timeline(
    planned: Iterable[Planned],
    slots: Sequence[Slot],
    pools: Mapping[str, str],
    running: Mapping[str, str],
    timetable: Timetable,
    within: tuple[float, float],
) -> Timeline:
    """`pools` are those of all scanners, by scanner, and `running` names of running tasks, by task.
    A scanner without slots is one that starts nothing."""
    begin, until = within
    bars: dict[str, list[Bar]] = {scanner_id: [] for scanner_id in pools}
    for scanner_id, bar in (*_running(slots, running, within), *_planned(planned)):
        if bar.begin < until:
            cut = attrs.evolve(bar, begin=max(bar.begin, begin), end=min(bar.end, until))
            bars.setdefault(scanner_id, []).append(cut)
    return Timeline(
        begin=begin,
        until=until,
        zone=timetable.zone,
        scanners=tuple(
            ScannerRow(
                scanner_id=scanner_id,
                slots=sum(slot.scanner_id == scanner_id for slot in slots),
                bars=tuple(sorted(found, key=lambda bar: (bar.begin, bar.end))),
                closed=_closed_scanner(timetable, scanner_id, pools.get(scanner_id, ""), within),
            )
            for scanner_id, found in bars.items()
        ),
        rules=tuple(_rule_rows(timetable.rules, within)),
    )


def _running(
    slots: Sequence[Slot], names: Mapping[str, str], within: tuple[float, float]
) -> Iterator[tuple[str, Bar]]:
    for slot in slots:
        if slot.running is not None:
            end = within[0] + median(slot.running.durations[slot.scanner_id])
            name = names.get(slot.running.name, "")
            yield slot.scanner_id, Bar(kind=BarKind.RUNNING, name=name, begin=within[0], end=end)


def _planned(planned: Iterable[Planned]) -> Iterator[tuple[str, Bar]]:
    for each in planned:
        kind = BarKind.FIRING if each.job.firing else BarKind.WAITING
        for scan in each.placed:
            yield (
                scan.scanner_id,
                Bar(kind=kind, name=each.job.name, begin=scan.begin, end=scan.end),
            )


def _closed_scanner(
    timetable: Timetable, scanner_id: str, pool: str, within: tuple[float, float]
) -> tuple[Closed, ...]:
    def at(moment: float) -> tuple[Rule | None, float | None]:
        found = timetable.scanner(scanner_id, pool, moment)
        return None if found.allowed else found.rule, found.until

    return tuple(_closed(at, within))


def _rule_rows(rules: Iterable[Rule], within: tuple[float, float]) -> Iterator[RuleRow]:
    for rule in rules:
        if rule.networks is None:
            continue

        def at(moment: float, rule: Rule = rule) -> tuple[Rule | None, float | None]:
            found = verdict([rule], moment)
            return None if found.allowed else rule, found.until

        closed = tuple(_closed(at, within))
        if closed:
            yield RuleRow(text=rule.text, closed=closed)


def _closed(
    at: Callable[[float], tuple[Rule | None, float | None]], within: tuple[float, float]
) -> Iterator[Closed]:
    """Follows what is said of moments: the rule that forbids scanning, and until when."""
    moment, until = within
    for _ in range(_MOST_CLOSED):
        rule, change = at(moment)
        end = min(until, math.inf if change is None else change)
        if rule is not None:
            yield Closed(begin=moment, end=end, reason=rule.text)
        if end >= until:
            return
        moment = end
