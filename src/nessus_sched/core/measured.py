"""What `scanners certify` found out about one scanner, as far as scheduling can use it."""

from __future__ import annotations

import attrs

from nessus_sched.core.scanner import ScannerInfo


@attrs.frozen(kw_only=True)
class Identity:
    """What a measurement depends on: another version or license may behave differently."""

    edition: str = ""
    version: str = ""
    licensed_hosts: int | None = None


@attrs.frozen(kw_only=True)
class Measured:
    """One certification. `at` is in epoch seconds; None means that it was not found out."""

    at: float
    identity: Identity
    export_allowed: bool | None = None
    partial_export: bool | None = None
    """The results of a stopped scan can be exported."""
    pause_seconds: float | None = None
    """How long a scan takes from the request to pause until it is paused."""
    resume_seconds: float | None = None
    stop_seconds: float | None = None
    idle_timeout: float | None = None
    """Seconds after which an unused session ends."""
    differs: int = 0
    """Checks in which the scanner behaves differently from what we rely on."""
    failed: int = 0

    def applies_to(self, info: ScannerInfo | None) -> bool:
        """Whether it still says something about the scanner as it is now."""
        return info is not None and self.identity == identity_of(info)


def identity_of(info: ScannerInfo) -> Identity:
    return Identity(edition=info.edition, version=info.version, licensed_hosts=info.licensed_hosts)
