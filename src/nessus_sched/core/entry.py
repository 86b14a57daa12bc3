"""What the scheduler's brain knows of a waiting task: little, there may be 100,000."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from nessus_sched.core.targets import TargetSet
from nessus_sched.core.task import DEFAULT_POOL, Priority, ScanKind

HANDICAP: Mapping[Priority, int] = MappingProxyType(
    {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}
)
"""How many times `ageing_after` an entry must have waited to be equal to a high one."""


@attrs.frozen(kw_only=True)
class QueueEntry:
    """A task as queues, routing and the overlap guard see it.

    `order` is its place in the order of acceptance, unique; `accepted_at` (epoch seconds)
    is when it was accepted, and stays when it is queued again after a failed attempt;
    `pinned` is the scanner that its submitter named.
    """

    task_id: str
    order: int
    accepted_at: float
    kind: ScanKind
    targets: TargetSet
    priority: Priority = Priority.NORMAL
    pool: str = DEFAULT_POOL
    pinned: str | None = None
