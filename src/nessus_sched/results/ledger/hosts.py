"""Which host of the ledger a host of a report is, and when it was scanned."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.results.identity import HostNames, plain_name
from nessus_sched.results.model import host_key

CLOCK_ERROR: Final = 3600
"""Seconds by which a scanner's clock may be wrong before its times are not used."""


def identity(names: HostNames, by: HostIdentity) -> str:
    """The key of a host. Two names that were scanned at one address remain two hosts: each may
    be a site of its own."""
    if by is HostIdentity.NAME:
        for name in (names.fqdn, names.netbios):
            if name:
                return host_key(name)
    return plain_name(names.key)


@attrs.frozen(kw_only=True)
class ScanOrigin:
    """What the scheduler knows about a scan that its report does not say.

    `series` is equal for scans that look for the same things; that of a report from elsewhere is
    empty, and its policy is used. `accepted` is when the scan was asked for, and `began` when it
    was launched (epoch seconds); None for a report from elsewhere. `targets` were to be scanned,
    None if unknown, and `left` are those that no scan has finished. `only` are the plugins that a
    scan to verify fixes was limited to: it says nothing about any other, nor about the host.
    `credentials` are the names of those that the scan was given. `settled` is when the task got
    the results that it has now (epoch seconds).
    """

    task_id: str
    series: str = ""
    accepted: float | None = None
    began: float | None = None
    targets: tuple[str, ...] | None = None
    left: tuple[str, ...] = ()
    only: frozenset[int] | None = None
    credentials: tuple[str, ...] = ()
    settled: float | None = None


def scan_time(origin: ScanOrigin, ended_at: float | None, imported_at: float) -> int | None:
    """When a host was scanned, or None if that is not known well enough to put its findings in
    order. `ended_at` is what the report says; a time that cannot be, because the scanner's clock
    is wrong, is replaced by that of the launch. `imported_at` is when the report was read."""
    latest = imported_at + CLOCK_ERROR
    if origin.began is None:
        return None if ended_at is None or not 0 < ended_at <= latest else int(ended_at)
    earliest = origin.began if origin.accepted is None else origin.accepted
    if ended_at is not None and earliest - CLOCK_ERROR <= ended_at <= latest:
        return int(ended_at)
    return int(origin.began)
