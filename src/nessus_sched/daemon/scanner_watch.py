"""Journals when scanners cannot be used, and when they can again, for routes to report.

Only what lasts counts: a scanner that restarts is not down. What was journaled is remembered
across restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task_store import TaskStore
from nessus_sched.daemon.outages import outage_of
from nessus_sched.delivery.happened import SCANNER_DOWN, SCANNER_UP
from nessus_sched.scheduler.views import ScannerView
from nessus_sched.telemetry import events

LOOK_EVERY: Final = 15.0
LASTING: Final = 300.0
"""Seconds after which a change is journaled."""
SWITCH: Final = "down"
"""With the scanner, the name under which it is stored that it was journaled as down."""

log = structlog.get_logger("daemon")


@attrs.define(eq=False)
class ScannerWatch:
    """`scanners` gives their state now, looked at `every` few seconds."""

    store: TaskStore
    scanners: Callable[[], Sequence[ScannerView]]
    wall: Now
    mask: Masker
    every: float = LOOK_EVERY
    _down: set[str] = attrs.field(factory=set, init=False)
    """Scanners that were journaled as down."""
    _changed: dict[str, float] = attrs.field(factory=dict, init=False)
    """Since when scanners are not what was journaled (Trio's clock)."""

    async def run(self) -> None:
        """Until canceled."""
        loaded = False
        while True:
            try:
                if not loaded:
                    self._down = await self._journaled()
                    loaded = True
                await self.look()
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
            await trio.sleep(self.every)

    async def look(self) -> None:
        """Journals what has changed for long enough. Raises `StoreUnavailable`."""
        now, views = trio.current_time(), self.scanners()
        for view in views:
            name = view.settings.id
            outage = outage_of(view) if view.statistics.enabled else None
            if (outage is not None) == (name in self._down):
                self._changed.pop(name, None)
            elif now - self._changed.setdefault(name, now) >= LASTING:
                await self._note(name, None if outage is None else outage.reason)
        self._down &= {view.settings.id for view in views}

    async def _note(self, name: str, reason: str | None) -> None:
        entry = JournalEntry(
            at=self.wall(),
            event=SCANNER_UP if reason is None else SCANNER_DOWN,
            cause=self.mask(reason or ""),
            detail={"scanner_instance": name},
        )
        await self.store.note(entry, switch=(f"{SWITCH}:{name}", "" if reason is None else "yes"))
        self._down ^= {name}
        del self._changed[name]

    async def _journaled(self) -> set[str]:
        switches = await self.store.switches()
        return {
            name.removeprefix(f"{SWITCH}:")
            for name, value in switches.items()
            if name.startswith(f"{SWITCH}:") and value
        }
