"""What became of the targets of a task: each has answered, was silent, or was not reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from nessus_sched.core.targets.ranges import intersection, merged
from nessus_sched.core.targets.targets import TargetSet, targets_from

LISTED: Final = 20
"""Ranges and names that were not reached which a document lists."""


def coverage(requested: Iterable[str], left: Iterable[str], answered: int) -> dict[str, Any]:
    """Counts of the `requested` targets, as a document.

    `left` are those that no scan has finished, `answered` is the number of hosts that were
    scanned to their end. The rest was covered by a scan and is in no report: it is `silent`.
    """
    asked, unfinished = targets_from(requested), targets_from(left)
    missing = TargetSet(
        ranges=intersection(merged(unfinished.ranges), asked.ranges),
        names=tuple(name for name in asked.names if name in set(unfinished.names)),
    )
    covered = asked.address_count - missing.address_count
    # Several names may be one host, and a report may have more hosts than were asked for.
    found = min(answered, covered)
    return {
        "requested": asked.address_count,
        "answered": found,
        "silent": covered - found,
        "not_reached": missing.address_count,
        "not_reached_targets": list(missing.texts[:LISTED]),
        "not_reached_left_out": max(0, len(missing.texts) - LISTED),
    }
