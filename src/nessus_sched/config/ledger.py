"""The configuration of the ledger, the history of findings across scans."""

from __future__ import annotations

from enum import StrEnum

import attrs

from nessus_sched.config.types import DAY, Seconds
from nessus_sched.core.fields import field


class HostIdentity(StrEnum):
    """What makes a host the same one in the next scan."""

    ADDRESS = "address"
    NAME = "name"


@attrs.frozen(kw_only=True)
class LedgerSettings:
    """The ledger: how long each finding has been open, and whether it is fixed, across all scans.
    It outlives tasks and findings."""

    host_identity: HostIdentity = field(
        "How to recognize a host in later scans: `address` (the address or name that was "
        "scanned), or `name` (its DNS or NetBIOS name, if it has one) for networks with changing "
        "addresses. If you change this, hosts whose identity changes count as new.",
        default=HostIdentity.ADDRESS,
    )
    clean_within: Seconds = field(
        "A host without open findings is called clean only if its latest scan is no older than "
        "this, scanned it to the end, and logged in fully.",
        default=30 * DAY,
        minimum=DAY,
    )
    stale_after: Seconds = field(
        "Open findings that no scan has shown for longer than this are called stale.",
        default=90 * DAY,
        minimum=DAY,
    )
