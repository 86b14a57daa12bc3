"""Second tries: after a firing, scan again the hosts that were not there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from nessus_sched.core.text import lasting


@attrs.frozen(kw_only=True)
class RetryAbsent:
    """`after` is in seconds, from the end of the scan before."""

    times: int
    after: float

    def notes(self, firings: Sequence[float]) -> list[str]:
        """What may surprise, with the next firings of a schedule: one ends the tries of the one
        before."""
        gaps = [later - earlier for earlier, later in pairwise(firings)]
        if not gaps or self.after < min(gaps):
            return []
        after = lasting(self.after)
        return [f"The next firing comes before a second try {after} after a scan: there is none."]


@attrs.frozen(kw_only=True)
class SecondTries:
    """The second tries of the firing for `nominal`. The next one scans hosts that `task_id` did not
    find: `due` is when (epoch seconds; None while that task has not ended), and `targets` which,
    stored before they are submitted, so that a repeated submission is the same. `tasks` are the
    tries so far. `over` says why there will be no more.
    """

    nominal: float
    task_id: str
    due: float | None = None
    targets: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    over: str = ""

    def ended(self, why: str) -> SecondTries:
        return attrs.evolve(self, due=None, targets=(), over=why)

    def submitted(self, task_id: str, most: int) -> SecondTries:
        """After one try more, of `most`."""
        tasks = (*self.tasks, task_id)
        after = attrs.evolve(self, task_id=task_id, due=None, targets=(), tasks=tasks)
        return after.ended("no more tries") if len(tasks) >= most else after
