"""What changed between two scans: new, fixed and persisting findings.

A finding is known by its key. A host that only one of the scans saw is kept apart: its
findings are neither fixed nor new, since nobody looked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import attrs

from nessus_sched.results.model import Finding


class FindingKey(NamedTuple):
    """What makes a finding the same in two scans. `check` tells the checks of an audit
    apart, which share one plugin id; empty for other findings."""

    host: str
    port: int | None
    protocol: str | None
    plugin_id: int | None
    check: str = ""


def finding_key(finding: Finding) -> FindingKey:
    return FindingKey(
        host=finding.host,
        port=finding.port,
        protocol=finding.protocol,
        plugin_id=finding.plugin.plugin_id,
        check=compliance_check(finding),
    )


def compliance_check(finding: Finding) -> str:
    """What names a check of an audit: its id, else its name and audit file; "" if the
    finding is none."""
    check = finding.compliance
    if check is None:
        return ""
    return check.check_id or "\x1f".join((check.check_name or "", check.audit_file or ""))


@attrs.frozen(kw_only=True)
class Comparison:
    """`only_before` and `only_after` are hosts one scan did not see; `not_compared` are
    the numbers of findings on them, before and after. Keys are in order."""

    new: tuple[FindingKey, ...]
    fixed: tuple[FindingKey, ...]
    persisting: tuple[FindingKey, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    not_compared: tuple[int, int]


def compare(
    before: Iterable[FindingKey],
    after: Iterable[FindingKey],
    *,
    hosts_before: Iterable[str],
    hosts_after: Iterable[str],
) -> Comparison:
    """Compares two scans by the keys of their findings and the keys of the hosts they saw.

    A host without findings was still seen and must be in its scan's hosts. A finding that
    a report repeats counts once.
    """
    seen_before, seen_after = set(hosts_before), set(hosts_after)
    both = seen_before & seen_after
    old, old_apart = _split(before, both)
    now, now_apart = _split(after, both)
    return Comparison(
        new=_ordered(now - old),
        fixed=_ordered(old - now),
        persisting=_ordered(old & now),
        only_before=tuple(sorted(seen_before - seen_after)),
        only_after=tuple(sorted(seen_after - seen_before)),
        not_compared=(old_apart, now_apart),
    )


def fixed_by_host(comparison: Comparison) -> dict[str, int]:
    """Fixed findings per host: many at once on one host mean a lost login more often than
    a diligent administrator."""
    counts: dict[str, int] = defaultdict(int)
    for key in comparison.fixed:
        counts[key.host] += 1
    return dict(counts)


def _split(keys: Iterable[FindingKey], hosts: set[str]) -> tuple[set[FindingKey], int]:
    compared: set[FindingKey] = set()
    apart: set[FindingKey] = set()
    for key in keys:
        (compared if key.host in hosts else apart).add(key)
    return compared, len(apart)


def _ordered(keys: set[FindingKey]) -> tuple[FindingKey, ...]:
    def order(key: FindingKey) -> tuple[object, ...]:
        return (key.host, key.port or 0, key.protocol or "", key.plugin_id or 0, key.check)

    return tuple(sorted(keys, key=order))
