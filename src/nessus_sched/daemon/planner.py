"""The plan for those who look often: made at most once a minute, and only while somebody looks."""

from __future__ import annotations

import math
from typing import Final

import structlog
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.plan import Plan, plan_until
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.telemetry import events

EVERY: Final = 60.0
"""Seconds between two plans."""
OLDEST: Final = 3 * EVERY
"""Seconds after which a plan is not shown."""
PATIENCE: Final = 0.5
"""Seconds to wait for a plan when there is none to show."""
_HORIZON: Final = 24 * 3600.0
_WAITING: Final = 200

log = structlog.get_logger("scheduler")


class Planner:
    def __init__(self, context: Context, queries: TaskQueries, schedules: Schedules) -> None:
        self._context = context
        self._queries = queries
        self._schedules = schedules
        self._latest: Plan | None = None
        self._made_at = -math.inf
        self._wanted = trio.Event()
        self._made = trio.Event()

    @property
    def anything(self) -> bool:
        """Whether there are schedules, windows or blackouts."""
        return bool(self._schedules.all() or self._context.pool.timetable.rules)

    async def make(self, horizon: float) -> Plan:
        """A plan for the next `horizon` seconds. Raises `StoreUnavailable`."""
        queries = self._queries
        waiting = await queries.waiting(limit=_WAITING, estimated=False)
        return await plan_until(
            self._context,
            self._schedules.all(),
            [view.task for view in waiting],
            self._context.wall() + horizon,
            [view.task for view in queries.active()],
        )

    async def run(self) -> None:
        """Makes plans for `recent` until canceled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            try:
                self._latest = await self.make(_HORIZON)
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
            else:
                self._made_at = self._context.now()
                self._made.set()
                self._made = trio.Event()
            await trio.sleep(EVERY)

    async def recent(self) -> Plan | None:
        """A plan of the coming day, about a minute old; None if there is none yet."""
        age = self._context.now() - self._made_at
        if age < EVERY:
            return self._latest
        self._wanted.set()
        if age < OLDEST:
            return self._latest
        with trio.move_on_after(PATIENCE):
            await self._made.wait()
            return self._latest
        return None
