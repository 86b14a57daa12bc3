"""Plays the near future of one pool through, many times, with durations drawn from what
like scans took: when each slot becomes free and which task gets it."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter
from random import Random
from statistics import median
from typing import Final

import attrs

from nessus_sched.core.pool.durations import Durations
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Key, QueueName, Waiting
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.state import Active, PoolState

Values = Sequence[float]
"""Seconds, each value as likely as the others."""
ROUNDS: Final = 39
HORIZON: Final = 128
"""Starts that are played through in each round; what lies beyond is extrapolated."""
BASE: Final = 4
"""Starts of a queue that it takes to extrapolate its pace."""
MIDDLE: Final = 0.8
"""The part of a distribution by whose width two are compared."""
COMPARABLE: Final = 10
"""Values that it takes to compare widths."""


def remaining(active: Active, durations: Durations, like: Sequence[float], now: float) -> Values:
    """What a running scan may still take, as equally likely values; empty: nothing known.

    By what like scans took in all, or by its progress and what the same progress meant for
    others: whichever says it more narrowly. Left out are the totals that it has outlived,
    and those with which it would be further by now.
    """
    elapsed = active.ran(now)
    tenth = active.tenth
    further = durations.paces(tenth + 1)
    least = elapsed
    if further and active.seen is not None:
        least = max(elapsed, active.seen * median(further))
    by_history = [total - elapsed for total in like if total > least]
    totals = [active.reached[tenth] * factor for factor in durations.paces(tenth)] if tenth else []
    by_progress = [total - elapsed for total in totals if total > least]
    if min(len(by_history), len(by_progress)) >= COMPARABLE:
        return min(by_history, by_progress, key=_width)
    # A few values are the rest of a distribution that this scan has outlived.
    most = max(by_progress, by_history, key=len)
    if len(most) < COMPARABLE and further:
        return [least * factor / median(further) - elapsed for factor in further]
    return most or _overdue(like)


def _overdue(like: Sequence[float]) -> Values:
    """It takes longer than any before: what the slower half had beyond the median."""
    middle = sorted(like)[len(like) // 2] if like else 0.0
    return [total - middle for total in like if total >= middle]


def _width(values: Values) -> float:
    ordered = sorted(values)
    margin = int(len(ordered) * (1 - MIDDLE) / 2)
    return ordered[-1 - margin] - ordered[margin]


@attrs.frozen(kw_only=True, eq=False)
class SimulatedScanner:
    """One scanner in the game: its own queue, the lines of the overflow queue that it
    serves, and the tasks in its slots with what each may still take."""

    scanner: PoolScanner
    own: QueueName
    shared: tuple[QueueName, ...]
    running: tuple[tuple[str, Sequence[float]], ...]


@attrs.define(kw_only=True, eq=False)
class SimulationRun:
    """How one future went, in seconds from now: when the running tasks end, when slots
    became free and on which scanner (in order), and when the entries of each queue start.
    The game is over when every queue is empty, or after `HORIZON` starts."""

    ends: dict[str, float] = attrs.field(factory=dict)
    freed: list[tuple[float, str]] = attrs.field(factory=list)
    later: list[tuple[float, str]] = attrs.field(factory=list)
    """What was still to be freed at the end of the game, in no order."""
    starts: dict[str, float] = attrs.field(factory=dict)
    served: dict[QueueName, list[float]]


class Forecast:
    """The usable scanners of one pool, and the first_ready of the queues they serve.

    `blind` when of some running scan nothing is known: then only what can start at once
    has a known start.
    """

    def __init__(self, state: PoolState, durations: Durations, pool: str, now: float) -> None:
        self._state = state
        self._durations = durations
        self.now = now
        self._likes: dict[tuple[object, ...], Sequence[float]] = {}
        self._lines: dict[QueueName, list[Waiting]] = {}
        scanners = [
            each for each in state.scanners.values() if each.usable and each.spec.pool == pool
        ]
        self._tracks = [self._track(scanner) for scanner in scanners]
        self._waiting = sum(map(len, self._lines.values()))
        running = [values for track in self._tracks for _, values in track.running]
        self.blind = not all(running)
        # The same state must give the same estimates, so the seed is fixed.
        random = Random(0)  # noqa: S311 - nothing secret
        self._rounds = [self._play(random) for _ in range(ROUNDS)]

    def starts(self, waiting: Waiting) -> list[float]:
        """When it starts, in seconds from now, in each round; infinite when not known."""
        found = [self._start(waiting, played) for played in self._rounds]
        return [math.inf if self.blind and start > 0 else start for start in found]

    def reaches(self, waiting: Waiting) -> bool:
        """Whether its start was played through, or is known from what was; that of an entry
        far behind in its queue is only extrapolated."""
        rank, name = self._state.queues.rank(waiting), waiting.queue_name
        return waiting.parked_on is not None or any(
            rank < len(played.served.get(name, ())) + BASE for played in self._rounds
        )

    def _track(self, scanner: PoolScanner) -> SimulatedScanner:
        lines = self._state.queues.first_ready(scanner.scanner_id, HORIZON)
        self._lines.update(lines)
        own, *shared = lines
        running = []
        for task_id in scanner.slots.borrowers():
            active = self._state.active[task_id]
            like = self._like(active.entry, scanner.scanner_id)
            values = remaining(active, self._durations, like, self.now)
            running.append((task_id, values))
        return SimulatedScanner(
            scanner=scanner, own=own, shared=tuple(shared), running=tuple(running)
        )

    def _like(self, entry: QueueEntry, scanner_id: str) -> Sequence[float]:
        key = (entry.kind, entry.packed.address_count.bit_length(), scanner_id)
        if key not in self._likes:
            self._likes[key] = tuple(self._durations.like(entry, scanner_id))
        return self._likes[key]

    def _play(self, random: Random) -> SimulationRun:
        played = SimulationRun(served={name: [] for name in self._lines})
        slots = [
            (free_at, number)
            for number, track in enumerate(self._tracks)
            for free_at in self._slots(track, played, random)
        ]
        heapq.heapify(slots)
        last = min(HORIZON, self._waiting)
        while slots and len(played.starts) < last:
            at, number = heapq.heappop(slots)
            track = self._tracks[number]
            played.freed.append((at, track.scanner.scanner_id))
            name = self._next(track, played)
            if name is None or at == math.inf:
                continue
            entry = self._lines[name][len(played.served[name])].entry
            played.served[name].append(at)
            played.starts[entry.task_id] = at
            took = _draw(self._like(entry, track.scanner.scanner_id), random)
            heapq.heappush(slots, (at + took, number))
        played.later = [(at, self._tracks[number].scanner.scanner_id) for at, number in slots]
        return played

    def _slots(self, track: SimulatedScanner, played: SimulationRun, random: Random) -> list[float]:
        """When each slot becomes free. Of more scans than slots the first to end leave none."""
        for task_id, values in track.running:
            played.ends[task_id] = _draw(values, random)
        ends = sorted(played.ends[task_id] for task_id, _ in track.running)
        capacity = track.scanner.slots.capacity
        free = [0.0] * (capacity - len(ends)) + ends[max(0, len(ends) - capacity) :]
        scanner = track.scanner
        held = max(0.0, scanner.hold_until - self.now)
        if held and scanner.hold_at_latest:
            held = math.inf
        return [max(end, held) for end in free]

    def _next(self, track: SimulatedScanner, played: SimulationRun) -> QueueName | None:
        """The queue that is served next, chosen as `Queues.head_for` does."""
        own = self._head(track.own, played)
        heads = ((self._head(name, played), name) for name in track.shared)
        best = min(((key, name) for key, name in heads if key), default=None, key=itemgetter(0))
        if best is None:
            return track.own if own else None
        if own is None or own[0] - best[0][0] > self._state.queues.fairness_after:
            return best[1]
        return track.own

    def _head(self, name: QueueName, played: SimulationRun) -> Key | None:
        line, served = self._lines[name], len(played.served[name])
        return line[served].key if served < len(line) else None

    def _start(self, waiting: Waiting, played: SimulationRun) -> float:
        if waiting.parked_on is not None:
            return self._start_after(waiting, waiting.parked_on, played)
        found = played.starts.get(waiting.entry.task_id)
        return self._extrapolated(waiting, played) if found is None else found

    def _start_after(self, waiting: Waiting, blocker: str, played: SimulationRun) -> float:
        """A parked entry goes back to its old place when its blocker ends, and gets that
        slot or the next."""
        end = played.ends.get(blocker, math.inf)
        if end == math.inf or self._state.active[blocker].scanner_id in waiting.reach:
            return end
        later = [*played.freed[bisect_left(played.freed, (end, "")) :], *sorted(played.later)]
        return next((at for at, name in later if at >= end and name in waiting.reach), end)

    def _extrapolated(self, waiting: Waiting, played: SimulationRun) -> float:
        """Its queue continues at the pace that it had in the latter half of the game."""
        served = played.served.get(waiting.queue_name, [])
        if len(served) < BASE:
            return math.inf
        middle = len(served) // 2
        pace = (served[-1] - served[middle]) / (len(served) - 1 - middle)
        return served[-1] + pace * (self._state.queues.rank(waiting) - len(served) + 1)


def _draw(values: Sequence[float], random: Random) -> float:
    return values[int(random.random() * len(values))] if values else math.inf
