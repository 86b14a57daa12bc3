"""Files waiting tasks again after a change of the configuration, some at a time.

100,000 tasks take seconds, in which the daemon does other things. Nothing may start
meanwhile: entries that were filed by different settings cannot be compared.
"""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.state import PoolState

PATIENCE: Final = 5_000
"""Work of one step, 10 ms at most: each target counts as one, and the task itself as `EACH`."""
EACH: Final = 20


@attrs.define(kw_only=True, eq=False)
class Refiling:
    """Before, between and after its steps the queues are consistent, whatever else changes."""

    state: PoolState
    _left: list[Waiting] = attrs.field(factory=list, init=False)
    _unpark: bool = attrs.field(default=False, init=False)

    @property
    def unfinished(self) -> bool:
        return bool(self._left)

    def begin(self, *, unpark: bool) -> None:
        """Once more for all that wait now. `unpark`: which task waits for which may change too."""
        self._left = list(self.state.queues)
        self._unpark |= unpark

    def step(self) -> bool:
        """Files some; returns whether any are left."""
        work = 0
        while self._left and work < PATIENCE:
            waiting = self._left.pop()
            if self.state.queues.get(waiting.entry.task_id) is waiting:
                work += EACH + waiting.entry.packed.size
                self._file(waiting)
        self._unpark &= self.unfinished
        return self.unfinished

    def _file(self, waiting: Waiting) -> None:
        queues, guard = self.state.queues, self.state.guard
        reach = self.state.reachability.reach(waiting.entry)
        stays = reach == waiting.reach and queues.key(waiting) == waiting.key
        if not stays or (self._unpark and waiting.group is not None):
            guard.leave(waiting)
            queues.refile(waiting, reach)
