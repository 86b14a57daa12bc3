"""The scanner as the scheduler sees it: a small protocol, its values and its errors.

The REST client of `nessus/` implements it; another engine may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import attrs

from nessus_sched.core.asked import Asked
from nessus_sched.core.credentials import Credential
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.task import ScanRequest


class ScanStatus(StrEnum):
    """Where a scan on a scanner stands, reduced to what makes a difference to us."""

    EMPTY = "empty"
    """Created, never launched."""
    PENDING = "pending"
    RUNNING = "running"
    """Running, or on its way between states (pausing, resuming, stopping, processing)."""
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    """Ended by someone's stop (`canceled`, `stopped`)."""
    ABORTED = "aborted"
    """Ended by an error or a restart of the scanner; partial results are possible."""
    UNKNOWN = "unknown"
    """A status string we do not know: treated as not ended, bounded by the run deadline."""


Marks = Sequence[str]
"""The markers that a scan may have, see `core.seal`."""

MAY_SCAN = 32
"""From this permission of a login on it may create scans: a standard user."""
ENDED = frozenset({ScanStatus.COMPLETED, ScanStatus.STOPPED, ScanStatus.ABORTED})
OCCUPIES = frozenset({ScanStatus.PENDING, ScanStatus.RUNNING, ScanStatus.PAUSED})
"""Statuses in which a scan uses up the scanner's capacity."""
MAY_RUN = OCCUPIES | {ScanStatus.UNKNOWN}
"""Statuses in which one of our scans may use it up."""
CHANGING = frozenset({"pausing", "resuming", "stopping"})
"""The scanner's words for a scan between two states, in which it refuses to pause or resume it."""


@attrs.frozen(kw_only=True)
class ScannerInfo:
    """What a scanner says of itself.

    `ready` is False while plugins load (`loading_percent`, 0 to 100, where reported) and in other
    states, which `not_ready` describes. `scan_api` is the license feature without which writes
    with API keys are refused, None if not reported. `max_scans` is the scanner's own limit, None
    for no limit or if not reported. `plugin_set_at` and `boot_time` are epoch seconds.
    """

    ready: bool
    loading_percent: int | None = None
    not_ready: str = ""
    edition: str = ""
    version: str = ""
    scan_api: bool | None = None
    licensed_hosts: int | None = None
    used_hosts: int | None = None
    max_scans: int | None = None
    plugin_set_at: float | None = None
    plugins: bool | None = None
    """Whether it has plugins to scan with; None where it does not tell."""
    license_expires_at: float | None = None
    boot_time: float | None = None


@attrs.frozen(kw_only=True)
class RemoteScan:
    """One row of a scanner's scan list. `status_text` is the scanner's own word."""

    scan_id: int
    name: str
    status: ScanStatus
    status_text: str
    uuid: str | None = None
    ours: bool = False
    """It lies in our folder and its name ends like a marker, of whomever: `core.seal` says
    whether it is a valid one."""
    created_at: float | None = None
    """Epoch seconds on the scanner's clock, None where it does not say."""

    @property
    def changing(self) -> bool:
        """The scanner is pausing, resuming or stopping it."""
        return self.status_text.lower() in CHANGING

    @property
    def stopping(self) -> bool:
        """The scanner is stopping it, which may have been paused."""
        return self.status_text.lower() == "stopping"


@attrs.frozen(kw_only=True)
class ScanDetails:
    """One scan's latest run. `progress` is 0..100 or None when nothing can be said yet;
    `started_at` and `ended_at` are epoch seconds on the scanner's clock."""

    scan_id: int
    name: str
    status: ScanStatus
    status_text: str
    uuid: str | None = None
    history_id: int | None = None
    progress: int | None = None
    hosts: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    targets: str | None = None
    """What it scans, as the scanner shows it; None where it does not."""
    failed_logins: int = 0
    worked_logins: int = 0
    """Findings, of the hosts so far, that say that a login failed, or that one worked."""


@attrs.frozen(kw_only=True)
class ScanTemplate:
    name: str
    title: str
    uuid: str
    description: str = ""
    usable: bool = True
    """False when the license or the edition does not allow it."""


@attrs.frozen(kw_only=True)
class AuditFile:
    """An audit of the configuration: the operator's `.audit` file and its category in Nessus'
    compliance tab, or one that the scanner brings along, by its name or id there."""

    file: Path | None = None
    category: str = ""
    name: str = ""
    variables: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ScanOrder:
    """All that is needed to create the scan of one attempt on a scanner.

    `name` ends with the marker; `targets` are what scope checking approved at dispatch, and
    `left_out` what it denied of the networks and ranges that were accepted.
    `audit` is what `request.audit` names. `profile` are the settings of the operator's scan
    profile; a template may lack some; `settings` are sent as they are. `families`
    are the only plugin families that may run, where any are named.
    """

    name: str
    marker: str
    targets: Sequence[str]
    left_out: Sequence[str] = ()
    request: ScanRequest
    credentials: tuple[Credential, ...] = ()
    audit: AuditFile | None = None
    profile: Mapping[str, str] = attrs.field(factory=dict)
    settings: Mapping[str, str] = attrs.field(factory=dict)
    families: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class CreatedScan:
    """A scan that was created and not launched, and what it was asked to do."""

    scan_id: int
    asked: Asked | None = None


class Scanner(Protocol):
    """One Nessus instance we drive. Every method may raise `ScannerError`.

    Only `create_scan`, `launch`, `pause`, `resume`, `stop` and `delete` change anything
    on the scanner; when the answer to one of them is lost they raise `OutcomeUnknown`
    and the caller looks before it does anything again. Reads repeat themselves once
    after a stale connection or session. What changes a scan raises `NotOurs`, and then
    has changed nothing, unless the scan lies in our folder and its name ends with one of
    `marks`.
    """

    clock_ahead: float | None
    """By how many seconds its clock is ahead of ours, once `list_scans` has told."""

    async def info(self) -> ScannerInfo:
        """Server status and properties; works while the scanner is still loading."""

    async def permissions(self) -> int | None:
        """What our login may do: 16 only read, 32 and more (`MAY_SCAN`) create scans; None
        where the scanner does not tell."""

    async def templates(self) -> Sequence[ScanTemplate]: ...

    async def policies(self) -> Sequence[str]:
        """The names of the policies that our login may use."""

    async def list_scans(self) -> Sequence[RemoteScan]:
        """All scans this login can see, ours and other people's, in one request."""

    async def create_scan(self, order: ScanOrder) -> CreatedScan:
        """Creates but does not launch."""

    async def launch(self, scan_id: int, marks: Marks) -> str:
        """Returns the uuid of the run."""

    async def details(self, scan_id: int, *, uuid: str | None = None) -> ScanDetails:
        """The run with that uuid, or the latest."""

    async def pause(self, scan_id: int, marks: Marks) -> None: ...

    async def resume(self, scan_id: int, marks: Marks) -> None: ...

    async def stop(self, scan_id: int, marks: Marks) -> None: ...

    async def export(self, scan_id: int, history_id: int | None, destination: Path) -> int:
        """Exports the run as `.nessus` v2 and writes it to `destination`, whole or not at
        all; returns its size in bytes. Raises `BadExport` for a truncated document."""

    async def delete(self, scan_id: int, marks: Marks) -> None:
        """A scan that is gone already is a success."""

    async def close(self) -> None:
        """Logs out (bounded, errors ignored) and closes the connections."""


class ScannerError(Exception):
    """Something went wrong with a scanner; `str()` is a sentence for a person, `kind` a
    stable code. It is not worth trying again before `retry_after` seconds, when the scanner
    said so."""

    kind = ErrorKind.SCANNER_ERROR
    retry_after: float | None = None
    in_doubt = False
    """It was the answer to a change that may have taken effect all the same."""

    @property
    def transient(self) -> bool:
        """It may pass by itself."""
        return FAULTS[self.kind].passes


class TransientError(ScannerError):
    """Try again later."""

    kind = ErrorKind.SCANNER_TROUBLE

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """No connection, or it broke before a read was answered. Nothing was changed."""

    kind = ErrorKind.SCANNER_UNREACHABLE


class NotReady(TransientError):
    """The scanner is up and still loading its plugins."""

    kind = ErrorKind.SCANNER_NOT_READY


class NoCapacity(TransientError):
    """The scanner runs all it can or may: the task waits, it has not failed."""

    kind = ErrorKind.SCANNER_FULL


class OutcomeUnknown(TransientError):
    """A change was sent and its answer lost: it may or may not have happened."""

    kind = ErrorKind.OUTCOME_UNKNOWN


class BadExport(TransientError):
    """The export failed or came back incomplete."""

    kind = ErrorKind.BAD_EXPORT


class ExportNotAllowed(ScannerError):
    """The scanner does not hand out reports, such as in trial mode."""

    kind = ErrorKind.EXPORT_NOT_ALLOWED


class CertificateMismatch(ScannerError):
    """The scanner showed another certificate than the one that is trusted."""

    kind = ErrorKind.CERTIFICATE_MISMATCH


class LoginRefused(ScannerError):
    """Wrong keys or password. Not repeated by itself: five tries lock the account."""

    kind = ErrorKind.LOGIN_REFUSED


class ApiRefused(ScannerError):
    """The license refuses writes through its API (412)."""

    kind = ErrorKind.LICENSE_REFUSES_API


class LicenseLimit(ScannerError):
    """The license has no room for these hosts."""

    kind = ErrorKind.LICENSE_LIMIT


class LicenseExpired(ScannerError):
    """The license has expired, or the scanner was never registered."""

    kind = ErrorKind.LICENSE_EXPIRED


class TemplateNotLicensed(ScannerError):
    """The license does not include the template of this scan."""

    kind = ErrorKind.TEMPLATE_NOT_LICENSED


class NoTemplates(ScannerError):
    """The scanner offers no template that may be used."""

    kind = ErrorKind.NO_TEMPLATES


class NoPlugins(ScannerError):
    """The scanner has no plugins to scan with."""

    kind = ErrorKind.NO_PLUGINS


class DiskFull(ScannerError):
    """The scanner's disk is full."""

    kind = ErrorKind.SCANNER_DISK_FULL


class NotFound(ScannerError):
    """The scanner has no such scan, template or policy."""

    kind = ErrorKind.NOT_FOUND


class Refused(ScannerError):
    """The scanner understood and says no (400, 403, 405, 409)."""

    kind = ErrorKind.SCANNER_REFUSED


class PermissionDenied(Refused):
    """Our user on the scanner has no right to do this (403)."""

    kind = ErrorKind.PERMISSION_DENIED


class LaunchRefused(Refused):
    """The scanner created the scan and does not launch it."""

    kind = ErrorKind.LAUNCH_REFUSED


class BadOrder(Refused):
    """No scan can be made from the order; the scanner was not even asked."""

    kind = ErrorKind.BAD_ORDER


class ReportTooLarge(Refused):
    """The report exceeds the configured limit."""

    kind = ErrorKind.REPORT_TOO_LARGE


class NotOurs(ScannerError):
    """That scan is not in our folder or does not carry our marker; it is left alone."""

    kind = ErrorKind.NOT_OURS
