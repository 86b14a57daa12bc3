"""What is left to scan."""

from __future__ import annotations

from collections.abc import Iterable

from nessus_sched.core.targets.address import Unreadable, parse_address
from nessus_sched.core.targets.ranges import difference, merged
from nessus_sched.core.targets.targets import TargetSet, targets_from


def remainder(targets: Iterable[str], finished: Iterable[str]) -> tuple[str, ...]:
    """`targets` without the hosts that were finished, given by address or name."""
    asked = targets_from(targets)
    names, addresses = set(), []
    for word in finished:
        try:
            addresses.append(parse_address(word))
        except Unreadable:
            names.add(word)
    return TargetSet(
        ranges=difference(asked.ranges, merged((each, each) for each in addresses)),
        names=tuple(name for name in asked.names if name not in names),
    ).texts
