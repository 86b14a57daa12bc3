"""Questions about the pool that change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nessus_sched.core.calendar.timetable import Timetable
from nessus_sched.core.pool.breaker import BreakerStatistics
from nessus_sched.core.pool.entry import PRIORITY_DELAY_STEPS, QueueEntry
from nessus_sched.core.pool.estimates import Estimate, estimates
from nessus_sched.core.pool.explain import explain, refusal
from nessus_sched.core.pool.forecast import Forecast
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.state import Active, PoolState
from nessus_sched.core.pool.statistics import PoolStatistics, snapshot
from nessus_sched.core.pool.stragglers import Straggler, StragglerLimits, straggler
from nessus_sched.core.pool.wait_reasons import WaitReason
from nessus_sched.core.suspension import SuspensionStatistics
from nessus_sched.core.targets.ranges import Ranges


class PoolQueries:
    """What `Pool` can be asked; methods that change it are there."""

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self.durations = state.durations
        self._forecasts: dict[str, Forecast] = {}

    @property
    def timetable(self) -> Timetable:
        """The windows and blackouts."""
        return self._state.timetable

    def refusal(self, entry: QueueEntry) -> WaitReason | None:
        """Why this could never run with the present configuration; None when it could."""
        return refusal(self._state, entry)

    def suspension(self, scanner_id: str) -> SuspensionStatistics | None:
        """None while it is not suspended."""
        return self._state.scanner(scanner_id).suspension.statistics()

    def breaker(self, scanner_id: str) -> BreakerStatistics:
        return self._state.scanner(scanner_id).breaker.statistics()

    def deadline(self, scanner_id: str, now: float) -> float | None:
        """When that scanner's driver has to look again by itself, or None: a hold ends
        (then `take`) or a probe is due (then `begin_probe`)."""
        return self._state.scanner(scanner_id).deadline(now)

    def wanted(self, scanner_id: str, now: float) -> bool:
        """Whether `take` would find a slot and a task to look at."""
        free = not self._state.paused and self._state.scanner(scanner_id).free(now) > 0
        return free and self._state.queues.head_for(scanner_id) is not None

    def scanners(self) -> list[str]:
        """Also those that were removed and still run something or are waited for."""
        return list(self._state.scanners)

    def waiting(self, task_id: str) -> bool:
        return task_id in self._state.queues

    def work_for(self, scanner_id: str) -> bool:
        """Whether something waits that the scanner would take if it had a free slot."""
        return self._state.queues.work_for(scanner_id)

    def active(self, task_id: str) -> Active | None:
        return self._state.active.get(task_id)

    def queue_of(self, task_id: str) -> str | None:
        """The scanner in whose queue it waits, None for the overflow queue."""
        return self._waiting(task_id).scanner_id

    def position(self, task_id: str) -> int:
        """Place in its queue from 1. Raises `KeyError` when it does not wait."""
        return self._state.queues.position(self._waiting(task_id))

    def wait_reason(self, task_id: str, now: float) -> WaitReason:
        """Raises `KeyError` when it does not wait."""
        return explain(self._state, self._waiting(task_id), now)

    def estimate(self, task_id: str, now: float) -> Estimate | None:
        """When it will start; None when nothing is known. Raises `KeyError` when it does
        not wait."""
        reasons = {task_id: self.wait_reason(task_id, now)}
        return self.estimates(reasons, now).get(task_id)

    def wait_reasons(self, task_ids: Iterable[str], now: float) -> dict[str, WaitReason]:
        """Of those that wait. With long lists of targets, a reason takes about a millisecond."""
        waiting = [task_id for task_id in task_ids if task_id in self._state.queues]
        return {task_id: self.wait_reason(task_id, now) for task_id in waiting}

    def estimates(self, reasons: Mapping[str, WaitReason], now: float) -> dict[str, Estimate]:
        """For tasks with a known estimate. `reasons` is the result of `wait_reasons` at the same
        moment. One call for a whole listing costs little more than for one task."""
        waiting = [self._waiting(task_id) for task_id in reasons]
        return estimates(self._state, self.durations, waiting, reasons, now, self._forecasts)

    def statistics(self, now: float) -> PoolStatistics:
        return snapshot(self._state, now)

    def _waiting(self, task_id: str) -> Waiting:
        waiting = self._state.queues.get(task_id)
        if waiting is None:
            raise KeyError(task_id)
        return waiting

    def networks(self, pool: str) -> Mapping[str, Ranges | None]:
        """What each scanner of a pool reaches; None for everything."""
        specs = [each.spec for each in self._state.scanners.values() if not each.removed]
        return {
            spec.scanner_id: None if spec.networks is None else spec.networks.ranges
            for spec in specs
            if spec.pool == pool
        }

    def due(self, entry: QueueEntry, accepted_at: float) -> float:
        """Its place in a queue if it is accepted then; lower ones go first."""
        return accepted_at + PRIORITY_DELAY_STEPS[entry.priority] * self._state.queues.ageing_after

    def reach(self, entry: QueueEntry) -> Sequence[str]:
        """The scanners that could ever run it."""
        return sorted(self._state.reachability.reach(entry))

    def usable(self, entry: QueueEntry) -> Sequence[str]:
        """The scanners that may run it as soon as they have a free slot."""
        return [each.scanner_id for each in self._usable(entry)]

    def pace(self, entry: QueueEntry, scanner_id: str | None = None) -> float | None:
        """Seconds per address of like scans, on that scanner or on an average one; None when
        nothing is known."""
        pace = self.durations.per_address(entry)
        return None if pace is None else pace * self._slowness(entry, scanner_id)

    def slots_for(self, entry: QueueEntry, scanner_id: str | None = None) -> float:
        """How many scans could run at once on the usable scanners that may run it, counted in
        slots of that scanner or of an average one."""
        own = self._slowness(entry, scanner_id)
        return sum(
            each.slots.capacity * own / self._slowness(entry, each.scanner_id)
            for each in self._usable(entry)
        )

    def fastest(self, entry: QueueEntry) -> str | None:
        """The fastest of the usable scanners that may run it, as measured."""
        found = [each.scanner_id for each in self._usable(entry)]
        return min(found, key=lambda each: self._slowness(entry, each), default=None)

    def fitting(self, entry: QueueEntry, scanner_id: str, now: float) -> int:
        """See `PoolState.fitting`."""
        return self._state.fitting(entry, scanner_id, now)

    def straggler(
        self, task_ids: Iterable[str], limits: StragglerLimits, now: float
    ) -> Straggler | None:
        """See `stragglers.straggler`."""
        return straggler(self._state, self.durations, task_ids, limits, now)

    def _usable(self, entry: QueueEntry) -> list[PoolScanner]:
        found = self._state.scanners_of(self._state.reachability.reach(entry))
        return [each for each in found if each.usable]

    def _slowness(self, entry: QueueEntry, scanner_id: str | None) -> float:
        return 1.0 if scanner_id is None else self.durations.slowness(entry.kind, scanner_id)
