"""Why scanners cannot be used."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.core.scanner import (
    CertificateMismatch,
    LicenseExpired,
    LoginRefused,
    NotReady,
    Unreachable,
)
from nessus_sched.scheduler.driver.supervision import DriverFailed
from nessus_sched.scheduler.views import ScannerView
from nessus_sched.telemetry.scanner_log import NOT_CONTACTED

_WORDS: Final = {
    NOT_CONTACTED: NOT_CONTACTED,
    Unreachable.kind: "unreachable",
    NotReady.kind: "not ready yet, for example loading plugins",
    LoginRefused.kind: "login refused",
    CertificateMismatch.kind: "a different certificate than the trusted one",
    LicenseExpired.kind: "stopped by the license",
    DriverFailed.kind: "failed by an internal error",
}


@attrs.frozen
class Outage:
    """Why a scanner cannot be used; `kind` in few words, `since` in epoch seconds."""

    scanner_id: str
    kind: str
    reason: str
    since: float


def outage_of(view: ScannerView) -> Outage | None:
    """Why a scanner cannot be used; None if it can."""
    scanner_id, suspension = view.settings.id, view.statistics.suspension
    if view.trouble is not None:
        kind = _WORDS.get(view.trouble_kind or "", "failing requests")
        return Outage(scanner_id, kind, view.trouble, view.since)
    if suspension is not None:
        reason = f"suspended ({suspension.reason})"
        return Outage(scanner_id, "suspended", reason, suspension.since)
    return None
