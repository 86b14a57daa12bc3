"""Chooses the targets of a rescan among the hosts of an earlier scan."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from nessus_sched.core.targets.address import usual_address
from nessus_sched.core.targets.ranges import overlap
from nessus_sched.core.targets.targets import TargetSet, includes
from nessus_sched.results.reached import ScannedHost


class Outcome(StrEnum):
    """The hosts of a scan by what became of them."""

    FAILED_LOGINS = "failed_logins"
    """Credentials were tried, but none worked."""
    NOT_REACHED = "not_reached"
    """Targets that no scan has finished."""
    SILENT = "silent"
    """Targets that were scanned and did not answer."""
    MATCHING = "matching"
    """Hosts that match filters."""


def targets_of(hosts: Iterable[ScannedHost], asked: TargetSet) -> list[str]:
    """The hosts as targets: by the first of their names that was asked for. Hosts that were not
    asked for are left out."""
    found = (next((n for n in host.names if _asked_for(asked, n)), None) for host in hosts)
    return list(dict.fromkeys(name for name in found if name is not None))


def _asked_for(asked: TargetSet, name: str) -> bool:
    address = usual_address(name)  # much faster, and there may be 65,536
    if address is not None:
        return overlap(((address, address),), asked.ranges)
    return includes(asked, name)
