"""The hosts of a scan, as far as it matters for its coverage, and which targets they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from nessus_sched.core.coverage import Coverage, Unfinished, cover
from nessus_sched.core.targets.address import Unreadable, parse_range, usual_address
from nessus_sched.core.targets.ranges import merged
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.results.coverage import HostCoverage
from nessus_sched.results.model import HostReport


@attrs.frozen(kw_only=True)
class ScannedHost:
    """A host of a report. `name` is as in the report, in lower case. Both facts are True if they
    are unknown, as in scans stored by old versions. `scanner_instance` scanned it; it ended at
    `ended_at` (ISO 8601, or the scanner's own clock, without zone). `login` and `logins` are
    as in `HostReport`."""

    name: str
    ip: str | None = None
    fqdn: str | None = None
    answered: bool = True
    ended: bool = True
    scanner_instance: str | None = None
    ended_at: str | None = None
    login: str | None = None
    logins: tuple[str, ...] = ()

    @property
    def reached(self) -> bool:
        return self.answered and self.ended

    @property
    def names(self) -> Iterator[str]:
        for each in (self.name, self.ip, self.fqdn):
            if each:
                yield each.lower().rstrip(".")


def scanned_host(host: HostReport, seen: HostCoverage) -> ScannedHost:
    """A host of a report that is read."""
    return ScannedHost(
        name=host.key, ip=host.ip, fqdn=host.fqdn, answered=seen.answered, ended=seen.ended
    )


def by_target(hosts: Iterable[ScannedHost]) -> dict[int | str, ScannedHost]:
    """The hosts by the addresses (as numbers) and names that they have in their report. Where
    several have one, the one that was scanned furthest counts."""
    found: dict[int | str, ScannedHost] = {}
    for host in hosts:
        for name in host.names:
            target = target_of(name)
            if target is None:
                continue
            earlier = found.get(target)
            if earlier is None or _how_far(earlier) < _how_far(host):
                found[target] = host
    return found


def covered(
    asked: TargetSet, left: Iterable[Unfinished], hosts: Mapping[int | str, ScannedHost]
) -> Coverage:
    """What became of the targets. A host name counts as scanned only where the report has it:
    which host an address belongs to is not known."""
    return cover(
        asked,
        left,
        _targets(target for target, host in hosts.items() if host.reached),
        _targets(target for target, host in hosts.items() if host.answered and not host.ended),
    )


def target_of(name: str) -> int | str | None:
    """The address (as a number) or host name that a name in a report is; None for what is no
    target, such as a network."""
    number = usual_address(name)  # much faster, and there may be 65,536
    if number is not None:
        return number
    try:
        found = parse_range(name)
    except Unreadable:
        return None
    if found is None:
        return name
    return found[0] if found[0] == found[1] else None


def _how_far(host: ScannedHost) -> int:
    return host.answered + host.reached


def _targets(targets: Iterable[int | str]) -> TargetSet:
    found = list(targets)
    return TargetSet(
        ranges=merged((each, each) for each in found if isinstance(each, int)),
        names=tuple(sorted(each for each in found if isinstance(each, str))),
    )
