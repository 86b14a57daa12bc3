"""From a scanner's documents to the core's values. Pure; whatever may be null is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from nessus_sched.core.scanner import (
    ENDED,
    RemoteScan,
    ScanDetails,
    ScannerInfo,
    ScanStatus,
    ScanTemplate,
)
from nessus_sched.nessus.decode import Document, moment, part, rows, whole
from nessus_sched.nessus.errors import clean

MARKER: Final = re.compile(r"\[ns:[^\[\]\s]+\]")
LONGEST_NAME: Final = 1000
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


def status_of(word: object) -> ScanStatus:
    return STATUSES.get(str(word).lower(), ScanStatus.UNKNOWN)


def own_folders(document: Document, name: str) -> frozenset[int]:
    """Ids of the custom folders with that name in `GET /folders` or `GET /scans`."""
    found = (
        whole(row.get("id"))
        for row in rows(document, "folders")
        if row.get("name") == name and row.get("type") == "custom"
    )
    return frozenset(identity for identity in found if identity is not None)


def scan_rows(document: Document, folders: frozenset[int]) -> Sequence[RemoteScan]:
    found = []
    for row in rows(document, "scans"):
        scan_id = whole(row.get("id"))
        if scan_id is None:
            continue
        name = str(row.get("name") or "")
        found.append(
            RemoteScan(
                scan_id=scan_id,
                name=clean(name, longest=LONGEST_NAME),
                status=status_of(row.get("status")),
                status_text=clean(str(row.get("status"))),
                uuid=_text(row.get("uuid")),
                ours=whole(row.get("folder_id")) in folders and MARKER.search(name) is not None,
            )
        )
    return found


def latest_uuid(document: Document) -> str | None:
    """Of a scan's details: the run that they describe."""
    return _text(part(document, "info").get("uuid"))


def run_of(document: Document, uuid: str) -> Document | None:
    """The entry of a scan's history for the run with that uuid."""
    return next((row for row in rows(document, "history") if row.get("uuid") == uuid), None)


def details(document: Document, scan_id: int) -> ScanDetails:
    """The run that `info` is about."""
    info = part(document, "info")
    uuid = latest_uuid(document)
    run = (run_of(document, uuid) if uuid else None) or {}
    word = _unfinished_first(info.get("status"), run.get("status"))
    status = status_of(word)
    hosts = rows(document, "hosts")
    ended = status in ENDED
    return ScanDetails(
        scan_id=scan_id,
        name=clean(str(info.get("name") or ""), longest=LONGEST_NAME),
        status=status,
        status_text=clean(str(word)),
        uuid=uuid,
        history_id=whole(run.get("history_id")),
        progress=100 if status is ScanStatus.COMPLETED else progress(hosts),
        hosts=max(whole(info.get("hostcount")) or 0, len(hosts)),
        started_at=moment(info.get("scan_start")) or moment(run.get("creation_date")),
        ended_at=(moment(info.get("scan_end")) or moment(run.get("last_modification_date")))
        if ended
        else None,
    )


def progress(hosts: Sequence[Document]) -> int | None:
    """Percent over all hosts, None while none is known. Not monotone, since hosts are added
    as they are found alive; below 100, which only a completed scan has."""
    total = sum(max(whole(host.get("scanprogresstotal")) or 0, 0) for host in hosts)
    current = sum(max(whole(host.get("scanprogresscurrent")) or 0, 0) for host in hosts)
    return min(99, 100 * current // total) if total else None


def templates(document: Document) -> Sequence[ScanTemplate]:
    """Templates of network scans, those that the licence does not allow marked so."""
    return [
        ScanTemplate(
            name=clean(str(row.get("name") or "")),
            title=clean(str(row.get("title") or "")),
            uuid=str(row.get("uuid") or ""),
            description=clean(str(row.get("desc") or "")),
            usable=bool(row.get("license_fulfilled", True)) and not row.get("unsupported"),
        )
        for row in rows(document, "templates")
        if row.get("name") and row.get("uuid") and not row.get("is_agent") and not row.get("is_was")
    ]


def scanner_info(
    properties: Document, advanced: Document, *, ready: bool, loading: int | None = None
) -> ScannerInfo:
    """`properties` may be the reduced set of a call without login, or empty."""
    license_ = part(properties, "license")
    features = {**part(properties, "features"), **part(license_, "features")}
    scan_api = features.get("scan_api")
    return ScannerInfo(
        ready=ready,
        loading_percent=loading,
        edition=clean(str(properties.get("nessus_type") or "")),
        version=clean(str(properties.get("server_version") or "")),
        scan_api=None if scan_api is None else bool(scan_api),
        licensed_hosts=whole(license_.get("ips")) or None,
        used_hosts=whole(properties.get("used_ip_count")),
        max_scans=_max_scans(advanced),
        plugin_set_at=_plugin_set(properties.get("plugin_set")),
        license_expires_at=moment(license_.get("expiration_date"))
        or moment(properties.get("expiration")),
        boot_time=moment(properties.get("scanner_boottime")),
    )


def _unfinished_first(told: object, listed: object) -> object:
    """Two places tell a run's status and disagree for seconds: the one that has not ended
    counts, lest a report be exported that is still being written."""
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
        return datetime.strptime(str(value), "%Y%m%d%H%M").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
