"""Schedules: stored requests, and the loop that submits a task for each of their firings.

A firing is exactly one task: its idempotency key is the schedule's id with the time for which it
fires. A daemon that dies after storing the task, but before noting the firing, submits the same
request with the same key at its next start and gets that task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from nessus_sched.core.calendar.firing import Decision, decide, is_due
from nessus_sched.core.calendar.schedule import Firing, FiringOutcome, Schedule
from nessus_sched.core.calendar.second_tries import SecondTries
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.ids import new_schedule_id
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.outcome import request_document
from nessus_sched.core.states import SETTLED
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import ScheduledFor, Task
from nessus_sched.core.text import did_you_mean
from nessus_sched.scheduler.context import Context, RightsUnknown
from nessus_sched.scheduler.errors import (
    IdempotencyMismatch,
    NotPossible,
    QueueFull,
    RequestError,
    StoreDown,
)
from nessus_sched.scheduler.second_tries import Absent, next_step, no_hosts
from nessus_sched.scheduler.service import Service
from nessus_sched.telemetry import events

_DEFINED: Final = (
    "recurrence", "request", "missed", "catch_up", "overlap", "jitter", "until", "max_firings",
    "retry_absent",
)  # fmt: skip
"""What defines a schedule besides its name; the rest is its history."""
_NAME: Final = 80
"""Characters of a name in that of a second try."""


class UnknownSchedule(RequestError):
    code = "unknown_schedule"


class Schedules:
    """The schedules of the store, in memory. Commands may raise `RequestError`."""

    def __init__(self, context: Context, service: Service) -> None:
        self._context = context
        self._service = service
        self._by_id: dict[str, Schedule] = {}
        self._changed = trio.Event()
        self._turn = trio.Lock()
        self.on_firing: Callable[[FiringOutcome], None] = lambda _outcome: None
        """Called with what became of each firing, for the metrics."""
        self.absent: Absent = no_hosts
        context.observers.append(self._observe)

    async def restore(self) -> None:
        """Reads the schedules of the store. Raises `StoreUnavailable`."""
        found = await self._context.store.schedules()
        self._by_id = {schedule.schedule_id: schedule for schedule in found}

    async def run(self) -> None:
        """Fires what is due until canceled."""
        while True:
            self._changed = trio.Event()
            looked = self._context.wall()
            await self.look()
            due = [each.next_due for each in self._by_id.values()]
            due += [each.tries.due for each in self._by_id.values() if each.tries is not None]
            # What was due already could not fire, and is tried again at the next regular look.
            soon = min((at for at in due if at is not None and at > looked), default=math.inf)
            wait = max(soon - self._context.wall(), 0)
            with trio.move_on_after(min(wait, self._context.clock_checks)):
                await self._changed.wait()

    async def look(self) -> None:
        """Fires what is due now."""
        async with self._turn:
            for schedule in list(self._by_id.values()):
                try:
                    await self._look_at(schedule)
                    await self._try_again(schedule.schedule_id)
                except (StoreUnavailable, StoreDown, QueueFull, RightsUnknown) as error:
                    self._context.log.warning(
                        events.SCHEDULE_DELAYED, schedule=schedule.name, reason=str(error)
                    )

    def all(self) -> list[Schedule]:
        """All schedules, oldest first."""
        return list(self._by_id.values())

    def named(self, name: str) -> Schedule:
        """The schedule with that name or id. Raises `UnknownSchedule`."""
        for schedule in self._by_id.values():
            if name in (schedule.name, schedule.schedule_id):
                return schedule
        names = [schedule.name for schedule in self._by_id.values()]
        raise UnknownSchedule(
            f"no schedule {printable(name)!r}{did_you_mean(name, names)}",
            hint="list_schedules shows them",
        )

    async def add(self, schedule: Schedule, *, replace: bool = False) -> tuple[Schedule, bool]:
        """Stores a new schedule, whose id is not set yet. With `replace`, one of that name gets
        the new definition and keeps its history. Returns it, and whether anything changed."""
        async with self._turn:
            before = self._to_replace(schedule, replace=replace)
            if before is None:
                return await self._create(schedule), True
            if _defined_alike(before, schedule):
                return before, False
            defined = {name: getattr(schedule, name) for name in _DEFINED}
            after = attrs.evolve(before, **defined, decided=schedule.decided, tries=None)
            entry = self._defining_entry(after, "replaced")
            return await self._save_without_pending(after, entry), True

    def would_change(self, schedule: Schedule, *, replace: bool = False) -> bool:
        """Whether `add` would change anything. Raises what it would."""
        before = self._to_replace(schedule, replace=replace)
        return before is None or not _defined_alike(before, schedule)

    def _to_replace(self, schedule: Schedule, *, replace: bool) -> Schedule | None:
        """The schedule of that name; None if there is room for a new one. Raises `NotPossible`."""
        same = next((each for each in self._by_id.values() if each.name == schedule.name), None)
        if same is not None and not replace:
            raise NotPossible(
                f"a schedule {schedule.name!r} already exists",
                hint="choose another name, or replace it",
            )
        most = self._context.config.calendar.max_schedules
        if same is None and len(self._by_id) >= most:
            raise NotPossible(
                f"there are {len(self._by_id)} schedules already",
                hint="remove some, or have the operator raise calendar.max_schedules",
            )
        return same

    async def change(self, name: str, actor: str, change: str, **values: Any) -> Schedule:
        """Changes a schedule and journals it as `change`."""
        async with self._turn:
            before = self.named(name)
            after = attrs.evolve(before, **values)
            if after != before:
                await self._save(after, self._entry(after, change, actor))
            return after

    async def resume(self, name: str, *, actor: str) -> Schedule:
        """Lets a paused schedule fire again; what was due meanwhile does not run."""
        async with self._turn:
            before = self.named(name)
            after = attrs.evolve(before, paused=False, decided=self._context.wall())
            return await self._save_without_pending(after, self._entry(after, "resumed", actor))

    async def _save_without_pending(self, schedule: Schedule, entry: JournalEntry) -> Schedule:
        """Saves it, and skips the firing that waits for the task before, if one does."""
        if schedule.pending is None:
            await self._save(schedule, entry)
            return schedule
        done = entry.event.removeprefix("schedule_")
        firing = Firing(
            nominal=schedule.pending,
            at=self._context.wall(),
            outcome=FiringOutcome.SKIPPED,
            reason=f"the schedule was {done} while it waited for the previous task to end",
        )
        after = attrs.evolve(schedule, pending=None).with_firing(firing)
        await self._save(after, entry, self._firing_entry(after, firing))
        self._log(after, firing)
        return after

    async def remove(self, name: str, *, actor: str) -> Schedule:
        """Deletes a schedule. A task that it has submitted continues."""
        async with self._turn:
            schedule = self.named(name)
            entry = self._entry(schedule, "removed", actor)
            try:
                await self._context.store.delete_schedule(schedule.schedule_id, entry)
            except StoreUnavailable as error:
                raise StoreDown(f"nothing was changed: {error}") from error
            del self._by_id[schedule.schedule_id]
            self._note_change(schedule, "removed", actor)
            return schedule

    async def run_now(self, name: str, *, actor: str) -> Schedule:
        """Submits a task at once; the calendar stays as it is."""
        async with self._turn:
            schedule, now = self.named(name), self._context.wall()
            try:
                task_id = await self._submit(schedule, now, on_request=True)
            except RightsUnknown as error:
                raise NotPossible(f"nothing was submitted: {error}") from error
            firing = Firing(
                nominal=now,
                at=now,
                outcome=FiringOutcome.SUBMITTED,
                task_id=task_id,
                reason=f"run on request of {actor}",
            )
            after = schedule.submitted(firing, count=0)
            await self._save(after, self._entry(after, "run_now", actor, task_id=task_id))
            return after

    async def _create(self, schedule: Schedule) -> Schedule:
        named = new_schedule_id(self._context.random, schedule.created_at)
        schedule = attrs.evolve(schedule, schedule_id=named)
        await self._save(schedule, self._defining_entry(schedule, "created"))
        return schedule

    async def _look_at(self, schedule: Schedule) -> None:
        now = self._context.wall()
        if not is_due(schedule, now):
            return
        decision = decide(schedule, now, unfinished=await self._unfinished(schedule))
        if decision is None:
            return
        after = decision.schedule
        entries = [self._firing_entry(after, firing) for firing in decision.skipped]
        if decision.fire is not None:
            firing = await self._fire(schedule, decision, now)
            fired = firing.outcome is FiringOutcome.SUBMITTED
            after = after.submitted(firing) if fired else after.with_firing(firing)
            entries.append(self._firing_entry(after, firing))
        # If the store fails here, the next look gets the same task by its key.
        await self._context.store.save_schedule(after, *entries)
        self._by_id[after.schedule_id] = after
        for firing in after.recent[len(after.recent) - len(entries) :]:
            self._log(after, firing)

    async def _try_again(self, schedule_id: str) -> None:
        """Takes the second tries of the latest firing as far as they go now. Each step is stored
        before the next one."""
        context, store = self._context, self._context.store
        while True:
            before = self._by_id[schedule_id]
            after = await next_step(before, context.wall(), store.get, self.absent)
            if after is None:
                break
            await store.save_schedule(after)
            self._by_id[schedule_id] = after
        tries, rule = before.tries, before.retry_absent
        if rule is None or tries is None or not tries.targets:
            return
        number = f"{len(tries.tasks) + 1} of {rule.times}"
        task_id, reason = None, ""
        try:
            task_id = await self._submit(before, tries.nominal, tries=tries)
            tries = tries.submitted(task_id, rule.times)
        except (StoreDown, QueueFull):
            raise
        except RequestError as error:
            reason = context.mask(str(error))
            tries = tries.ended(f"it was refused: {reason}")
        detail = {"nominal": tries.nominal, "task_id": task_id, "number": number}
        entry = attrs.evolve(self._entry(before, "tried_again", SYSTEM, **detail), cause=reason)
        after = attrs.evolve(before, tries=tries)
        await store.save_schedule(after, entry)
        self._by_id[schedule_id] = after
        told = {"schedule": before.name, "nominal": tries.nominal, "task_id": task_id}
        context.log.info(events.SCHEDULE_TRIED_AGAIN, **told, number=number, reason=reason)

    async def _fire(self, schedule: Schedule, decision: Decision, now: float) -> Firing:
        assert decision.fire is not None
        if decision.replace and schedule.last_task is not None:
            with suppress(NotPossible):  # it has ended meanwhile
                await self._service.cancel(schedule.last_task, actor=SYSTEM)
        firing = Firing(nominal=decision.fire, at=now, outcome=FiringOutcome.SUBMITTED)
        try:
            task_id = await self._submit(schedule, decision.fire)
        except (StoreDown, QueueFull):
            raise
        except IdempotencyMismatch:
            return attrs.evolve(firing, reason="it had fired before the schedule was changed")
        except RequestError as error:
            reason = self._context.mask(f"{error}; {error.hint}" if error.hint else str(error))
            return attrs.evolve(firing, outcome=FiringOutcome.FAILED, reason=reason)
        return attrs.evolve(firing, task_id=task_id, reason=decision.late)

    async def _submit(
        self,
        schedule: Schedule,
        nominal: float,
        *,
        tries: SecondTries | None = None,
        on_request: bool = False,
    ) -> str:
        """Submits a firing, or the next one of its second tries. A firing of the calendar is
        submitted once; one on request as often as it is requested. Raises `RequestError` or
        `RightsUnknown`."""
        request, until, number = schedule.request, None, 0
        key = None if on_request else f"{schedule.schedule_id}@{nominal:.0f}"
        if tries is not None:
            number = len(tries.tasks) + 1
            # A name of its own, since the name of the schedule means its latest whole scan.
            name = f"{(request.name or schedule.name)[:_NAME]}, absent hosts"
            request = attrs.evolve(request, targets=tries.targets, name=name)
            key, until = f"{key}/{number}", schedule.next_due
        rights = await self._context.rights_to(schedule.template)
        if rights.refusal is not None:
            raise RequestError(rights.refusal, code=ErrorKind.NOT_PERMITTED)
        submission = await self._service.submit(
            request,
            actor=schedule.actor,
            submitter=schedule.submitter,
            idempotency_key=key,
            scopes=rights.scopes,
            schedule=ScheduledFor(
                schedule_id=schedule.schedule_id,
                name=schedule.name,
                nominal=nominal,
                until=until,
                number=number,
            ),
        )
        return submission.view.task.task_id

    async def _unfinished(self, schedule: Schedule) -> bool:
        if schedule.last_task is None:
            return False
        task = await self._context.store.get(schedule.last_task)
        return task is not None and task.state not in SETTLED

    async def _save(self, schedule: Schedule, entry: JournalEntry, *more: JournalEntry) -> None:
        try:
            await self._context.store.save_schedule(schedule, entry, *more)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        self._by_id[schedule.schedule_id] = schedule
        self._note_change(schedule, entry.event.removeprefix("schedule_"), entry.actor)

    def _note_change(self, schedule: Schedule, change: str, actor: str) -> None:
        self._context.log.info(
            events.SCHEDULE_CHANGED, schedule=schedule.name, change=change, actor=actor
        )
        self._changed.set()

    def _entry(self, schedule: Schedule, change: str, actor: str, **detail: Any) -> JournalEntry:
        named = {
            "schedule": schedule.name,
            "schedule_id": schedule.schedule_id,
            "when": schedule.recurrence.definition,
            **detail,
        }
        return JournalEntry(
            at=self._context.wall(), event=f"schedule_{change}", actor=actor, detail=named
        )

    def _defining_entry(self, schedule: Schedule, change: str) -> JournalEntry:
        """With what its tasks are to do."""
        request = self._context.mask.masked(request_document(schedule.request))
        return self._entry(schedule, change, schedule.actor, request=request)

    def _firing_entry(self, schedule: Schedule, firing: Firing) -> JournalEntry:
        detail: Mapping[str, Any] = {"nominal": firing.nominal, "task_id": firing.task_id}
        word = "fired" if firing.outcome is FiringOutcome.SUBMITTED else firing.outcome
        entry = self._entry(schedule, word, SYSTEM, **detail)
        return attrs.evolve(entry, cause=self._context.mask(firing.reason))

    def _log(self, schedule: Schedule, firing: Firing) -> None:
        self.on_firing(firing.outcome)
        log, told = self._context.log, {"schedule": schedule.name, "nominal": firing.nominal}
        if firing.outcome is FiringOutcome.SUBMITTED:
            log.info(events.SCHEDULE_FIRED, **told, task_id=firing.task_id, reason=firing.reason)
        elif firing.outcome is FiringOutcome.FAILED:
            log.error(events.SCHEDULE_FAILED, **told, reason=firing.reason)
        else:
            in_row = schedule.skipped_in_row
            log.warning(events.SCHEDULE_SKIPPED, **told, reason=firing.reason, in_row=in_row)

    def _observe(self, task: Task, _entry: JournalEntry) -> None:
        """A firing may wait for the task before."""
        if task.schedule is not None and task.state in SETTLED:
            self._changed.set()


def _defined_alike(before: Schedule, schedule: Schedule) -> bool:
    anchored = attrs.evolve(schedule.recurrence, start=before.recurrence.start)
    defined = {name: getattr(schedule, name) for name in _DEFINED} | {"recurrence": anchored}
    return all(getattr(before, name) == value for name, value in defined.items())
