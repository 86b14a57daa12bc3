"""When a daemon that waits takes over (pure)."""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

import attrs

PATIENCE: Final = 10.0
"""Seconds without a sign of life after which the leader is replaced; longer than its lease."""
GAP: Final = 3.0
"""Seconds between two looks after which nothing is known of the time in between."""


class Verdict(Enum):
    WAIT = "wait"
    LEAD = "lead"
    """Nobody leads."""
    END = "end"
    """The leader gives no sign of life: end its session, then lead."""


@attrs.frozen
class Seen:
    """What the store shows: the sign of life changes with each write; `held`: a session of a leader
    is open."""

    sign: tuple[int, int]
    held: bool


class Watch:
    """Looks of one database session at the leader. Times are those of a steady clock that counts
    suspension.

    A lost session proves nothing about the leader, which probably lost its own at the same time:
    so each session begins with a new `Watch`, and only one that has seen the leader's session may
    conclude from its absence that the leader is gone.
    """

    def __init__(self) -> None:
        self._seen_held = False
        self._sign: tuple[int, int] | None = None
        self._since = self._looked = -math.inf

    def look(self, seen: Seen, now: float) -> Verdict:
        if seen.sign != self._sign or now - self._looked > GAP:
            self._sign, self._since = seen.sign, now
        self._looked = now
        self._seen_held |= seen.held
        silent = now - self._since >= PATIENCE
        if seen.held:
            return Verdict.END if silent else Verdict.WAIT
        return Verdict.LEAD if silent or self._seen_held else Verdict.WAIT
