"""Parses a scanner's documents into values of `core`. Pure; tolerates null anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from nessus_sched.core.scanner import (
    ENDED,
    LicenseExpired,
    RemoteScan,
    ScanDetails,
    ScannerInfo,
    ScanStatus,
    ScanTemplate,
)
from nessus_sched.nessus.json_fields import (
    BadDocument,
    Document,
    as_id,
    as_int,
    as_text,
    as_time,
    as_token,
    object_at,
    rows,
)
from nessus_sched.net.failures import clean

MARKER: Final = re.compile(r"\[ns:[^\[\]\s]+\]\Z")
LONGEST_NAME: Final = 1000
MAX_HOSTS: Final = 2**32
_LONGEST_WORD: Final = 60
_S = ScanStatus
STATUSES: Final[Mapping[str, ScanStatus]] = {
    "empty": _S.EMPTY,
    "pending": _S.PENDING,
    "initializing": _S.PENDING,
    "running": _S.RUNNING,
    "pausing": _S.RUNNING,
    "resuming": _S.RUNNING,
    "stopping": _S.RUNNING,
    "canceling": _S.RUNNING,
    "cancelling": _S.RUNNING,
    "terminating": _S.RUNNING,
    "processing": _S.RUNNING,
    "publishing": _S.RUNNING,
    "paused": _S.PAUSED,
    "stopped": _S.STOPPED,
    "canceled": _S.STOPPED,
    "cancelled": _S.STOPPED,
    "aborted": _S.ABORTED,
    "completed": _S.COMPLETED,
    "imported": _S.COMPLETED,
}
"""By the scanner's own status, including those of other versions and of the cloud."""


NOT_READY: Final[Mapping[str, str]] = {
    "loading": "is loading its plugins",
    "initializing": "is initializing",
    "locked": "is locked (locked): enter its encryption password in its web interface",
    "corrupt-db": "has a damaged database (corrupt-db)",
    "download-failed": "could not download its plugins (download-failed)",
}
"""Meaning of the values of `/server/status`, to follow "the scanner"."""
UNLICENSED: Final[Mapping[str, str]] = {
    "register": "The scanner is not registered with Tenable yet (register).",
    "feed-expired": "The scanner's plugin feed has expired (feed-expired): renew its license.",
    "eval-expired": "The scanner's evaluation license has expired (eval-expired).",
}
"""Values that need a license to change."""


@attrs.frozen(kw_only=True)
class Listing:
    """A scan list; `timestamp` is the scanner's clock, epoch seconds."""

    scans: Sequence[RemoteScan]
    timestamp: float | None


def status_of(word: object) -> ScanStatus:
    return STATUSES.get(as_text(word).lower(), ScanStatus.UNKNOWN)


def own_folders(document: Document, name: str) -> frozenset[int]:
    """Ids of the custom folders with that name in `GET /folders` or `GET /scans`."""
    found = (
        as_id(row.get("id"))
        for row in rows(document, "folders")
        if row.get("name") == name and row.get("type") == "custom"
    )
    return frozenset(folder_id for folder_id in found if folder_id is not None)


_LOGIN_FAILED: Final = frozenset({104410})
_LOGIN_WORKED: Final = frozenset({110095, 110385, 110695, 117885, 117887, 141118, 150799})
"""Plugins that report on the logins of a host, at info; see `results.logins.rules`. Details of
scans list them with their counts, as recorded of Nessus and tenable.io."""


def listing(document: Document, folder: str) -> Listing:
    """Reads `GET /scans`. A document without the list raises `BadDocument`, because an empty
    list would mean that all scans are gone."""
    if "scans" not in document:
        raise BadDocument("no list of scans.")
    return Listing(
        scans=scan_rows(document, own_folders(document, folder)),
        timestamp=as_time(document.get("timestamp")),
    )


def scan_rows(document: Document, folders: frozenset[int]) -> Sequence[RemoteScan]:
    found = []
    for row in rows(document, "scans"):
        scan_id = as_id(row.get("id"))
        if scan_id is None:
            continue
        name = clean(as_text(row.get("name")), longest=LONGEST_NAME)
        found.append(
            RemoteScan(
                scan_id=scan_id,
                name=name,
                status=status_of(row.get("status")),
                status_text=clean(as_text(row.get("status"))),
                uuid=as_token(row.get("uuid")),
                ours=as_id(row.get("folder_id")) in folders and MARKER.search(name) is not None,
                created_at=as_time(row.get("creation_date")),
            )
        )
    return found


def run_details(document: Document, scan_id: int, uuid: str | None) -> ScanDetails | int | None:
    """The run with that uuid, or the latest one if `uuid` is None. If the document is about
    another run, returns the `history_id` to request, or None if there is no such run."""
    latest = as_token(object_at(document, "info").get("uuid"))
    if uuid is not None and latest != uuid:
        run = _run_of(document, uuid)
        history_id = None if run is None else as_id(run.get("history_id"))
        if history_id is not None:
            return history_id
        if run is None and latest is not None:
            return None
    return details(document, scan_id)


def details(document: Document, scan_id: int) -> ScanDetails:
    """The run that the document's `info` describes."""
    info = object_at(document, "info")
    uuid = as_token(info.get("uuid"))
    run = (_run_of(document, uuid) if uuid else None) or {}
    word = _unfinished_first(info.get("status"), run.get("status"))
    status = status_of(word)
    hosts = rows(document, "hosts")
    ended = status in ENDED
    return ScanDetails(
        scan_id=scan_id,
        name=clean(as_text(info.get("name")), longest=LONGEST_NAME),
        status=status,
        status_text=clean(as_text(word)),
        uuid=uuid,
        history_id=as_id(run.get("history_id")),
        progress=100 if status is ScanStatus.COMPLETED else progress(hosts),
        hosts=max(as_int(info.get("hostcount"), most=MAX_HOSTS) or 0, len(hosts)),
        started_at=as_time(info.get("scan_start")) or as_time(run.get("creation_date")),
        ended_at=(as_time(info.get("scan_end")) or as_time(run.get("last_modification_date")))
        if ended
        else None,
        targets=as_text(info.get("targets")) or None,
        failed_logins=_count(document, _LOGIN_FAILED),
        worked_logins=_count(document, _LOGIN_WORKED),
    )


def _count(document: Document, plugins: frozenset[int]) -> int:
    """How many findings of these plugins the document's `vulnerabilities` count."""
    return sum(
        as_int(row.get("count")) or 0
        for row in rows(document, "vulnerabilities")
        if as_id(row.get("plugin_id")) in plugins
    )


def _run_of(document: Document, uuid: str) -> Document | None:
    """The entry for the run in the scan's history."""
    return next((row for row in rows(document, "history") if row.get("uuid") == uuid), None)


def progress(hosts: Sequence[Document]) -> int | None:
    """Percent over all hosts, None before the first host. Not monotonic, because hosts are
    added as they are found; below 100, which is only for completed scans."""
    total = sum(as_int(host.get("scanprogresstotal")) or 0 for host in hosts)
    current = sum(as_int(host.get("scanprogresscurrent")) or 0 for host in hosts)
    return min(99, 100 * current // total) if total else None


def templates(document: Document) -> Sequence[ScanTemplate]:
    """Templates for network scans; those that the license excludes are not `usable`."""
    found = []
    for row in rows(document, "templates"):
        name, uuid = clean(as_text(row.get("name"))), as_token(row.get("uuid"))
        if not name or uuid is None or row.get("is_agent") or row.get("is_was"):
            continue
        found.append(
            ScanTemplate(
                name=name,
                title=clean(as_text(row.get("title"))),
                uuid=uuid,
                description=clean(as_text(row.get("desc"))),
                usable=bool(row.get("license_fulfilled", True)) and not row.get("unsupported"),
            )
        )
    return found


def not_ready(status: Document) -> ScannerInfo:
    """The info of a scanner that is not ready, from `/server/status`. Raises `LicenseExpired`
    if it needs a license."""
    word = clean(as_text(status.get("status")), longest=_LONGEST_WORD).lower()
    if word in UNLICENSED:
        raise LicenseExpired(UNLICENSED[word])
    return ScannerInfo(
        ready=False,
        loading_percent=as_int(status.get("progress"), most=100),
        not_ready=NOT_READY.get(word) or (f"is not ready: {word}" if word else "is not ready"),
    )


def scanner_info(properties: Document, advanced: Document) -> ScannerInfo:
    """`properties` may be the reduced set returned without a login, or empty."""
    license_ = object_at(properties, "license")
    features = {**object_at(properties, "features"), **object_at(license_, "features")}
    scan_api = features.get("scan_api")
    return ScannerInfo(
        ready=True,
        edition=clean(as_text(properties.get("nessus_type"))),
        version=clean(as_text(properties.get("server_version"))),
        scan_api=None if scan_api is None else bool(scan_api),
        licensed_hosts=as_int(license_.get("ips")) or None,
        used_hosts=as_int(properties.get("used_ip_count")),
        max_scans=_max_scans(advanced),
        plugin_set_at=_plugin_set(properties.get("plugin_set")),
        plugins=bool(properties["plugin_set"]) if "plugin_set" in properties else None,
        license_expires_at=as_time(license_.get("expiration_date"))
        or as_time(properties.get("expiration")),
        boot_time=as_time(properties.get("scanner_boottime")),
    )


def _unfinished_first(told: object, listed: object) -> object:
    """Combines the two places that show a run's status, which disagree for seconds. The one
    that has not ended wins, so that no report is exported while still being written."""
    if listed is not None and status_of(told) in ENDED and status_of(listed) not in ENDED:
        return listed
    return told


def _max_scans(advanced: Document) -> int | None:
    for row in rows(advanced, "preferences"):
        if row.get("name") == "global.max_scans":
            return as_int(row.get("value")) or None
    return None


def _plugin_set(value: object) -> float | None:
    """`YYYYMMDDHHMM`, UTC."""
    try:
        told = datetime.strptime(as_text(value, longest=_LONGEST_WORD), "%Y%m%d%H%M").replace(
            tzinfo=UTC
        )
    except ValueError:
        return None
    return as_time(told.timestamp())
