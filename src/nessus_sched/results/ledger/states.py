"""The life of a finding across scans, and what each scan changes about it.

A scan says one of three things about a finding: it is there, it is gone (the scan would have
shown it), or the scan cannot tell, for a `Reason`. Scans are applied in the order of their times.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.results.absence import Reason


class State(IntEnum):
    """Stored by number. Those before `FIXED` are open."""

    NEW = 0
    """Seen by one scan."""
    ACTIVE = 1
    RESURFACED = 2
    """Seen again after it was fixed; stays until it is fixed again."""
    FIXED = 3

    @property
    def word(self) -> str:
        return self.name.lower()


AFTER_SIGHTING: Final[Mapping[State, State]] = MappingProxyType(
    {
        State.NEW: State.ACTIVE,
        State.ACTIVE: State.ACTIVE,
        State.RESURFACED: State.RESURFACED,
        State.FIXED: State.RESURFACED,
    }
)

OF_THE_HOST: Final = frozenset({Reason.HOST_DOWN, Reason.HOST_CHANGED, Reason.HOST_UNFINISHED})
"""Reasons that count whatever kind of scan it was."""


@attrs.frozen(kw_only=True)
class Life:
    """What the ledger knows about a finding; all times are epoch seconds of scans.

    `since` is when its present episode began: first seen, resurfaced or fixed. An open finding
    that the latest scan of its host could not confirm has a `reason`, and `unverified_since` is
    the first scan in a row that could not.
    """

    state: State
    first_seen: int
    last_seen: int
    since: int
    reason: Reason | None = None
    unverified_since: int | None = None
    resurfaced: int = 0

    @property
    def open(self) -> bool:
        return self.state < State.FIXED


def seen(life: Life | None, at: int) -> Life:
    """After a scan that shows the finding."""
    if life is None:
        return Life(state=State.NEW, first_seen=at, last_seen=at, since=at)
    back = not life.open
    return attrs.evolve(
        life,
        state=AFTER_SIGHTING[life.state],
        last_seen=at,
        since=at if back else life.since,
        reason=None,
        unverified_since=None,
        resurfaced=life.resurfaced + back,
    )


def gone(life: Life, at: int) -> Life:
    """After a scan that would have shown the finding and does not."""
    if not life.open:
        return life
    return attrs.evolve(life, state=State.FIXED, since=at, reason=None, unverified_since=None)


def unclear(life: Life, reason: Reason, at: int) -> Life:
    """After a scan that does not show the finding and could not have."""
    if not life.open:
        return life
    begun = at if life.unverified_since is None else life.unverified_since
    return attrs.evolve(life, reason=reason, unverified_since=begun)


def matters(reason: Reason, *, same_series: bool, login_tried: bool) -> bool:
    """Whether a scan that cannot tell leaves the finding unverified. A scan of another kind than
    the one that last showed it (narrower, without login) was not meant to confirm it, and says
    nothing about it, unless something was wrong with the host or its login."""
    if same_series or reason in OF_THE_HOST:
        return True
    return reason is Reason.LOGIN_FAILED and login_tried
