"""What the status page shows: a frozen picture, put together by the daemon."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from nessus_sched.core.pool.statistics import PoolStatistics
from nessus_sched.core.task import Task
from nessus_sched.scheduler.views import ScannerView, TaskView
from nessus_sched.telemetry.health import Health


@attrs.frozen(kw_only=True)
class Overview:
    """`at` is now (epoch seconds); `waiting` are the first in the order of acceptance,
    `ended` the latest, newest first."""

    at: float
    version: str
    health: Health
    pool: PoolStatistics
    scanners: Sequence[ScannerView]
    active: Sequence[TaskView]
    waiting: Sequence[TaskView]
    ended: Sequence[Task]
    dead_letters: int
    clients: int
