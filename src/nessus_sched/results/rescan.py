"""Chooses the targets of a rescan among the hosts of an earlier scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

import attrs

from nessus_sched.core.targets.address import Unreadable, parse_range, usual_address
from nessus_sched.core.targets.ranges import Range, difference, merged, overlap
from nessus_sched.core.targets.targets import TargetSet, includes


class Outcome(StrEnum):
    """The hosts of a scan by what became of them."""

    FAILED_LOGINS = "failed_logins"
    """Credentials were tried, but none worked."""
    NOT_REACHED = "not_reached"
    """Targets that did not answer, or were not scanned to the end."""
    MATCHING = "matching"
    """Hosts that match filters."""


@attrs.frozen(kw_only=True)
class ScannedHost:
    """A host of a report. `name` is as in the report, in lower case. `reached`: it answered, and
    was scanned to the end; also True if that is unknown, as in scans stored by old versions."""

    name: str
    ip: str | None = None
    fqdn: str | None = None
    reached: bool = True

    @property
    def names(self) -> Iterator[str]:
        for each in (self.name, self.ip, self.fqdn):
            if each:
                yield each.lower().rstrip(".")


def targets_of(hosts: Iterable[ScannedHost], asked: TargetSet) -> list[str]:
    """The hosts as targets: by the first of their names that was asked for. Hosts that were not
    asked for are left out."""
    found = (next((n for n in host.names if _asked_for(asked, n)), None) for host in hosts)
    return list(dict.fromkeys(name for name in found if name is not None))


def not_reached(hosts: Iterable[ScannedHost], asked: TargetSet) -> TargetSet:
    """What was asked for and not reached. A host name counts as reached only where the report has
    it: which host an address belongs to is not known."""
    reached = {name for host in hosts if host.reached for name in host.names}
    taken = merged(found for name in reached if (found := _range(name)) is not None)
    return TargetSet(
        ranges=difference(asked.ranges, taken),
        names=tuple(name for name in asked.names if name not in reached),
    )


def _asked_for(asked: TargetSet, name: str) -> bool:
    address = usual_address(name)  # much faster, and there may be 65,536
    if address is not None:
        return overlap(((address, address),), asked.ranges)
    return includes(asked, name)


def _range(name: str) -> Range | None:
    address = usual_address(name)
    if address is not None:
        return address, address
    try:
        return parse_range(name)
    except Unreadable:
        return None
