"""A schedule: a stored request with a calendar, and what became of its firings."""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum
from functools import cached_property
from typing import Final

import attrs

from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.second_tries import RetryAbsent, SecondTries
from nessus_sched.core.calendar.zones import is_known
from nessus_sched.core.task import ScanRequest, Submitter, Task

SKIPPED_OFTEN: Final = 3
"""Firings in a row that were skipped because the task before had not ended: the interval is too
short."""
KEPT_FIRINGS: Final = 20
"""Of each schedule; the journal has them all."""


class Missed(StrEnum):
    """What is done about a firing that could not take place in time."""

    ONCE = "once"
    """Fire once, late, if it is not too late."""
    SKIP = "skip"


class Overlap(StrEnum):
    """What is done at a firing when the scan of the one before has not ended."""

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    """Fire when it has ended; only the latest such firing."""
    REPLACE = "replace"
    """Cancel the scan before."""


class FiringOutcome(StrEnum):
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    FAILED = "failed"
    """The request was refused."""


@attrs.frozen(kw_only=True)
class Firing:
    """What became of a firing. `nominal` is when it was due, `at` when this was decided (epoch
    seconds). `reason` is a sentence for all but an ordinary submission."""

    nominal: float
    at: float
    outcome: FiringOutcome
    task_id: str | None = None
    reason: str = ""


@attrs.frozen(kw_only=True)
class Schedule:
    """`actor` and `submitter` created it: its tasks are theirs. `jitter` (seconds) delays all of
    its firings by the same amount, which follows from the id. `catch_up`: how many seconds late a
    missed firing may be. It ends after `until` (epoch seconds) or `max_firings` tasks.
    """

    schedule_id: str
    name: str
    recurrence: Recurrence
    request: ScanRequest
    actor: str
    submitter: Submitter | None = None
    created_at: float
    missed: Missed = Missed.ONCE
    catch_up: float
    overlap: Overlap = Overlap.SKIP
    jitter: float = 0.0
    until: float | None = None
    max_firings: int | None = None
    retry_absent: RetryAbsent | None = None
    paused: bool = False
    skip_next: int = 0
    """How many of the next firings to skip."""
    decided: float
    """What was due up to this moment is decided (epoch seconds)."""
    pending: float | None = None
    """A firing that waits for the scan before to end."""
    last_task: str | None = None
    fired: int = 0
    """How many tasks it has submitted."""
    skipped_in_row: int = 0
    """How many firings were skipped since the last task because the scan before had not ended."""
    recent: tuple[Firing, ...] = ()
    """The latest, oldest first."""
    tries: SecondTries | None = None
    """Of the latest firing that submitted a task."""

    @property
    def template(self) -> Task:
        """A task as it would submit now, for questions about rights."""
        return Task(
            task_id="",
            trace_id="",
            request=self.request,
            actor=self.actor,
            submitter=self.submitter,
            created_at=self.created_at,
            order=0,
        )

    @property
    def delay(self) -> float:
        """Seconds by which its firings are late on purpose."""
        digest = hashlib.sha256(self.schedule_id.encode()).digest()
        return self.jitter * int.from_bytes(digest[:4], "big") / 2**32

    def next_firings(self, after: float, count: int, *, until: float = math.inf) -> list[float]:
        """The nominal times of the next firings, at most `count` and until then, without those to
        be skipped."""
        found: list[float] = []
        if self.paused:
            return found
        if not self.zone_known:
            return found
        left = count if self.max_firings is None else min(count, self.max_firings - self.fired)
        skipped = self.skip_next
        for nominal in self.recurrence.after(max(after, self.decided)):
            if len(found) >= left or nominal > min(until, self.until or math.inf):
                break
            if skipped:
                skipped -= 1
            elif not self.has_fired(nominal):
                found.append(nominal)
        return found

    @property
    def next_due(self) -> float | None:
        """When it is to be looked at next (epoch seconds), delay included."""
        if self.paused or self.ended:
            return None
        return None if self._next is None else self._next + self.delay

    @cached_property
    def _next(self) -> float | None:
        """The next nominal time; None also if the time zone is not known. To find one takes half a
        millisecond, and every schedule is looked at all the time."""
        nominal = self.recurrence.next_after(self.decided) if self.zone_known else None
        over = nominal is None or (self.until is not None and nominal > self.until)
        return None if over else nominal

    @property
    def ended(self) -> bool:
        """Whether it never fires again."""
        if self.used_up:
            return True
        return self._next is None and self.pending is None

    @property
    def used_up(self) -> bool:
        return self.max_firings is not None and self.fired >= self.max_firings

    @cached_property
    def zone_known(self) -> bool:
        """Whether it can fire: the store may be from a machine that knows other time zones."""
        return is_known(self.recurrence.zone)

    @property
    def trouble(self) -> str | None:
        """Why a person should look at it, if there is a reason."""
        if not self.zone_known:
            return f"its time zone {self.recurrence.zone!r} is not known on this machine"
        last = self.recent[-1] if self.recent else None
        if last is not None and last.outcome is FiringOutcome.FAILED:
            return f"its latest firing failed: {last.reason}"
        if self.skipped_in_row >= SKIPPED_OFTEN:
            return (
                f"{self.skipped_in_row} firings in a row were skipped, because task "
                f"{self.last_task} has not ended"
            )
        return None

    def has_fired(self, nominal: float) -> bool:
        """Whether the latest firings include a task for that time."""
        return any(
            firing.nominal == nominal and firing.outcome is FiringOutcome.SUBMITTED
            for firing in self.recent
        )

    def submitted(self, firing: Firing, *, count: int = 1) -> Schedule:
        """After a firing that has submitted a task. `count`: how many firings that is; 0 for one
        on request."""
        tries = None
        if self.retry_absent is not None and firing.task_id is not None:
            tries = SecondTries(nominal=firing.nominal, task_id=firing.task_id)
        return attrs.evolve(
            self,
            tries=tries,
            fired=self.fired + count,
            last_task=firing.task_id or self.last_task,
            skipped_in_row=0,
        ).with_firing(firing)

    def with_firing(self, firing: Firing) -> Schedule:
        return attrs.evolve(self, recent=(*self.recent, firing)[-KEPT_FIRINGS:])
