"""Limits of time: whether findings are fixed soon enough after they were first seen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.scope import Rules


class SlaState(StrEnum):
    ON_TIME = "on_time"
    DUE = "due"
    """Open, and its limit is near."""
    BREACHED = "breached"
    """Open, and past its limit."""
    MET = "met"
    """Fixed before its limit."""
    MET_LATE = "met_late"


IN_TIME: Final = frozenset({SlaState.ON_TIME, SlaState.DUE, SlaState.MET})


@attrs.frozen(kw_only=True)
class SlaQuery:
    """Findings that are open at `now`, and those that were fixed from `since` on (epoch seconds)
    and are not open again. `region` limits the hosts by address or name, and `labelled` by their
    labels."""

    limits: SlaSettings
    since: float
    now: float
    region: Rules | None = None
    labelled: Labelled | None = None


@attrs.frozen(kw_only=True)
class SlaCounts:
    """`counts` has the number of findings with a limit by state and severity (after exceptions;
    of fixed ones that of the scanner). Open findings that an exception accepts or calls false are
    in `excepted` instead, by severity. `unlimited` ones are open and have no limit."""

    counts: Mapping[SlaState, Mapping[str, int]]
    excepted: Mapping[str, int]
    unlimited: int

    def total(self, state: SlaState) -> int:
        return sum(self.counts.get(state, {}).values())

    @property
    def share_in_time(self) -> float | None:
        """Of those with a limit, how many are or were in time, from 0 to 1; None without any."""
        every = sum(map(self.total, SlaState))
        return sum(map(self.total, IN_TIME)) / every if every else None


def limit_of(limits: SlaSettings, severity: int, *, exploited: bool) -> float | None:
    """The seconds from first seen until a finding should be fixed; None for no limit. `severity`
    is 0 to 4, or below 0 for one that is unknown, which counts as critical."""
    by_severity = (None, limits.low, limits.medium, limits.high, limits.critical)
    own = by_severity[severity]
    sooner = limits.exploited if exploited and severity != 0 else None
    return min((each for each in (own, sooner) if each is not None), default=None)


def state_of(
    limits: SlaSettings,
    *,
    first_seen: float,
    severity: int,
    exploited: bool,
    now: float,
    fixed_at: float | None = None,
) -> SlaState | None:
    """None if there is no limit."""
    limit = limit_of(limits, severity, exploited=exploited)
    if limit is None:
        return None
    due = first_seen + limit
    if fixed_at is not None:
        return SlaState.MET if fixed_at <= due else SlaState.MET_LATE
    if now > due:
        return SlaState.BREACHED
    return SlaState.DUE if now > due - limits.due_soon else SlaState.ON_TIME
