"""Decides about the firings of a schedule that are due: one task, or skipped, and why."""

from __future__ import annotations

import math
from typing import Final

import attrs

from nessus_sched.core.calendar.schedule import Firing, FiringOutcome, Missed, Overlap, Schedule
from nessus_sched.core.text import lasting, pluralize

PUNCTUAL: Final = 120.0
"""Seconds: a firing that is later than this was missed."""
SET_BACK: Final = 60.0
"""Seconds: a clock that was set back by more than this makes firings due again that were decided
too early; those that have submitted a task are not repeated."""
_COUNTED: Final = 1000
"""Firings that were due before the latest and are counted one by one."""
_RECENT: Final = 2 * 86400.0


@attrs.frozen(kw_only=True)
class Decision:
    """`schedule` as it is to be stored, with the firings that were `skipped`. `fire` is the
    nominal time for which to submit a task now; `late` says why it is late. `replace`: cancel the
    last task first."""

    schedule: Schedule
    skipped: tuple[Firing, ...] = ()
    fire: float | None = None
    late: str = ""
    replace: bool = False

    def skip(self, nominal: float, now: float, reason: str) -> Decision:
        firing = Firing(nominal=nominal, at=now, outcome=FiringOutcome.SKIPPED, reason=reason)
        return attrs.evolve(
            self,
            schedule=self.schedule.with_firing(firing),
            skipped=(*self.skipped, firing),
        )


def is_due(schedule: Schedule, now: float) -> bool:
    """Whether there may be something to decide: cheap, and false most of the time."""
    if not schedule.zone_known:
        return False
    due = schedule.next_due
    return schedule.pending is not None or now < schedule.decided or (due or math.inf) <= now


def decide(schedule: Schedule, now: float, *, unfinished: bool) -> Decision | None:
    """What to do now (epoch seconds); None if nothing is to be done. `unfinished`: the task of
    the latest firing has not ended."""
    if now < schedule.decided - SET_BACK:
        return Decision(schedule=attrs.evolve(schedule, decided=now))
    if schedule.paused or schedule.used_up:
        return None
    due, earlier = _due(schedule, now)
    if due is None:
        return None if unfinished else _pending(schedule, now)
    decision = Decision(schedule=attrs.evolve(schedule, decided=due))
    if earlier:
        count = pluralize(earlier, "earlier firing")
        decision = decision.skip(due, now, f"{count} missed: nothing could fire in time")
    if schedule.skip_next:
        rest = attrs.evolve(decision.schedule, skip_next=schedule.skip_next - 1)
        return attrs.evolve(decision, schedule=rest).skip(due, now, "skipped on request")
    late = now - due - schedule.delay
    if late > PUNCTUAL:
        why = f"missed by {lasting(late)}: nothing could fire in time"
        if schedule.missed is Missed.SKIP or late > schedule.catch_up:
            return decision.skip(due, now, why)
        decision = attrs.evolve(decision, late=why)
    if unfinished:
        return _overlapping(decision, due, now)
    return attrs.evolve(decision, fire=due)


def _overlapping(decision: Decision, due: float, now: float) -> Decision:
    schedule = decision.schedule
    if schedule.overlap is Overlap.REPLACE:
        return attrs.evolve(decision, fire=due, replace=True)
    reason = f"the previous task, {schedule.last_task}, has not ended"
    if schedule.overlap is Overlap.QUEUE_ONE:
        before = schedule.pending
        decision = attrs.evolve(decision, schedule=attrs.evolve(schedule, pending=due))
        return decision if before is None else decision.skip(before, now, reason)
    more = attrs.evolve(schedule, skipped_in_row=schedule.skipped_in_row + 1)
    return attrs.evolve(decision, schedule=more).skip(due, now, reason)


def _pending(schedule: Schedule, now: float) -> Decision | None:
    """A firing that waited for the task before, which has ended. It may be later than
    `catch_up`: it waited on purpose."""
    if schedule.pending is None:
        return None
    late = f"waited {lasting(now - schedule.pending)} for the previous task to end"
    decision = Decision(schedule=attrs.evolve(schedule, pending=None))
    return attrs.evolve(decision, fire=schedule.pending, late=late)


def _due(schedule: Schedule, now: float) -> tuple[float | None, int]:
    """The latest firing that is due, and how many were due before it."""
    latest, count, begin = None, 0, schedule.decided
    while True:
        for nominal in schedule.recurrence.after(begin):
            if nominal + schedule.delay > now or _is_over(schedule, nominal):
                return latest, max(count - 1, 0)
            if not schedule.has_fired(nominal):
                latest, count = nominal, count + 1
            if count and count % _COUNTED == 0 and nominal < now - _RECENT:
                begin = now - _RECENT  # the count gets inexact; what is due stays exact
                break
        else:
            return latest, max(count - 1, 0)


def _is_over(schedule: Schedule, nominal: float) -> bool:
    return schedule.until is not None and nominal > schedule.until
