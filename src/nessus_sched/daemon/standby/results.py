"""The results of scans on a standby: it reads new reports and answers from them, so that they are
there when it leads."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.api.answers import iso
from nessus_sched.core.clock import Now, steady_clock, system_now
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task_store import TaskReader
from nessus_sched.core.text import pluralize
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.storage.stored_findings import StoredFindings
from nessus_sched.store.executor import InThreads
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore, open_findings
from nessus_sched.store.ledger.copied import CopiedLedger
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

LOOK_EVERY: Final = 60.0
"""Seconds between two looks for new reports."""
TIDY_EVERY: Final = 600.0
"""Seconds between two looks for what is not kept any more."""
AT_ONCE: Final = 20
"""Reports that are read before it looks for later ones, which come first."""
READERS: Final = 2


@attrs.define(kw_only=True, eq=False)
class FollowedResults:
    """`kept` gives the seconds for which findings are kept."""

    directory: Path
    exports: ExportStore
    ledger: CopiedLedger
    kept: Callable[[], float]
    wall: Now = system_now
    steady: Now = attrs.field(factory=steady_clock)
    findings: FindingsStore | None = None
    """None until they are open."""
    unread: int | None = None
    """Reports that are still to be read; None if that is not known yet."""
    read_at: float | None = None
    """As of when all were read (epoch seconds)."""
    trouble: str | None = None
    """Why no reports can be read at the moment."""
    _tidied: float = attrs.field(default=-math.inf, init=False)

    async def run(self, tasks: TaskReader) -> None:
        """Until canceled; then it ends at once, because the leader's parts open the files."""
        while self.findings is None:
            try:
                self.findings = await open_findings(
                    self.directory / "findings.db", InThreads(READERS, abandons=True)
                )
            except StoreUnavailable as error:
                self._note(str(error))
                await trio.sleep(LOOK_EVERY)
        async with aclosing(self.findings) as findings:
            stored = StoredFindings(
                reports=Reports(findings, self.exports, self.wall),
                findings=findings,
                tasks=tasks,
                expired=lambda: min(self.steady(), self.wall()) - self.kept(),
                shared=True,
            )
            while True:
                more = False
                try:
                    more = await self._follow(stored)
                    self._note(None)
                except StoreUnavailable as error:
                    self._note(str(error))
                if not more:
                    await trio.sleep(LOOK_EVERY)

    async def _follow(self, stored: StoredFindings) -> bool:
        """Reads some reports, and returns whether there are more."""
        # Also removes reports that were deleted elsewhere.
        await trio.to_thread.run_sync(self.exports.prepare, abandon_on_cancel=True)
        if trio.current_time() - self._tidied >= TIDY_EVERY:
            await stored.forget_deleted()
            await stored.forget_expired()
            await stored.findings.vacuum_deleted()
            self._tidied = trio.current_time()
        began, read = self.wall(), 0
        missing = await stored.missing()
        self.unread = len(missing)
        for task_id in missing:
            started = trio.current_time()
            if await stored.read(task_id):
                read += 1
                await trio.sleep(trio.current_time() - started)  # leaves half of a core to others
            self.unread -= 1
            if read == AT_ONCE:
                return True
        self.read_at = began
        with suppress(StoreUnavailable):  # no copy of the ledger yet; its readers get that error
            entered = await self.ledger.entered()
            self.ledger.waiting = len((await stored.findings.imports()).keys() - entered)
        return False

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning(events.FINDINGS_NOT_READ, reason=trouble)
        self.trouble = trouble

    def state(self) -> str:
        """What is here, in words."""
        if self.unread is None:
            return "which reports are still to be read is not known yet"
        if self.unread:
            return f"{pluralize(self.unread, 'report')} still to be read, the latest first"
        return f"reports are read as of {iso(self.read_at)}"
