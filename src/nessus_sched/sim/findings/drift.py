"""How a simulated network changes over time: machines come and go, findings appear and get fixed.

Time is divided into weeks, which begin at a different moment for each machine and each finding. At
the beginning of its week, each has a chance to be decided again: whether it is there, with the
same likelihood as ever. So the network changes, but does not get better or worse on the whole, and
the same seed has the same network at the same time, on any simulator and after any restart.
"""

from __future__ import annotations

import math

import attrs

from nessus_sched.sim.seeded import share

WEEK = 7 * 86400.0
_LOOKED_BACK = 520
"""Weeks after which nothing older counts."""
MACHINES = 0.25
"""Machines change this much less often than findings."""


@attrs.frozen
class Drift:
    """The state of a network at one moment. `rate`: the share of findings that is decided again
    in a week, 0 for a network that never changes; `at` is in epoch seconds."""

    seed: int
    rate: float = 0.0
    at: float = 0.0

    def machine(self, member: str) -> float:
        """A number in [0, 1) that decides whether a machine answers."""
        return self._drawn(self.rate * MACHINES, "alive", member)

    def finding(self, ip: str, plugin_id: int, port: int) -> float:
        """A number in [0, 1) that decides whether a plugin finds something."""
        return self._drawn(self.rate, ip, plugin_id, port)

    def _drawn(self, rate: float, *subject: object) -> float:
        turn = self._turn(rate, subject)
        return share(self.seed, *subject) if turn is None else share(self.seed, *subject, turn)

    def _turn(self, rate: float, subject: tuple[object, ...]) -> int | None:
        """The week in which the subject was decided last."""
        if rate <= 0:
            return None
        phase = share(self.seed, "phase", *subject)
        this = math.floor(self.at / WEEK - phase)
        for week in range(this, this - _LOOKED_BACK, -1):
            if share(self.seed, "drift", *subject, week) < rate:
                return week
        return None
