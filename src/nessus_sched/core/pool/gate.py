"""What may not start although a slot is free: the calendar, and limits on networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from nessus_sched.core.calendar.timetable import Timetable
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.network_limits import NetworkLimit, NetworkLimits
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.state import PoolState
from nessus_sched.core.pool.task_mover import TaskMover

RESUMED: Final = 10
"""Tasks of each queue that are looked at again when there is room in a network; more if they cannot
use it."""
_IN_NETWORK: Final = "network "
_UNTIL: Final = "calendar "
"""Begin the keys at which tasks are parked that wait for room in a network, or for a time."""


@attrs.define(kw_only=True, eq=False)
class Gate:
    """Tasks that it holds back are parked until what holds them back has changed."""

    state: PoolState
    mover: TaskMover
    on_hours: Callable[[], None] = lambda: None
    """Called when a task with hours of its own may wait for them or start."""

    def admits(self, scanner: PoolScanner, waiting: Waiting, now: float) -> bool:
        """Whether a task may start on a scanner. If it may on none, it is parked; if only not on
        this one, others may take it."""
        state, entry = self.state, waiting.entry
        if entry.between is not None:
            self.on_hours()
        limit = state.network_limits.full(entry.packed)
        if limit is not None:
            self.mover.defer(waiting, f"{_IN_NETWORK}{limit.name}", now)
            return False
        if state.has_time(entry, scanner.scanner_id, now):
            return True
        until = state.no_time_until(entry, now)
        if until is not None:
            self._defer(waiting, until, now)
            self.passed_over(entry, now)
        elif waiting.scanner_id is not None and entry.pinned is None:
            state.queues.move(waiting, None)
            self.mover.wake_all(now)
        return False

    def passed_over(self, entry: QueueEntry, now: float) -> None:
        """A task will not start now, for another reason: others may use the room in its
        networks."""
        limits = self.state.network_limits
        for limit in limits.of(entry.packed):
            if limits.running(limit) < limit.most:
                self._resume(f"{_IN_NETWORK}{limit.name}", now, most=1)

    def ended(self, task_id: str, now: float) -> None:
        """A scan has ended: there may be room in networks."""
        for limit in self.state.network_limits.end(task_id):
            self._resume(f"{_IN_NETWORK}{limit.name}", now, most=RESUMED)

    def set_network_limits(self, limits: Iterable[NetworkLimit], now: float) -> None:
        state = self.state
        before, state.network_limits = state.network_limits, NetworkLimits(limits)
        for task_id, active in state.active.items():
            state.network_limits.start(task_id, active.entry.packed)
        for limit in before.limits:
            self._resume(f"{_IN_NETWORK}{limit.name}", now)

    def set_timetable(
        self, timetable: Timetable, wall: Callable[[float], float], now: float
    ) -> None:
        """`wall` is the wall clock's time at a moment of this clock; to be called again when it
        is set."""
        self.state.timetable, self.state.wall = timetable, wall
        for key in list(self.state.deferred):
            del self.state.deferred[key]
            self._resume(key, now)
        self.look(now)

    def look(self, now: float) -> None:
        """Applies windows and blackouts as they are now; to be called at every change of them."""
        state, wall = self.state, self.state.wall(now)
        for scanner in list(state.scanners.values()):
            found = state.timetable.scanner(scanner.scanner_id, scanner.spec.pool, wall)
            closed = "" if found.allowed else found.text
            if closed != scanner.closed:
                scanner.closed = closed
                self.mover.changed(scanner, now)
        for key, until in list(state.deferred.items()):
            if until <= wall:
                del state.deferred[key]
                self._resume(key, now)
        self.mover.wake_all(now)

    @property
    def idle(self) -> bool:
        """Whether nothing that waits or runs goes by the wall clock."""
        state = self.state
        timed = state.timetable.rules or state.deferred
        return not timed and all(each.entry.between is None for each in state.active.values())

    @property
    def next_resume(self) -> float:
        """When a task that waits for its hours is looked at again, by the wall clock; inf if none
        does."""
        return min(self.state.deferred.values(), default=math.inf)

    def _defer(self, waiting: Waiting, until: float, now: float) -> None:
        """Parks a task until that time of the wall clock."""
        key = f"{_UNTIL}{until}"
        self.state.deferred[key] = until
        self.mover.defer(waiting, key, now)

    def _resume(self, key: str, now: float, *, most: int | None = None) -> None:
        self.mover.unpark(self.state.guard.resume(key, most=most), now)
