"""How long a daemon may act without having heard from its store."""

from __future__ import annotations

import math
from typing import Final

import trio

from nessus_sched.core.clock import Now

SECONDS: Final = 9.0
"""How long a daemon may act after it began its latest successful write to a shared store."""
MARGIN: Final = 5.0
"""Seconds that a scanner may take to process a request whose sender has given up."""


class Lease:
    """Whether this daemon may change anything on a scanner: only while it is certain that no other
    daemon has taken over.

    It lasts `seconds` from the beginning of the latest write that succeeded; forever where a
    store has only one daemon. `now` must be a steady clock that counts suspension.
    """

    def __init__(self, now: Now, seconds: float = math.inf) -> None:
        self._now = now
        self.seconds = seconds
        self._confirmed = -math.inf
        self._renewed = trio.Event()
        self._taken_over_at: float | None = None

    @classmethod
    def forever(cls) -> Lease:
        """Of a store that nobody else can take over."""
        return cls(lambda: 0.0)

    def now(self) -> float:
        """On the clock of this lease, for `confirm`."""
        return self._now()

    def confirm(self, since: float) -> None:
        """A write that began at `since` has succeeded."""
        self._confirmed = max(self._confirmed, since)
        if self.held:
            self._renewed.set()
            self._renewed = trio.Event()

    def taken_over(self) -> None:
        """Another daemon led before and did not say that it had ended."""
        self._taken_over_at = self._now()

    @property
    def held(self) -> bool:
        return self.seconds == math.inf or self._now() - self._confirmed < self.seconds

    @property
    def renew_in(self) -> float:
        """Seconds until a write is needed to keep it; infinite if it lasts forever."""
        if self.seconds == math.inf:
            return math.inf
        return max(0.0, self._confirmed + self.seconds / 3 - self._now())

    async def wait(self) -> None:
        """Returns once it is held."""
        while not self.held:
            await self._renewed.wait()

    def unsettled_for(self, longest_request: float) -> float:
        """Seconds until no request of the daemon that led before can have an effect any more: it
        may have begun its last one at the end of its own lease."""
        if self._taken_over_at is None:
            return 0.0
        last = self._taken_over_at + self.seconds + longest_request + MARGIN
        return max(0.0, last - self._now())
