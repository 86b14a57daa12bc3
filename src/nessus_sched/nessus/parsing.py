"""From a scanner's documents to the core's values. Pure; whatever may be null is."""

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
from nessus_sched.nessus.errors import clean
from nessus_sched.nessus.json_fields import (
    Document,
    Unreadable,
    identity,
    moment,
    part,
    rows,
    text,
    token,
    whole,
)

MARKER: Final = re.compile(r"\[ns:[^\[\]\s]+\]\Z")
LONGEST_NAME: Final = 1000
MOST_HOSTS: Final = 2**32
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
"""By the scanner's own word, those of other versions and of the cloud among them."""


NOT_READY: Final[Mapping[str, str]] = {
    "loading": "is loading its plugins",
    "initializing": "is initializing",
    "locked": "is locked (locked): enter its encryption password in its web interface",
    "corrupt-db": "has a damaged database (corrupt-db)",
    "download-failed": "could not download its plugins (download-failed)",
}
"""What the words of `/server/status` mean, after "the scanner"."""
UNLICENSED: Final[Mapping[str, str]] = {
    "register": "The scanner is not registered with Tenable yet (register).",
    "feed-expired": "The scanner's plugin feed has expired (feed-expired): renew its license.",
    "eval-expired": "The scanner's evaluation license has expired (eval-expired).",
}
"""Those of its words that a license puts right."""


@attrs.frozen(kw_only=True)
class Listing:
    """A scan list; `timestamp` is the scanner's clock, epoch seconds."""

    scans: Sequence[RemoteScan]
    timestamp: float | None


def status_of(word: object) -> ScanStatus:
    return STATUSES.get(text(word).lower(), ScanStatus.UNKNOWN)


def own_folders(document: Document, name: str) -> frozenset[int]:
    """Ids of the custom folders with that name in `GET /folders` or `GET /scans`."""
    found = (
        identity(row.get("id"))
        for row in rows(document, "folders")
        if row.get("name") == name and row.get("type") == "custom"
    )
    return frozenset(folder_id for folder_id in found if folder_id is not None)


def listing(document: Document, folder: str) -> Listing:
    """Of `GET /scans`. A document without the list raises `Unreadable`: taken for an empty
    list, it would say that all scans are gone."""
    if "scans" not in document:
        raise Unreadable("no list of scans.")
    return Listing(
        scans=scan_rows(document, own_folders(document, folder)),
        timestamp=moment(document.get("timestamp")),
    )


def scan_rows(document: Document, folders: frozenset[int]) -> Sequence[RemoteScan]:
    found = []
    for row in rows(document, "scans"):
        scan_id = identity(row.get("id"))
        if scan_id is None:
            continue
        name = clean(text(row.get("name")), longest=LONGEST_NAME)
        found.append(
            RemoteScan(
                scan_id=scan_id,
                name=name,
                status=status_of(row.get("status")),
                status_text=clean(text(row.get("status"))),
                uuid=token(row.get("uuid")),
                ours=identity(row.get("folder_id")) in folders and MARKER.search(name) is not None,
                created_at=moment(row.get("creation_date")),
            )
        )
    return found


def run_details(document: Document, scan_id: int, uuid: str | None) -> ScanDetails | int | None:
    """The run with that uuid, or the latest where none is asked for. Where the document is
    about another run: the `history_id` to ask for, or None when there is no such run."""
    latest = token(part(document, "info").get("uuid"))
    if uuid is not None and latest != uuid:
        run = _run_of(document, uuid)
        history_id = None if run is None else identity(run.get("history_id"))
        if history_id is not None:
            return history_id
        if run is None and latest is not None:
            return None
    return details(document, scan_id)


def details(document: Document, scan_id: int) -> ScanDetails:
    """The run that `info` is about."""
    info = part(document, "info")
    uuid = token(info.get("uuid"))
    run = (_run_of(document, uuid) if uuid else None) or {}
    word = _unfinished_first(info.get("status"), run.get("status"))
    status = status_of(word)
    hosts = rows(document, "hosts")
    ended = status in ENDED
    return ScanDetails(
        scan_id=scan_id,
        name=clean(text(info.get("name")), longest=LONGEST_NAME),
        status=status,
        status_text=clean(text(word)),
        uuid=uuid,
        history_id=identity(run.get("history_id")),
        progress=100 if status is ScanStatus.COMPLETED else progress(hosts),
        hosts=max(whole(info.get("hostcount"), most=MOST_HOSTS) or 0, len(hosts)),
        started_at=moment(info.get("scan_start")) or moment(run.get("creation_date")),
        ended_at=(moment(info.get("scan_end")) or moment(run.get("last_modification_date")))
        if ended
        else None,
        targets=text(info.get("targets")) or None,
    )


def _run_of(document: Document, uuid: str) -> Document | None:
    """The entry of a scan's history for the run with that uuid."""
    return next((row for row in rows(document, "history") if row.get("uuid") == uuid), None)


def progress(hosts: Sequence[Document]) -> int | None:
    """Percent over all hosts, None while none is known. Not monotone, since hosts are added
    as they are found alive; below 100, which only a completed scan has."""
    total = sum(whole(host.get("scanprogresstotal")) or 0 for host in hosts)
    current = sum(whole(host.get("scanprogresscurrent")) or 0 for host in hosts)
    return min(99, 100 * current // total) if total else None


def templates(document: Document) -> Sequence[ScanTemplate]:
    """Templates of network scans, those that the license does not allow marked so."""
    found = []
    for row in rows(document, "templates"):
        name, uuid = clean(text(row.get("name"))), token(row.get("uuid"))
        if not name or uuid is None or row.get("is_agent") or row.get("is_was"):
            continue
        found.append(
            ScanTemplate(
                name=name,
                title=clean(text(row.get("title"))),
                uuid=uuid,
                description=clean(text(row.get("desc"))),
                usable=bool(row.get("license_fulfilled", True)) and not row.get("unsupported"),
            )
        )
    return found


def not_ready(status: Document) -> ScannerInfo:
    """What `/server/status` says of a scanner that is not ready. Raises `LicenseExpired` for
    what only a license puts right."""
    word = clean(text(status.get("status")), longest=_LONGEST_WORD).lower()
    if word in UNLICENSED:
        raise LicenseExpired(UNLICENSED[word])
    return ScannerInfo(
        ready=False,
        loading_percent=whole(status.get("progress"), most=100),
        not_ready=NOT_READY.get(word) or (f"is not ready: {word}" if word else "is not ready"),
    )


def scanner_info(properties: Document, advanced: Document) -> ScannerInfo:
    """`properties` may be the reduced set of a call without login, or empty."""
    license_ = part(properties, "license")
    features = {**part(properties, "features"), **part(license_, "features")}
    scan_api = features.get("scan_api")
    return ScannerInfo(
        ready=True,
        edition=clean(text(properties.get("nessus_type"))),
        version=clean(text(properties.get("server_version"))),
        scan_api=None if scan_api is None else bool(scan_api),
        licensed_hosts=whole(license_.get("ips")) or None,
        used_hosts=whole(properties.get("used_ip_count")),
        max_scans=_max_scans(advanced),
        plugin_set_at=_plugin_set(properties.get("plugin_set")),
        plugins=bool(properties["plugin_set"]) if "plugin_set" in properties else None,
        license_expires_at=moment(license_.get("expiration_date"))
        or moment(properties.get("expiration")),
        boot_time=moment(properties.get("scanner_boottime")),
    )


def _unfinished_first(told: object, listed: object) -> object:
    """Two places tell a run's status and disagree for seconds: the one that has not ended
    counts, so that no report is exported while it is still being written."""
    if listed is not None and status_of(told) in ENDED and status_of(listed) not in ENDED:
        return listed
    return told


def _max_scans(advanced: Document) -> int | None:
    for row in rows(advanced, "preferences"):
        if row.get("name") == "global.max_scans":
            return whole(row.get("value")) or None
    return None


def _plugin_set(value: object) -> float | None:
    """`YYYYMMDDHHMM`, UTC."""
    try:
        told = datetime.strptime(text(value, longest=_LONGEST_WORD), "%Y%m%d%H%M").replace(
            tzinfo=UTC
        )
    except ValueError:
        return None
    return moment(told.timestamp())
