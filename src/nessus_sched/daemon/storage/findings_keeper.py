"""Reads the findings of scans again, from their reports, where they are missing.

They are after another machine has led, after a store was copied, and where the findings database
was lost. Findings of scans that the ledger lacks come first, because it has to get scans in the
order of time; only then are scans entered in it. The others follow in the background.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.storage.stored_findings import StoredFindings
from nessus_sched.results.ledger.port import Ledger
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

RETRY: Final = 15.0
"""Seconds before what a store refused is tried again."""


@attrs.define(kw_only=True, eq=False)
class FindingsKeeper:
    stored: StoredFindings
    ledger: Ledger
    wake: Callable[[], None]
    """There may be scans to enter in the ledger."""
    began: float
    """When this daemon began (epoch seconds). An import stores findings before their task."""
    _prepared: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def prepare(self) -> None:
        """Reads the findings that the ledger lacks; returns once they are there."""
        await self._until_done(self._read_unentered)
        self._prepared.set()

    async def run(self) -> None:
        """Reads the others, the latest scans first; returns once they are there."""
        await self._prepared.wait()
        await self._until_done(self._read_others)

    async def _read_unentered(self) -> None:
        applied = (await self.ledger.scans()).applied
        for task_id in await self.stored.missing(besides=applied):
            await self.stored.read(task_id)

    async def _read_others(self) -> None:
        for task_id in await self.stored.missing():
            if await self.stored.read(task_id):
                self.wake()
        if self.stored.shared:
            await self.stored.forget_deleted(before=self.began)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                log.warning(events.FINDINGS_NOT_READ, reason=str(error))
                await trio.sleep(RETRY)
