"""Collects what the status page shows."""

from __future__ import annotations

import math
from typing import Final

from nessus_sched import __version__
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.daemon.health import HealthCheck
from nessus_sched.daemon.system import System
from nessus_sched.http.status_page import Overview

WAITING: Final = 10
ENDED: Final = 15
SCHEDULES: Final = 10
_LOOKED_AT: Final = 60
"""Tasks considered, of those accepted last, so that those that finished last are among them."""


async def take_overview(system: System, check: HealthCheck) -> Overview:
    queries = system.queries
    page = await queries.tasks(TaskFilter(states=SETTLED), limit=_LOOKED_AT)
    # Estimates are slow, and the page reloads often.
    waiting = await queries.waiting(limit=WAITING, estimated=False)
    return Overview(
        at=system.context.wall(),
        version=__version__,
        health=check.health(),
        pool=queries.statistics(),
        scanners=queries.scanners(),
        active=queries.active(),
        waiting=waiting,
        ended=sorted(page.tasks, key=_ended_at, reverse=True)[:ENDED],
        dead_letters=system.context.store.counts()[TaskState.DEAD],
        clients=system.connections.statistics().connected,
        schedules=sorted(system.schedules.all(), key=_due_at)[:SCHEDULES],
        plan=await system.planner.recent(),
    )


def _ended_at(task: Task) -> float:
    return task.entered.get(task.state, task.created_at)


def _due_at(schedule: Schedule) -> float:
    return math.inf if schedule.next_due is None else schedule.next_due
