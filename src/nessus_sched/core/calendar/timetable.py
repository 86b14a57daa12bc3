"""When scanning is allowed: windows and blackouts, and what holds for a scan at a moment.

Every window that applies must be open, and no blackout that applies may be on.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, Generic, TypeVar

import attrs

from nessus_sched.core.calendar.periods import DAY, Period, parse_period
from nessus_sched.core.calendar.zones import BadCalendar, local_text
from nessus_sched.core.targets.packed import PackedTargets
from nessus_sched.core.targets.ranges import Ranges, overlap

LEAST_LEFT: Final = 300.0
"""Seconds before the end of an opening in which nothing is started."""
_AHEAD: Final = 14 * 86400.0
_FEW: Final = 64
"""Ranges of targets for which it is remembered which rules apply; they take a kilobyte at most."""
_STEPS: Final = 1000
"""Changes that are followed in search of an opening."""
_REMEMBERED: Final = 256
"""Spans between changes."""


class AtEnd(StrEnum):
    """What is done with a running scan at the end of a window or the start of a blackout."""

    PAUSE = "pause"
    """Pause it until the next opening."""
    STOP = "stop"
    """Stop it, keep what it has found, and scan the rest at the next opening."""
    RUN_ON = "run_on"


@attrs.frozen(kw_only=True, eq=False)
class Rule:
    """A window or blackout, for the scans that match all that it names: targets in `networks`
    (None: any), one of the `scanners`, one of the `pools` (empty: any). Compared by identity, which
    makes lookups by rules quick."""

    name: str
    period: Period
    blackout: bool
    networks: Ranges | None = None
    scanners: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset()
    at_end: AtEnd = AtEnd.PAUSE
    title: str = ""
    """What to call it, unless it is a window or blackout of the configuration."""
    endless: str = "for a year"
    """What to say if it does not end."""

    @property
    def text(self) -> str:
        """Such as `window 'nights'`."""
        return self.title or f"{'blackout' if self.blackout else 'window'} {self.name!r}"

    def covers_scanner(self, scanner_id: str, pool: str) -> bool:
        return (not self.scanners or scanner_id in self.scanners) and (
            not self.pools or pool in self.pools
        )

    def is_open(self, moment: float) -> bool:
        """Whether it allows scanning."""
        return (self.period.span_at(moment) is None) is self.blackout

    def closes(self, moment: float) -> float:
        """When it stops allowing it, if it does now."""
        if self.blackout:
            return self.period.next_begin(moment) or math.inf
        span = self.period.span_at(moment)
        assert span is not None
        return span[1]

    def opened(self, moment: float) -> float:
        """Since when it has allowed it, if it does now; -inf if for more than a year."""
        if self.blackout:
            return self.period.last_end(moment) or -math.inf
        span = self.period.span_at(moment)
        assert span is not None
        return span[0]

    def opens(self, moment: float) -> float | None:
        """When it will allow it, if it does not now; None if not for a year."""
        if not self.blackout:
            return self.period.next_begin(moment)
        span = self.period.span_at(moment)
        if span is None:
            return moment
        return None if span[1] == math.inf else span[1]


@attrs.frozen(kw_only=True)
class Verdict:
    """Whether scanning is allowed. If it is, `until` is when that ends (inf: never) and `length`
    how long the longest opening lasts, from this one to two weeks after its begin. If not, `until`
    is when it is allowed again (None: not for a year), and `rule` the one that forbids it."""

    allowed: bool
    until: float | None
    length: float = math.inf
    rule: Rule | None = None

    def leaves(self, expected: float | None, moment: float) -> bool:
        """Whether a scan may start at the moment that should take at most `expected` seconds (None:
        not known). One that no opening is long enough for may start in any, but nothing starts just
        before the end."""
        if not self.allowed or self.until is None:
            return False
        left = self.until - moment
        if left < min(LEAST_LEFT, self.length / 2):
            return False
        return expected is None or expected <= left or expected > self.length

    @property
    def text(self) -> str:
        """Why it is not allowed."""
        assert self.rule is not None
        zone = self.rule.period.zone
        when = self.rule.endless
        if self.until is not None:
            when = f"until {local_text(self.until, zone)}"
        return f"{self.rule.text} does not allow scans {when}"


ALWAYS: Final = Verdict(allowed=True, until=math.inf)


@attrs.frozen(kw_only=True, cache_hash=True)
class Timetable:
    """All rules of a configuration. Moments are epoch seconds of the wall clock. `zone` is that of
    the hours of single tasks."""

    rules: tuple[Rule, ...] = ()
    zone: str = "UTC"

    def scanner(self, scanner_id: str, pool: str, moment: float) -> Verdict:
        """For a scanner, whatever the targets."""
        return _everywhere(self, scanner_id, pool).verdict(moment)

    def scan(
        self,
        targets: PackedTargets,
        between: str | None,
        scanner_id: str,
        pool: str,
        moment: float,
        *,
        started: bool = False,
    ) -> Verdict:
        """For a scan on a scanner. Without the rules that let a scan run on if it has `started`."""
        find = _for_scan if targets.range_count <= _FEW else _for_scan.__wrapped__
        found: _Rules = find(self, targets, between, scanner_id, pool, started)
        return found.verdict(moment)

    def next_change(self, moment: float, hours: Iterable[str] = ()) -> float:
        """When something changes next, if only for some scans. `hours` are those of single
        tasks."""
        own = (_stored_hours(each, self.zone) for each in hours)
        return _together((*self.rules, *own)).next_change(moment)


class _Rules:
    """Rules that hold together. They are asked about the same times again and again, so what is
    found is remembered until the next change."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        def change(moment: float) -> tuple[float, float]:
            found = _next_change(rules, moment)
            return found, found

        self.rules = rules
        self._changes = _UntilChanges(change)
        self._verdicts = _UntilChanges(
            lambda moment: (self.next_change(moment), _verdict(rules, moment))
        )

    def verdict(self, moment: float) -> Verdict:
        return self._verdicts.at(moment) if self.rules else ALWAYS

    def next_change(self, moment: float) -> float:
        return self._changes.at(moment)


T = TypeVar("T")


class _UntilChanges(Generic[T]):
    """`find` returns what holds at a moment, after the time until when it does; but how far ahead
    it looks is limited, so that it is asked again after a day.

    `_found` has spans by their ends, with their begins as far as they are known. Plans read it in
    a thread: each change to it is a single step, and finding something twice does no harm.
    """

    def __init__(self, find: Callable[[float], tuple[float, T]]) -> None:
        self._find = find
        self._found: list[tuple[float, float, T]] = []

    def at(self, moment: float) -> T:
        found = self._found
        place = bisect_right(found, (moment, math.inf))
        if place < len(found) and found[place][1] <= moment:
            return found[place][2]
        end, value = self._find(moment)
        span = min(end, moment + DAY), moment, value
        if len(found) < _REMEMBERED:
            found.insert(place, span)
        else:
            self._found = [span]
        return value


@lru_cache(maxsize=4096)
def _together(rules: tuple[Rule, ...]) -> _Rules:
    return _Rules(rules)


@lru_cache(maxsize=1024)
def _on_scanner(table: Timetable, scanner_id: str, pool: str, started: bool) -> _Rules:
    """Those for a scan that has `started`, or has not, on a scanner."""
    found = (each for each in table.rules if each.covers_scanner(scanner_id, pool))
    return _together(tuple(each for each in found if not (started and each.at_end is AtEnd.RUN_ON)))


@lru_cache(maxsize=1024)
def _everywhere(table: Timetable, scanner_id: str, pool: str) -> _Rules:
    """Those for all scans on a scanner."""
    found = _on_scanner(table, scanner_id, pool, False)
    return _together(tuple(each for each in found.rules if each.networks is None))


@lru_cache(maxsize=8192)
def _for_scan(
    table: Timetable,
    targets: PackedTargets,
    between: str | None,
    scanner_id: str,
    pool: str,
    started: bool,
) -> _Rules:
    found = _on_scanner(table, scanner_id, pool, started).rules
    ranges = targets.unpack().ranges if any(each.networks is not None for each in found) else ()
    applying = [each for each in found if each.networks is None or overlap(each.networks, ranges)]
    own = [] if between is None else [_stored_hours(between, table.zone)]
    return _together((*applying, *own))


@lru_cache(maxsize=1024)
def _stored_hours(text: str, zone: str) -> Rule:
    """`own_hours` of a task that was accepted, perhaps on a machine that knows other time zones:
    hours that cannot be read never come."""
    try:
        return own_hours(text, zone)
    except BadCalendar:
        return Rule(name=text, period=Period(zone="UTC"), blackout=False, title=_hours(text))


def own_hours(text: str, zone: str) -> Rule:
    """The hours that a task asks for: as in `periods`, several separated by semicolons, with
    another time zone at the end in parentheses. Raises `BadCalendar`."""
    given = text.strip()
    if given.endswith(")") and "(" in given:
        given, _, named = given[:-1].rpartition("(")
        zone = named.strip()
    period = parse_period([each for each in given.split(";") if each.strip()], zone)
    return Rule(name=text, period=period, blackout=False, title=_hours(text))


def _hours(text: str) -> str:
    return f"its --between {text!r}"


def drain_rule(scanner_id: str, begin: float, end: float | None, zone: str) -> Rule:
    """Starts nothing on a scanner between two moments (epoch seconds; None: without an end) and
    nothing before that would still be running; what runs runs on."""
    return Rule(
        name="drain",
        period=Period(zone=zone, dates=((begin, math.inf if end is None else end),)),
        blackout=True,
        scanners=frozenset({scanner_id}),
        at_end=AtEnd.RUN_ON,
        title="a planned drain",
        endless="until it is undrained",
    )


def check_rule(rule: Rule, moment: float) -> None:
    """Raises `BadCalendar` for a window that never opens."""
    if not rule.blackout and not rule.is_open(moment) and rule.opens(moment) is None:
        raise BadCalendar("it does not open within a year")


def verdict(rules: Iterable[Rule], moment: float) -> Verdict:
    """What rules say together of a moment."""
    return _together(tuple(rules)).verdict(moment)


def _verdict(rules: tuple[Rule, ...], moment: float) -> Verdict:
    closed = [each for each in rules if not each.is_open(moment)]
    if closed:
        rule = next((each for each in closed if each.blackout), closed[0])
        return Verdict(allowed=False, until=_opening(rules, moment), rule=rule)
    first = min(rules, key=lambda each: each.closes(moment))
    length = _longest(rules, max(each.opened(moment) for each in rules))
    return Verdict(allowed=True, until=first.closes(moment), length=length, rule=first)


def _next_change(rules: Iterable[Rule], moment: float) -> float:
    changes = (
        each.closes(moment) if each.is_open(moment) else each.opens(moment) for each in rules
    )
    return min((change for change in changes if change is not None), default=math.inf)


def next_opening(rules: Sequence[Rule], moment: float) -> Verdict | None:
    """What the rules say at their next opening, or now if they are open; None if there is none for
    a year."""
    opens = _opening(rules, moment)
    return None if opens is None else verdict(rules, opens)


@lru_cache(maxsize=4096)
def _longest(rules: tuple[Rule, ...], opened: float) -> float:
    """How long the longest opening lasts, from the one that began at that moment to two weeks
    ahead."""
    if opened == -math.inf:
        return math.inf
    best = 0.0
    moment: float | None = opened
    while moment is not None and moment < opened + _AHEAD:
        end = min(each.closes(moment) for each in rules)
        best = max(best, end - moment)
        moment = None if end == math.inf else _opening(rules, end)
    return best


def _opening(rules: Sequence[Rule], moment: float) -> float | None:
    for _ in range(_STEPS):
        opens = [each.opens(moment) for each in rules if not each.is_open(moment)]
        if not opens:
            return moment
        if None in opens:
            return None
        moment = max(at for at in opens if at is not None)
    return None
