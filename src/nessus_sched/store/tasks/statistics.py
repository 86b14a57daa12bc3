"""What the store has counted and measured."""

from __future__ import annotations

import attrs

from nessus_sched.core.states import TaskState
from nessus_sched.core.task_store import StoreHealth


@attrs.frozen(kw_only=True)
class WriterStatistics:
    """`commits` batches with `requests` changes since the start, `failures` batches that could
    not be stored, `waiting` changes not started; latencies of recent commits in seconds."""

    commits: int
    requests: int
    failures: int
    waiting: int
    largest_batch: int
    commit_p50: float
    commit_p99: float
    commit_max: float


@attrs.frozen(kw_only=True)
class StoreStatistics:
    """A snapshot: sizes in bytes, `counts` of stored tasks by state."""

    health: StoreHealth
    writer: WriterStatistics
    counts: dict[TaskState, int]
    database_bytes: int
    wal_bytes: int
