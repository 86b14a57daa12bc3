"""The last parts of split tasks: when slots are idle while a part still has much before it, it is
stopped, and idle slots get what it has not finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from nessus_sched.core.parts import DEEPEST
from nessus_sched.core.pool.stragglers import Straggler, StragglerLimits
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState
from nessus_sched.core.text import lasting, pluralize
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import early_stop
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.split.split_task import SplitTask
from nessus_sched.scheduler.split.splits import Splits

LOOK: Final = 10.0
"""Seconds between two looks while parts of a task run and no more are to be cut."""
SHARE: Final = 5
"""A part is divided if it still takes a fifth of what parts should take: 6 of 30 minutes."""
FEWER: Final = 2
"""And if half of `part_min` targets are left. A limit of `part_min` itself would rule out the
smallest parts."""
SPARE: Final = 16
"""A part is divided only if its task may have this many more."""


class Stragglers:
    """Finds the parts to stop; their drivers stop them. `active_task` finds a task that a driver
    carries."""

    def __init__(
        self,
        context: Context,
        splits: Splits,
        active_task: Callable[[str], ActiveTask | None],
    ) -> None:
        self._context = context
        self._splits = splits
        self._active_task = active_task

    async def run(self) -> None:
        """Looks until canceled."""
        while True:
            await self._splits.some_last_parts()
            await trio.sleep(LOOK)
            self._look()

    def _look(self) -> None:
        """One part at a time: which slots are idle then changes."""
        for split in self._splits.in_last_parts():
            runs = [run for each in split.live() if (run := self._active_task(each)) is not None]
            if self._may_be_divided(split, runs):
                found = self._straggler(runs)
                if found is not None:
                    self._stop(found)
                    return

    def _may_be_divided(self, split: SplitTask, runs: list[ActiveTask]) -> bool:
        under_way = split.rests or any(early_stop.under_way(run) for run in runs)
        room = split.parts + SPARE <= self._context.config.scheduling.max_parts
        return room and not under_way

    def _straggler(self, runs: list[ActiveTask]) -> Straggler | None:
        scheduling = self._context.config.scheduling
        limits = StragglerLimits(
            least=scheduling.part_duration / SHARE, untouched=scheduling.part_min / FEWER
        )
        candidates = [run.task.task_id for run in runs if may_be_stopped(run)]
        return self._context.pool.straggler(candidates, limits, self._context.now())

    def _stop(self, found: Straggler) -> None:
        run = self._active_task(found.task_id)
        assert run is not None
        early_stop.divide(
            run,
            f"stopped because {pluralize(found.idle, 'slot')} had nothing to do while it would "
            f"have taken about {lasting(found.left)} more",
        )


def may_be_stopped(run: ActiveTask) -> bool:
    """Only in its first attempt, so that no target is scanned in vain again and again."""
    task = run.task
    return (
        task.part is not None
        and task.part.depth < DEEPEST
        and task.attempt == 1
        and not task.owed
        and not run.restored
        and task.state is TaskState.RUNNING
        and run.due is RequestedState.RUN
    )
