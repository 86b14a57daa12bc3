"""Measures plans: takes one every hour, and compares it with what happens.

The result of every night is journaled, and kept across restarts. What is still to happen is not:
after a restart, the next plan counts.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs
import structlog
import trio

from nessus_sched.core.calendar.accuracy import (
    NIGHTS,
    Followed,
    Side,
    Tally,
    night_of,
    restored,
    sentence,
    stored,
)
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.pool.outlook import key_of
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.daemon.planner import Planner
from nessus_sched.scheduler.context import Context
from nessus_sched.telemetry import events

EVERY: Final = 3600.0
"""Seconds between two plans."""
FIRST: Final = 300.0
"""Seconds until the first: scanners have to be reached."""
HORIZON: Final = 12 * 3600.0
SWITCH: Final = "plan_accuracy"
MEASURED: Final = "plan_measured"

log = structlog.get_logger("scheduler")


class Measured(Protocol):
    def __call__(self, side: Side, count: int, *, within: bool) -> None:
        """Counts starts or ends that were measured."""


class PlanAccuracy:
    def __init__(self, context: Context, planner: Planner, on_measured: Measured) -> None:
        self._context = context
        self._planner = planner
        self._on_measured = on_measured
        self._followed = Followed()
        self._nights: dict[str, Tally] = {}
        self._changed: set[str] = set()
        """What has changed while a plan was made, which does not know of it."""
        self._journaled = ""
        """The latest night that is in the journal."""
        context.observers.append(self._observe)

    def sentence(self) -> str | None:
        """How good the plans of the latest nights were; None when too little is known."""
        return sentence(self._nights[night] for night in sorted(self._nights)[-NIGHTS:])

    async def run(self) -> None:
        """Takes plans until canceled."""
        await self.restore()
        await trio.sleep(FIRST)
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
            await trio.sleep(EVERY)

    async def restore(self) -> None:
        """Reads what was measured before the restart."""
        try:
            switches = await self._context.store.switches()
        except StoreUnavailable as error:
            log.warning(events.STORE_UNAVAILABLE, reason=str(error))
            return
        before = restored(switches.get(SWITCH, "{}"))
        self._journaled = max(before, default="")
        self._nights = {**before, **self._nights}

    async def look(self) -> None:
        """Counts what did not happen in time, journals a night that is over, and takes a plan."""
        for side, count in self._followed.overdue(self._context.wall()).items():
            self._count(side, count, within=False)
        await self._journal()
        if self._planner.anything:
            self._changed.clear()
            plan = await self._planner.make(HORIZON)
            scans = [each for each in plan.scans if each.job.key not in self._changed]
            self._followed.note(scans, plan.until)

    async def _journal(self) -> None:
        tonight = self._night()
        over = [night for night in sorted(self._nights) if self._journaled < night < tonight]
        for night in over:
            entry = JournalEntry(
                at=self._context.wall(),
                event=MEASURED,
                detail={"night": night, **attrs.asdict(self._nights[night])},
            )
            known = {each: tally for each, tally in self._nights.items() if each <= night}
            await self._context.store.note(entry, switch=(SWITCH, stored(known)))
            self._journaled = night
        for night in sorted(self._nights)[:-NIGHTS]:
            del self._nights[night]

    def _observe(self, task: Task, entry: JournalEntry) -> None:
        if task.part is not None:
            return
        key, after = key_of(task), entry.after
        self._changed.add(key)
        if entry.event == "submitted":
            self._followed.submitted(key)
        elif after in (TaskState.LAUNCHING, TaskState.RUNNING):
            self._happened(key, Side.START, entry.at)
        elif after is TaskState.CANCELED:
            self._followed.forget(key)
        elif after in SETTLED:
            self._happened(key, Side.END, entry.at)

    def _happened(self, key: str, side: Side, moment: float) -> None:
        within = self._followed.happened(key, side, moment)
        if within is not None:
            self._count(side, 1, within=within)

    def _count(self, side: Side, count: int, *, within: bool) -> None:
        if count:
            night = self._night()
            before = self._nights.get(night, Tally())
            self._nights[night] = before.plus(side, within=within, count=count)
            self._on_measured(side, count, within=within)

    def _night(self) -> str:
        return night_of(self._context.wall(), self._context.config.calendar.time_zone)
