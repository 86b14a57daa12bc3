"""What became of findings from one scan to a later one, and the words for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.text import number
from nessus_sched.results.absence import MEANINGS, Reason


class Change(StrEnum):
    """What became of a finding from the scan before to the scan after."""

    NEW = "new"
    """The scan before would have shown it."""
    NOT_CHECKED_BEFORE = "not_checked_before"
    """Only the scan after shows it, and the scan before might have missed it."""
    FIXED = "fixed"
    """The scan after would have shown it."""
    NOT_CHECKED = "not_checked"
    """Only the scan before shows it, and the scan after might have missed it."""
    CHANGED = "changed"
    """Both show it, with another severity or another result of the compliance check."""
    PERSISTING = "persisting"


IN_BEFORE: Final = frozenset({Change.FIXED, Change.NOT_CHECKED})
"""Changes whose findings are those of the scan before."""


@attrs.frozen(kw_only=True)
class Comparison:
    """Numbers of findings by change and severity; why findings were not checked, by
    reason; and the hosts that only one scan saw (at most `MOST_HOSTS` of each; the totals
    count all)."""

    severities: Mapping[Change, Mapping[str, int]]
    not_checked: Mapping[Reason, int]
    not_checked_before: Mapping[Reason, int]
    hosts_added: tuple[str, ...]
    hosts_gone: tuple[str, ...]
    hosts_added_total: int
    hosts_gone_total: int
    hosts_in_both: int
    notes: tuple[str, ...] = ()


MOST_HOSTS: Final = 100


def notes(comparison: Comparison) -> tuple[str, ...]:
    """What a reader must know before concluding that something is fixed or new."""
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
    yield sentence.format(number(sum(reasons.values()), "finding")) + "."
    for reason, count in sorted(reasons.items(), key=lambda each: -each[1]):
        meaning, remedy = MEANINGS[reason]
        yield f"{reason}: {count}; {meaning}; to know, {remedy}."
