"""All split tasks: cuts their parts when slots are free, and follows from the states of the
parts what each task is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

import attrs
import trio

from nessus_sched.core import parts
from nessus_sched.core.command import Command
from nessus_sched.core.ids import part_id
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StaleTransition, StoreError, UnknownTask
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import RequestedState, Split, Task
from nessus_sched.scheduler.context import STORE_PATIENCE, Context
from nessus_sched.scheduler.split.merging import merged_results
from nessus_sched.scheduler.split.planning import part_sizes
from nessus_sched.scheduler.split.split_task import (
    Cut,
    SplitTask,
    entry_of,
    fit,
    next_cut,
    sample_of,
)
from nessus_sched.telemetry import events

LATE_RESULTS: Final = "partial_results_kept"
"""Results of a scan that was given up have arrived."""
_EVENTS: Final = {
    TaskState.QUEUED: "parts_waiting",
    TaskState.RUNNING: "parts_running",
    TaskState.EXPORTING: "parts_ended",
}
"""What the journal calls the entry into a state; others are called as the state."""


class Splits:
    """The unfinished split tasks. Their parts are ordinary tasks once they are stored."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._splits: dict[str, SplitTask] = {}
        self._of_part: dict[str, SplitTask] = {}
        """Of the parts that are not stored."""
        self._tasks: dict[str, Task] = {}
        """The records of those with a part that has begun."""
        self._changed: dict[str, SplitTask] = {}
        self._late: set[str] = set()
        """Tasks whose results must be merged again: those of a part came after its end."""
        self._wake = trio.Event()
        self._cut_up = trio.Event()
        """Set when the last part of a task may have been cut."""
        context.observers.append(self.observe)

    def of(self, task_id: str) -> SplitTask | None:
        return self._splits.get(task_id)

    def begun(self, task_id: str) -> Task | None:
        """An unfinished split task of which a part has begun."""
        return self._tasks.get(task_id)

    def commanded(self) -> list[str]:
        """The tasks that are to be paused or canceled."""
        every = self._splits.values()
        return [each.task_id for each in every if each.desired is not RequestedState.RUN]

    def in_last_parts(self) -> list[SplitTask]:
        """The tasks whose parts run while no more are to be cut."""
        return [split for split in self._splits.values() if split.last_parts]

    async def some_last_parts(self) -> None:
        """Returns once there are such tasks."""
        while not self.in_last_parts():
            self._cut_up = trio.Event()
            await self._cut_up.wait()

    async def run(self) -> None:
        """Updates the tasks whose parts have changed, until canceled."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                changed, self._changed = self._changed, {}
                for split in changed.values():
                    nursery.start_soon(self._update, split)
                ended = self._late.difference(self._splits)
                self._late -= ended
                for task_id in sorted(ended):
                    nursery.start_soon(self._merge_again, task_id)

    # Parts.

    def add(self, task: Task, accepted_at: float) -> SplitTask:
        """A split task that was just stored: its first parts go to the pool."""
        split = self._splits[task.task_id] = SplitTask(task, accepted_at)
        for entry in self._cut(split, task):
            self._context.pool.place(entry, self._context.now())
        return split

    async def restore(self, task: Task) -> list[QueueEntry]:
        """A split task from before a restart. Returns the entries of its next parts, for the
        pool."""
        accepted_at = self._context.recorded(task.created_at)
        split = self._splits[task.task_id] = SplitTask(task, accepted_at)
        assert task.split is not None
        if task.split.parts:
            for part in await self._context.store.parts_of(task.task_id):
                split.note(part)
            self._tasks[task.task_id] = task
        if task.split.parts or task.desired is RequestedState.CANCEL:
            self._touch(split)  # else nothing of it has begun
        return self._cut(split, task)

    def observe(self, task: Task, entry: JournalEntry) -> None:
        """Follows every change of a part."""
        if task.part is None:
            return
        split = self._splits.get(task.part.task_id)
        if entry.event == LATE_RESULTS and (split is None or split.ending):
            self._late.add(task.part.task_id)
            self._wake.set()
        if split is not None:
            split.note(task)
            if entry.before is not entry.after:
                self._touch(split)

    async def begin(self, task_id: str) -> Task | None:
        """The stored task that was taken from the pool; None if it must not begin any more. A part
        is stored only now, and the next one waits in its place."""
        split = self._of_part.get(task_id)
        if split is not None:
            task = await self._record_of(split)
            cut = split.waiting.pop(task_id, None)
            if cut is not None:
                split.taken[task_id] = self._fitted(split, task, cut)
                self._feed(split, task)
            async with split.lock:
                if task_id in split.taken:
                    await self._store(split, split.taken[task_id])
            self._of_part.pop(task_id, None)
        return await self._context.retry_store(lambda: self._context.store.get(task_id))

    def _cut(self, split: SplitTask, task: Task) -> list[QueueEntry]:
        if not split.feeds:
            return []
        context, found = self._context, []
        sizes = part_sizes(context)
        for group, _ in list(split.groups_to_feed(task)):
            start = split.next[group]
            fastest = context.pool.fastest(sample_of(task, group, start))
            number = split.parts + 1
            cut = next_cut(task, number, group, start, context.pool, sizes, fastest)
            entry = split.cut(task, cut, context.now())
            self._of_part[entry.task_id] = split
            found.append(entry)
        return found

    def _fitted(self, split: SplitTask, task: Task, cut: Cut) -> Cut:
        """The part that a scanner took, smaller if that scanner is slower than the fastest, or if
        there is no time for all of it."""
        context, task_id = self._context, part_id(task.task_id, cut.number)
        active = context.pool.active(task_id)
        if active is None:
            return cut
        sizes, scanner_id, now = part_sizes(context), active.scanner_id, context.now()
        here = next_cut(task, cut.number, cut.group, cut.start, context.pool, sizes, scanner_id)
        smaller = attrs.evolve(cut, size=min(cut.size, here.size))
        fitted = fit(smaller, entry_of(task, smaller, 0.0), context.pool, scanner_id, now)
        if fitted.size == cut.size:
            return cut
        split.next[cut.group] = fitted.start + fitted.size
        entry = entry_of(task, fitted, active.entry.accepted_at)
        context.pool.narrow(entry, now)
        return fitted

    def _feed(self, split: SplitTask, task: Task) -> None:
        for entry in self._cut(split, task):
            self._context.pool.place(entry, self._context.now())

    async def _store(self, split: SplitTask, last: Cut) -> None:
        """Stores a part that was taken, with those of its group that come before it: so there is
        no gap in what is cut, however the daemon ends."""
        context, task = self._context, await self._record_of(split)
        assert task.split is not None
        before = [each for each in split.taken.values() if each.group == last.group]
        new = sorted(filter(lambda each: each.start <= last.start, before), key=attrgetter("start"))
        made = [self._part(split, task, cut) for cut in new]
        entry = self._entry(task, "parts_cut", detail={"parts": [each.task_id for each in made]})
        first = [(each, self._entry(each, "cut", before=None)) for each in made]
        after = attrs.evolve(task, split=_cut_up_to(task.split, new))
        await context.retry_store(lambda: context.store.divide(after, entry, first))
        self._tasks[task.task_id] = after
        for part in made:
            del split.taken[part.task_id]
        for changed, why in ((after, entry), *first):
            context.announce(changed, why)

    def _part(self, split: SplitTask, task: Task, cut: Cut) -> Task:
        now = self._context.wall()
        return parts.next_part(
            task,
            number=cut.number,
            group=cut.group,
            start=cut.start,
            size=cut.size,
            order=self._context.next_order(),
            desired=split.desired,
            created_at=now,
            entered={TaskState.QUEUED: now},
        )

    # The task itself.

    async def obey(self, task_id: str, command: Command) -> list[str]:
        """Notes a command, and applies it to what is not stored yet. Returns the ids of the live
        parts, which need the command as well; none if the task is about to settle. Raises
        `StoreUnavailable`, and then nothing has changed."""
        split = self._splits.get(task_id)
        if split is None:
            return []
        async with split.lock:
            task = await self._record_of(split)
            if task.state in SETTLED or split.ending:
                return []
            after = attrs.evolve(task, **command.asked_of(task))
            cause = "" if command.error is None else command.cause
            entry = self._entry(task, command.event, actor=command.actor, cause=cause)
            await self._context.record(after, entry)
            self._tasks[task_id] = after
            split.desired = command.desired
            if command.desired is not RequestedState.RUN:
                split.put_back(split.taken)
        if command.desired is RequestedState.RUN:
            self._feed(split, after)
        else:
            self._withdraw(split)
        self._touch(split)
        return list(split.live())

    async def revive(self, task: Task, *, actor: str) -> list[str]:
        """Continues a settled task that has dead parts; returns their ids, to be retried. Raises
        `StoreError`, and then nothing has changed."""
        context = self._context
        found = await context.store.parts_of(task.task_id)
        again = {TaskState.DEAD, TaskState.PARTIAL}
        dead = [part.task_id for part in found if part.state in again]
        if dead:
            split = SplitTask(task, context.recorded(task.created_at))
            split.desired = RequestedState.RUN
            for part in found:
                split.note(part)
            now = context.wall()
            after = attrs.evolve(
                task,
                state=TaskState.RUNNING,
                desired=RequestedState.RUN,
                entered={**task.entered, TaskState.RUNNING: now},
                last_error=None,
                deadline=task.deadline_after(now),
            )
            entry = self._entry(after, "retried_by_operator", before=task.state, actor=actor)
            await context.record(after, entry)
            self._splits[task.task_id], self._tasks[task.task_id] = split, after
        return dead

    def _withdraw(self, split: SplitTask) -> None:
        """Takes the parts that wait out of the pool. They will be cut again."""
        for task_id in split.waiting:
            self._context.pool.withdraw(task_id, self._context.now())
            self._of_part.pop(task_id)
        split.put_back(split.waiting)

    def _touch(self, split: SplitTask) -> None:
        self._changed[split.task_id] = split
        self._wake.set()

    async def _update(self, split: SplitTask) -> None:
        """Records the state that follows from those of the parts. Cuts more if there is something
        left, and puts the results together once all have ended."""
        if not split.feeds:
            self._withdraw(split)
        async with split.lock:
            task = await self._record_of(split)
            self._cut_up.set()
            if split.ending or task.state in SETTLED:
                return
            if split.rests:
                task = await self._regroup(split, task)
            if split.taken:
                return
            assert task.split is not None
            state = parts.state_of(task.split, split.counts, split.desired)
            if state is not task.state:
                task = await self._advance(task, state)
            split.ending = state is TaskState.EXPORTING
            self._feed(split, task)
        if split.ending:
            await self._end(split)
        elif state in SETTLED:
            self._forget(split)

    async def _regroup(self, split: SplitTask, task: Task) -> Task:
        """What is left of parts that were stopped for idle slots can be cut again."""
        assert task.split is not None
        after = attrs.evolve(task, split=split.regroup(task.split))
        new = {*split.rests}
        if new:
            rests = {each.task_id: size_of(each.remaining or ()) for each in split.rests.values()}
            entry = self._entry(task, "rest_returned", detail={"targets": rests})
            await self._context.record_until_stored(after, entry)
            self._tasks[task.task_id] = after
            for number in new:
                del split.rests[number]
        return after

    async def _end(self, split: SplitTask) -> None:
        """The task settles with the results of all its parts."""
        changes = await self._merged(self._tasks[split.task_id])
        async with split.lock:
            await self._advance(self._tasks[split.task_id], **changes)
        self._forget(split)

    async def _merge_again(self, task_id: str) -> None:
        """A settled task gets the results of a part that were fetched after its end."""
        context = self._context
        async with context.turns.of(task_id):
            task = await context.retry_store(lambda: context.store.get(task_id))
            if task is None or task.state not in SETTLED or task_id in self._splits:
                return
            changes = await self._merged(task)
            after = attrs.evolve(task, **{**changes, "state": task.state})
            entry = self._entry(after, LATE_RESULTS)
            with suppress(UnknownTask, StaleTransition):  # purged or retried meanwhile
                await context.record_until_stored(after, entry)

    async def _merged(self, task: Task) -> dict[str, Any]:
        while True:
            try:
                return await merged_results(self._context, task)
            except (StoreError, OSError) as error:
                self._context.log.warning(events.STORE_UNAVAILABLE, reason=str(error))
                await trio.sleep(STORE_PATIENCE)

    async def _advance(self, task: Task, state: TaskState, **changes: Any) -> Task:
        now = self._context.wall()
        after = attrs.evolve(task, state=state, entered={**task.entered, state: now}, **changes)
        entry = self._entry(after, _EVENTS.get(state, str(state)), before=task.state)
        await self._context.record_until_stored(after, entry)
        self._tasks[task.task_id] = after
        return after

    def _forget(self, split: SplitTask) -> None:
        self._withdraw(split)
        self._wake.set()
        del self._splits[split.task_id]
        self._tasks.pop(split.task_id, None)

    async def _record_of(self, split: SplitTask) -> Task:
        """The task as stored; kept in memory once a part of it has begun."""
        task = self._tasks.get(split.task_id)
        if task is None:
            store = self._context.store
            task = await self._context.retry_store(lambda: store.get(split.task_id))
            assert task is not None, f"{split.task_id} is not settled"
            if split.states or split.taken:
                self._tasks[split.task_id] = task
        return task

    def _entry(self, task: Task, event: str, **fields: Any) -> JournalEntry:
        return JournalEntry(
            **{
                "at": self._context.wall(),
                "event": event,
                "actor": SYSTEM,
                "task_id": task.task_id,
                "before": task.state,
                "after": task.state,
                **fields,
            }
        )


def _cut_up_to(split: Split, new: Iterable[Cut]) -> Split:
    groups, number = list(split.groups), split.parts
    for cut in new:
        groups[cut.group] = attrs.evolve(groups[cut.group], cut=cut.start + cut.size)
        number = max(number, cut.number)
    return attrs.evolve(split, groups=tuple(groups), parts=number)
