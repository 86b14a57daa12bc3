"""What the scheduler's brain knows of a waiting task: little, there may be 100,000."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from nessus_sched.core.targets.packed import PackedTargets, pack
from nessus_sched.core.targets.targets import TargetSet, targets_from
from nessus_sched.core.task import DEFAULT_POOL, Priority, ScanKind, Task

PRIORITY_DELAY_STEPS: Mapping[Priority, int] = MappingProxyType(
    {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}
)
"""How many times `ageing_after` an entry must have waited to be equal to a high one."""


@attrs.frozen(kw_only=True)
class QueueEntry:
    """A task as queues, routing and the overlap guard see it.

    `order` is its place in the order of acceptance, unique; `accepted_at` (epoch seconds)
    is when it was accepted, and stays when it is queued again after a failed attempt;
    `pinned` is the scanner that its submitter named, `refused_by` are those that have refused
    it.
    """

    task_id: str
    order: int
    accepted_at: float
    kind: ScanKind
    packed: PackedTargets = attrs.field(alias="targets", converter=pack)
    priority: Priority = Priority.NORMAL
    pool: str = DEFAULT_POOL
    pinned: str | None = None
    refused_by: tuple[str, ...] = ()
    between: str | None = None
    """The hours that the submitter wants, as in the request."""
    hosts: int = 0
    """For a part of a split task: how many targets of the whole task its scanners may get."""
    least: int = 0
    """For a part that is not stored yet: it may be cut down to this many targets when it starts;
    0 for everything else."""

    @property
    def targets(self) -> TargetSet:
        """Unpacked at each use: keep it no longer than needed."""
        return self.packed.unpack()


def targets_of(task: Task) -> PackedTargets:
    """The targets of a task with the addresses of its names; takes some 6 ms for 4,096."""
    return pack(targets_from((*task.to_scan, *task.resolved)))


def queue_entry(
    task: Task,
    *,
    accepted_at: float | None = None,
    targets: TargetSet | PackedTargets | None = None,
) -> QueueEntry:
    """The little that queues, routing and the overlap guard need of a task.

    `accepted_at` is by the clock of the queues. `targets` is `targets_of(task)`, for callers
    that have parsed them already.
    """
    request = task.request
    return QueueEntry(
        task_id=task.task_id,
        order=task.order,
        accepted_at=task.created_at if accepted_at is None else accepted_at,
        kind=request.kind,
        targets=targets or targets_of(task),
        priority=request.priority,
        pool=request.pool,
        pinned=request.scanner_instance,
        refused_by=task.refused_by,
        between=request.between,
        hosts=0 if task.part is None else task.part.hosts,
    )
