"""Views of tasks and scanners with their current status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.pool.estimates import Estimate
from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.pool.statistics import PoolStatistics, ScannerStatistics
from nessus_sched.core.pool.wait_reasons import WaitReason
from nessus_sched.core.scanner import ScannerInfo, Unreachable
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import Ranges
from nessus_sched.core.task import Task
from nessus_sched.scheduler.context import Drain


@attrs.frozen(kw_only=True)
class QueueStatus:
    """Where a waiting task is. `queue` is a scanner's id, `overflow`, or None when it is in
    no queue; `position` counts from 1."""

    queue: str | None = None
    position: int | None = None
    estimate: Estimate | None = None
    wait_reason: WaitReason | None = None


@attrs.frozen(kw_only=True)
class TaskView:
    """A task with its standing. `progress` is 0..100, None when nothing is known. The task's
    `scanner_instance` is, while it waits, the scanner whose queue it is in now."""

    task: Task
    standing: QueueStatus
    progress: int | None = None
    parts: Mapping[TaskState, int] = attrs.field(factory=dict)
    """Of a split task: how many of its parts are in each state."""


@attrs.frozen(kw_only=True)
class PlannedGroup:
    """Targets that the same scanners reach: how many, about how many parts they make by what is
    known now, and about how long one takes (seconds, None when not known)."""

    scanners: Sequence[str]
    size: int
    parts: int
    seconds: float | None


@attrs.frozen(kw_only=True)
class Submission:
    """The answer to a request: `created` is False when its idempotency key had the task
    already, and for a dry run, which creates nothing. `equal_task` is an unfinished task that
    asks for the same scan; `left_out` are addresses that were asked for and are not scanned,
    because they are denied or excluded."""

    view: TaskView
    created: bool
    dry_run: bool = False
    equal_task: str | None = None
    left_out: Ranges = ()
    plan: Sequence[PlannedGroup] = ()
    """For a task that is split into parts."""


@attrs.frozen(kw_only=True)
class ScannerView:
    """A scanner: what the operator said of it, what the pool counts, what it says itself.

    `trouble` says why it cannot be used now, None when the latest exchange was fine, and
    `trouble_kind` the same as a stable code; `since` is when that last changed,
    `reached_at` when it last answered (epoch seconds). `owed` is the number of abandoned scans
    that remain to be cleaned up there, `drain` when an operator wants it to be drained.
    """

    settings: ScannerSettings
    statistics: ScannerStatistics
    info: ScannerInfo | None
    trouble: str | None
    trouble_kind: str | None
    since: float
    reached_at: float | None
    owed: int = 0
    drain: Drain | None = None


def nobody_answers(scanners: Sequence[ScannerView]) -> bool:
    """Whether no scanner that is enabled answers."""
    kinds = [each.trouble_kind for each in scanners if each.statistics.enabled]
    return bool(kinds) and set(kinds) == {Unreachable.kind}


def dated(statistics: PoolStatistics, shown: Callable[[float], float]) -> PoolStatistics:
    """The same, with the pool's moments turned by `shown` into such as people are shown."""

    def maybe(moment: float | None) -> float | None:
        return None if moment is None else shown(moment)

    def queue(each: QueueStatistics) -> QueueStatistics:
        return attrs.evolve(each, oldest=maybe(each.oldest))

    def scanner(each: ScannerStatistics) -> ScannerStatistics:
        breaker = attrs.evolve(
            each.breaker,
            opened_at=maybe(each.breaker.opened_at),
            probe_at=maybe(each.breaker.probe_at),
        )
        suspension = each.suspension and attrs.evolve(
            each.suspension,
            since=shown(each.suspension.since),
            probe_at=maybe(each.suspension.probe_at),
        )
        return attrs.evolve(
            each,
            queue=queue(each.queue),
            breaker=breaker,
            suspension=suspension,
            held_until=maybe(each.held_until),
        )

    return attrs.evolve(
        statistics,
        overflow=queue(statistics.overflow),
        scanners=tuple(map(scanner, statistics.scanners)),
    )
