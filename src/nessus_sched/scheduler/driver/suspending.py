"""Whether a scanner accepts scans: its refusals, and what it says of itself."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import ScannerInfo
from nessus_sched.core.suspension import SuspensionStatistics
from nessus_sched.scheduler.context import Context
from nessus_sched.telemetry import events


class Suspender:
    """Suspends one scanner in the pool and ends the suspension. Does nothing once the pool no
    longer lists the scanner."""

    def __init__(self, context: Context, scanner_id: str, log: FilteringBoundLogger) -> None:
        self._context = context
        self._id = scanner_id
        self._log = log
        self._known: ScannerInfo | None = None
        """What the scanner last said of itself when it was ready."""
        self._harmless: ScannerInfo | None = None
        """What it said when a task was accepted, however suspicious that looked."""
        self._predicted: ErrorKind | None = None
        """Why it should refuse, judging by what it says of itself now."""

    @property
    def current(self) -> SuspensionStatistics | None:
        return self._context.pool.suspension(self._id) if self._listed else None

    def suspend(
        self,
        kind: ErrorKind,
        reason: str,
        *,
        task_id: str | None = None,
        sure: bool = True,
        wait: bool = True,
    ) -> bool:
        """The scanner refuses to scan; see `Suspension.suspend`."""
        pool, before = self._context.pool, self.current
        suspended = pool.suspend(
            self._id,
            self._context.now(),
            kind,
            reason,
            task_id=task_id,
            sure=sure,
            wait=wait,
        )
        if suspended and before is None:
            self._log.warning(events.SCANNER_SUSPENDED, kind=kind, reason=reason)
        return suspended

    def extend(self, reason: str, *, task_id: str) -> bool:
        """A suspended scanner did not accept this task either. False if it is not suspended."""
        current = self.current
        return current is not None and self.suspend(current.kind, reason, task_id=task_id)

    def accepted(self) -> None:
        """The scanner launched a scan, or no longer says that it would refuse one."""
        self._harmless, before = self._known, self.current
        if self._listed:
            self._context.pool.accepted(self._id, self._context.now())
        if before is not None:
            self._log.info(events.SCANNER_RESUMED, kind=before.kind)

    def judge(self, info: ScannerInfo, settings: ScannerSettings) -> None:
        """A change of license or plugins may end a suspension; what the scanner says of itself
        may be a reason for one."""
        if not self._listed:
            return
        now, before, self._known = self._context.now(), self._known, info
        if before != info:
            self._context.pool.look_again(self._id, now)
        doubt = suspicion(info, now, keys=settings.uses_api_keys)
        current, predicted = self.current, self._predicted
        self._predicted = doubt[0] if doubt else None
        if doubt is None and current is not None and current.kind == predicted:
            self.accepted()  # there need not be a task that could try it
        elif doubt is not None and info != self._harmless and current is None:
            self.suspend(*doubt, wait=False)

    @property
    def _listed(self) -> bool:
        return self._id in self._context.pool.scanners()


def suspicion(info: ScannerInfo, now: float, *, keys: bool) -> tuple[ErrorKind, str] | None:
    """Why a scanner will probably refuse to scan, judging by what it says of itself; `keys`: we
    log in with API keys. Versions differ in what they mean by it, so a task has to try."""
    if info.license_expires_at is not None and info.license_expires_at < now:
        return ErrorKind.LICENSE_EXPIRED, "its license has expired"
    if info.scan_api is False and keys:
        remedy = "use auth.ui_session, or a license with API access"
        return (
            ErrorKind.LICENSE_REFUSES_API,
            f"its license refuses new scans with API keys: {remedy}",
        )
    if info.plugins is False:
        return ErrorKind.NO_PLUGINS, "it has no plugins"
    return None
