"""Keeps a copy of the ledger in the database, with which another machine begins."""

from __future__ import annotations

from typing import Final, Protocol

import attrs
import structlog
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

EVERY: Final = 60.0
"""Seconds between two looks whether the ledger has changed."""
SHARE: Final = 20
"""Copying may take one part in this many of the time."""


class Mirror(Protocol):
    """Both block, and raise `StoreUnavailable`."""

    def push(self) -> int: ...

    def catch_up(self) -> bool: ...


@attrs.define(kw_only=True, eq=False)
class LedgerCopy:
    """What was not copied yet follows from the reports, see `storage.findings_keeper`."""

    mirror: Mirror
    trouble: str | None = None
    """Why the latest changes could not be copied."""

    async def run(self) -> None:
        """Until canceled."""
        while True:
            started = trio.current_time()
            try:
                await trio.to_thread.run_sync(self.mirror.push)
                self.trouble = None
            except StoreUnavailable as error:
                if self.trouble is None:
                    log.warning(events.LEDGER_NOT_COPIED, reason=str(error))
                self.trouble = str(error)
            await trio.sleep(max(EVERY, SHARE * (trio.current_time() - started)))
