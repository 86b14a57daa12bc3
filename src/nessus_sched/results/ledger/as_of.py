"""Findings as they stood at a time in the past."""

from __future__ import annotations

import attrs

from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.scope import Rules
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.states import State

AsOfPlace = tuple[str, int, int, int]
"""The place of a finding in the order in which they are read: by host, plugin and port."""


@attrs.frozen(kw_only=True)
class AsOfQuery:
    """What scans until `at` (epoch seconds) had shown: findings that were open then, and those
    that were fixed from `fixed_since` on (None for none of them). `region` limits the hosts by
    address or name, and `labelled` by their labels. `least_severity` (0 to 4) is that of the
    scanner, then. `after` continues."""

    at: int
    fixed_since: int | None = None
    least_severity: int = 1
    region: Rules | None = None
    labelled: Labelled | None = None
    limit: int = 1000
    after: AsOfPlace | None = None


@attrs.frozen(kw_only=True)
class PastFinding:
    """A finding at a time in the past; times are epoch seconds of scans.

    `state` is active for one that was new then, too. `last_seen` is known of findings that were
    fixed or unverified; others were confirmed by the latest scan of their kind, and
    `host_scanned` is the time of the latest scan of the host (None if not known). `since` is when
    the state began. `first_task_id` is the scan that first showed it, and `fixed_task_id` the one
    that proved it gone.
    """

    host: str
    ip: str | None
    fqdn: str | None
    port: int
    protocol: str
    plugin_id: int
    name: str | None
    check: str | None
    severity: int
    cves: tuple[str, ...]
    exploited: bool
    solution: str | None
    state: State
    reason: Reason | None
    first_seen: int
    last_seen: int | None
    since: int
    unverified_since: int | None
    resurfaced: int
    host_scanned: int | None
    first_task_id: str
    fixed_task_id: str | None


@attrs.frozen(kw_only=True)
class AsOfPage:
    """`after` continues, None at the end."""

    findings: tuple[PastFinding, ...]
    after: AsOfPlace | None
