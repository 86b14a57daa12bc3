"""Operator actions on scanners and on the whole: journaled, and kept across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from nessus_sched.config.schema import Config
from nessus_sched.core.calendar.deadline import deadline_of
from nessus_sched.core.calendar.zones import BadCalendar
from nessus_sched.core.command import Command
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import HOLDS_SLOT
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import RequestedState
from nessus_sched.scheduler.admission.admit import unknown
from nessus_sched.scheduler.context import Context, Drain
from nessus_sched.scheduler.errors import RequestError, StoreDown, UnknownScanner
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.telemetry import events


class ScannerSwitch(StrEnum):
    DRAIN = "drain"
    """Finish what runs, start no more."""
    UNDRAIN = "undrain"
    ENABLE = "enable"
    DISABLE = "disable"
    RETRY = "retry"
    """Try a suspended or failing scanner now."""


class RunningScans(StrEnum):
    """What happens to running scans at a global pause."""

    KEEP = "keep"
    PAUSE = "pause"
    STOP = "stop"


CONFIGURATION = "configuration"
"""The actor of a change that follows from a new configuration."""
PAUSE_ALL = "pause_all"
RESUME_ALL = "resume_all"
GLOBAL_PAUSE = "everything"
"""The name under which a global pause is stored."""
DRAIN_PLANNED = "drain_planned"
DRAIN_WITHDRAWN = "drain_withdrawn"
TOOL_USED = "operator_tool_used"
DRAIN_AT = "drain_at"
"""With the scanner, the name under which a planned drain is stored."""
_SWITCHES = frozenset({"flow", "use", GLOBAL_PAUSE})
"""The names, with the scanner or without, under which the other actions are stored."""
DRAIN_SWITCHES = frozenset({ScannerSwitch.DRAIN, ScannerSwitch.UNDRAIN})


class OperatorControls:
    """Applies an operator's action to the pool after it is durable."""

    def __init__(self, context: Context, fleet: Fleet) -> None:
        self._context = context
        self._fleet = fleet

    async def switch(self, scanner_id: str, action: str, *, actor: str) -> None:
        """Raises `RequestError` for an unknown scanner or action."""
        self._check(scanner_id)
        if action not in set(ScannerSwitch):
            raise RequestError(
                unknown("action", action, list(ScannerSwitch)), code="unknown_action"
            )
        what = f"{'flow' if action in DRAIN_SWITCHES else 'use'}:{scanner_id}"
        detail = {"scanner_instance": scanner_id}
        if action == ScannerSwitch.RETRY:
            await self._note(action, actor, detail)
            self._fleet.drivers[scanner_id].retry()
        else:
            await self._note(action, actor, detail, what)
            self._apply(action, scanner_id)
        if action == ScannerSwitch.UNDRAIN and scanner_id in self._context.drains:
            await self._note(DRAIN_WITHDRAWN, actor, detail, f"{DRAIN_AT}:{scanner_id}")
            self._plan(scanner_id, None)

    async def plan_drain(
        self, scanner_id: str, begin: str | None, end: str | None, *, actor: str
    ) -> None:
        """Drains a scanner from `begin` (now, if None) to `end` (until someone ends it), written
        as deadlines are. Raises `RequestError`."""
        self._check(scanner_id)
        now, zone = self._context.wall(), self._context.config.calendar.time_zone
        try:
            start = now if begin is None else deadline_of(begin, zone, now)
            drain = Drain(start, None if end is None else deadline_of(end, zone, start))
        except BadCalendar as error:
            raise RequestError(str(error), code="bad_time") from error
        until = "" if drain.end is None else f"{drain.end:.0f}"
        detail = {"scanner_instance": scanner_id, "from": drain.begin, "until": drain.end}
        switch = f"{DRAIN_AT}:{scanner_id}"
        await self._note(DRAIN_PLANNED, actor, detail, switch, f"{drain.begin:.0f} {until}")
        self._plan(scanner_id, drain)

    async def pause_all(self, running: str, *, actor: str) -> int:
        """Stops starting scans; returns how many running ones are being paused or stopped."""
        if running not in set(RunningScans):
            raise RequestError(
                unknown("choice", running, list(RunningScans)), code="unknown_choice"
            )
        await self._note(PAUSE_ALL, actor, {"running": running}, GLOBAL_PAUSE)
        self._apply(PAUSE_ALL)
        if running == RunningScans.KEEP:
            return 0
        desired = RequestedState.PAUSE if running == RunningScans.PAUSE else RequestedState.CANCEL
        runs = [run for driver in self._fleet.drivers.values() for run in driver.runs.values()]
        told = [run for run in runs if run.task.state in HOLDS_SLOT]
        halted = desired is RequestedState.PAUSE
        command = Command(
            desired=desired,
            actor=actor,
            cause=f"all running scans were asked to {running}",
            halted=halted,
        )
        if halted:  # what its submitter has paused stays so when everything is resumed
            told = [run for run in told if run.wanted is RequestedState.RUN]
        try:
            return sum([await run.obey(command) for run in told])
        except StoreUnavailable as error:
            raise StoreDown(f"some scans were not asked: {error}") from error

    async def resume_all(self, *, actor: str) -> None:
        """Lets scans start again; `Service.resume_halted` does it for those that were paused."""
        await self._note(RESUME_ALL, actor, {}, GLOBAL_PAUSE)
        self._apply(RESUME_ALL)

    async def note_use(self, tool: str, client: str | None, *, actor: str) -> None:
        """Journals that a program is about to use an operator tool for a user. Raises
        `StoreDown`."""
        used = self._context.mask.masked({"tool": tool, "client": client})
        await self._note(TOOL_USED, actor, used)

    async def configure(self, config: Config) -> None:
        """Applies a new configuration. What it newly says about a scanner replaces what operators
        have set; a scanner that is back is drained as before."""
        before = {each.id: each.enabled for each in self._context.config.scanners}
        await self._fleet.apply(config)
        changed = {e.id: e.enabled for e in config.scanners if before.get(e.id) is not e.enabled}
        if not changed:
            return
        try:
            switches = await self._context.store.switches()
            for scanner_id, enabled in changed.items():
                use, flow = f"use:{scanner_id}", f"flow:{scanner_id}"
                if use in switches:
                    action = ScannerSwitch.ENABLE if enabled else ScannerSwitch.DISABLE
                    detail = {"scanner_instance": scanner_id}
                    await self._note(action, CONFIGURATION, detail, use)
                if flow in switches:
                    self._apply(switches[flow], scanner_id)
        except (StoreUnavailable, StoreDown) as error:
            self._context.log.warning(events.STORE_UNAVAILABLE, reason=str(error))

    async def restore(self) -> None:
        """Restores what operators had set before the restart."""
        for name, event in (await self._context.store.switches()).items():
            kind, _, scanner_id = name.partition(":")
            if kind == DRAIN_AT:
                self._plan(scanner_id, _planned(event))
            elif kind in _SWITCHES:
                self._apply(event, scanner_id)

    def _apply(self, event: str, scanner_id: str = "") -> None:
        pool, now = self._context.pool, self._context.now()
        if event in (PAUSE_ALL, RESUME_ALL):
            pool.set_paused(event == PAUSE_ALL, now)
        elif scanner_id not in pool.scanners():
            return  # it has left the configuration since
        elif event in DRAIN_SWITCHES:
            pool.set_draining(scanner_id, event == ScannerSwitch.DRAIN, now)
        else:
            pool.set_enabled(scanner_id, event == ScannerSwitch.ENABLE, now)

    def _check(self, scanner_id: str) -> None:
        if scanner_id not in self._fleet.drivers:
            raise UnknownScanner(unknown("scanner", scanner_id, self._fleet.drivers))

    def _plan(self, scanner_id: str, drain: Drain | None) -> None:
        drains = self._context.drains
        drains.pop(scanner_id, None)
        if drain is not None and (drain.end is None or drain.end > self._context.wall()):
            drains[scanner_id] = drain
        self._fleet.timekeeper.reconfigure()

    async def _note(
        self,
        event: str,
        actor: str,
        detail: Mapping[str, Any],
        switch: str | None = None,
        value: str | None = None,
    ) -> None:
        """`value` is what the switch has from now on, the event's name if None."""
        entry = JournalEntry(at=self._context.wall(), event=event, actor=actor, detail=detail)
        try:
            await self._context.store.note(
                entry, switch=(switch, value or event) if switch else None
            )
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        self._context.log.info(events.OPERATOR_ACTION, action=event, actor=actor, **detail)


def _planned(stored: str) -> Drain | None:
    """A planned drain as it is stored; None if it was withdrawn."""
    if stored == DRAIN_WITHDRAWN:
        return None
    begin, _, end = stored.partition(" ")
    return Drain(float(begin), float(end) if end else None)
