"""When waiting tasks will start: a median with an 80 % interval, or nothing.

Of the start times in many played-through futures (`core.forecast`), each as likely as the
others, the middle one is the estimate and the middle 80 % the interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from nessus_sched.core.pool.durations import Durations
from nessus_sched.core.pool.forecast import Forecast
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.state import PoolState
from nessus_sched.core.pool.wait_reasons import WaitCode, WaitReason

TAIL: Final = 4
"""With 39 rounds, the next value lies between the 4th from either end 32 times in 40."""


FRESH: Final = 1.0
"""Seconds for which a forecast serves entries far behind in a queue. To play it through
takes some 20 ms on a large fleet, which many submissions at once must not cost each."""


@attrs.frozen(kw_only=True)
class Estimate:
    """Seconds from now until the start: the median, and an 80 % interval around it."""

    seconds: float
    low: float
    high: float


AT_ONCE: Final = Estimate(seconds=0.0, low=0.0, high=0.0)


def estimates(
    state: PoolState,
    durations: Durations,
    waiting: Iterable[Waiting],
    reasons: Mapping[str, WaitReason],
    now: float,
    kept: dict[str, Forecast],
) -> dict[str, Estimate]:
    """The estimates of waiting tasks, by task id; without those for which too little is known.
    Ask for a whole listing at once: all tasks of a pool share the work. `reasons` says why each
    of them waits. `kept` has the last forecast of each pool, by name."""
    found: dict[str, Estimate] = {}
    asked: dict[str, list[Waiting]] = {}
    for each in waiting:
        if reasons[each.entry.task_id].code is WaitCode.STARTING:
            found[each.entry.task_id] = AT_ONCE
            continue
        if reasons[each.entry.task_id].code is WaitCode.WINDOW:
            continue  # it may wait for days, whatever the slots do
        pools = {scanner.spec.pool for scanner in state.scanners_of(each.reach) if scanner.usable}
        if len(pools) == 1 and not state.paused:
            asked.setdefault(pools.pop(), []).append(each)
    for pool, entries in asked.items():
        forecast = kept.get(pool)
        if forecast is None or now - forecast.now > FRESH or any(map(forecast.reaches, entries)):
            forecast = kept[pool] = Forecast(state, durations, pool, now)
        for each in entries:
            estimate = summary(forecast.starts(each))
            if estimate is not None:
                found[each.entry.task_id] = estimate
    return found


def summary(values: Iterable[float]) -> Estimate | None:
    """None when too many values are infinite, that is, unknown."""
    ordered = sorted(values)
    low, high = ordered[TAIL - 1], ordered[-TAIL]
    if high == math.inf:
        return None
    return Estimate(seconds=ordered[len(ordered) // 2], low=low, high=high)
