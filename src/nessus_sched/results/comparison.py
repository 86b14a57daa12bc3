"""The result of comparing two scans, and how to describe it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.absence import MEANINGS, Reason


class Change(StrEnum):
    """How a finding changed from the earlier scan to the later one."""

    NEW = "new"
    """The earlier scan would have shown it."""
    NOT_CHECKED_BEFORE = "not_checked_before"
    """Only the later scan shows it, but the earlier one might have missed it."""
    FIXED = "fixed"
    """The later scan would have shown it."""
    NOT_CHECKED = "not_checked"
    """Only the earlier scan shows it, but the later one might have missed it."""
    CHANGED = "changed"
    """Both show it, with a different severity or compliance result."""
    PERSISTING = "persisting"


IN_BEFORE: Final = frozenset({Change.FIXED, Change.NOT_CHECKED})
"""Changes whose findings are from the earlier scan."""


@attrs.frozen(kw_only=True)
class Comparison:
    """Counts of findings by change and severity, of compliance checks by change and result (the
    later one, if both scans have it), which are in no severity; of those not checked by reason; and
    the hosts that only one scan saw (at most `MOST_HOSTS` each; the totals count all)."""

    severities: Mapping[Change, Mapping[str, int]]
    compliance_counts: Mapping[Change, Mapping[str, int]]
    not_checked: Mapping[Reason, int]
    not_checked_before: Mapping[Reason, int]
    hosts_added: tuple[str, ...]
    hosts_gone: tuple[str, ...]
    hosts_added_total: int
    hosts_gone_total: int
    hosts_in_both: int
    notes: tuple[str, ...] = ()


MOST_HOSTS: Final = 100
SAME: Final = "Both scans are the same one, so nothing can have changed."
SWAPPED: Final = (
    "The second scan ended before the first began: what it found is older. Swap the two to see "
    "what has changed since."
)


def notes(comparison: Comparison) -> tuple[str, ...]:
    """Caveats for concluding that something is fixed or new."""
    return (
        *_explained(
            comparison.not_checked,
            "{} may still be there: the later scan does not prove otherwise",
        ),
        *_explained(
            comparison.not_checked_before,
            "{} may be older: the earlier scan could have missed it",
        ),
    )


def _explained(reasons: Mapping[Reason, int], sentence: str) -> Iterator[str]:
    if not reasons:
        return
    yield sentence.format(pluralize(sum(reasons.values()), "finding")) + "."
    for reason, count in sorted(reasons.items(), key=lambda each: -each[1]):
        meaning, remedy = MEANINGS[reason]
        yield f"{reason}: {count}; {meaning}; to find out, {remedy}."
