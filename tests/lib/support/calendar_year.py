"""A year of schedules, windows and blackouts on model scanners, driven by events.

What is decided is decided by the program: what fires, what may start where and when, what is paused
or stopped. Here are only the clock, scanners that take their time, and a record of what happened.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random

import attrs

from nessus_sched.core.calendar.firing import decide, is_due
from nessus_sched.core.calendar.keeping import Overruns, PauseTimes, closing, next_look
from nessus_sched.core.calendar.schedule import Firing, FiringOutcome, Schedule
from nessus_sched.core.calendar.timetable import AtEnd, Timetable
from nessus_sched.core.pool.entry import QueueEntry, queue_entry
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import ScanKind, ScheduledFor, Task
from support.pools import WatchedPool

HOUR, DAY = 3600.0, 86400.0
HOURS_OF = {ScanKind.QUICK: 0.4, ScanKind.BASIC: 1.2, ScanKind.TRUSTED: 3.0}
"""Median hours that a scan of 16 addresses takes."""
MAX_PAUSE = DAY
NEXT_LOOK = 15.0
"""Seconds after which the program sees at the latest that a scanner has paused a scan."""


@attrs.frozen(kw_only=True)
class Model:
    """A scanner: how many times as long as usual it takes to scan, and usually to pause."""

    spec: ScannerSpec
    slowness: float
    lag: float


@attrs.frozen(kw_only=True)
class Segment:
    """A scan ran without a break; `lag` is how long the scanner took to pause or stop it."""

    task: Task
    scanner_id: str
    begin: float
    end: float
    lag: float


@attrs.frozen(kw_only=True)
class Wait:
    """From when to when a task waited for a start on a scanner."""

    scanner_id: str
    begin: float
    end: float


@attrs.define(kw_only=True, eq=False)
class Life:
    """A task: when it was submitted, first started, and ended (None: canceled)."""

    task: Task
    work: float
    """Seconds of scanning left on a scanner of the usual pace."""
    submitted: float
    started: float | None = None
    ended: float | None = None
    over: bool = False
    waits: list[Wait] = attrs.field(factory=list)


@attrs.define(kw_only=True, eq=False)
class Scan:
    """One on a scanner: running since `since`, with `left` seconds to go from there, or paused."""

    life: Life
    entry: QueueEntry
    model: Model
    left: float
    took: float
    since: float | None
    closed: bool = False
    changing: bool = False
    stopping: bool = False
    asked: float = 0.0
    paused_at: float = 0.0
    paused_for: float = 0.0
    turn: int = 0
    """Changes with every pause and resume, so that events of before are told apart."""


class CalendarYear:
    """`stalls` are spans in which nothing can fire (the disk is full, say)."""

    def __init__(
        self,
        models: Sequence[Model],
        schedules: Sequence[Schedule],
        timetable: Timetable,
        *,
        begin: float,
        seed: int,
        stalls: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.random = Random(seed)
        self.models = {each.spec.scanner_id: each for each in models}
        self.schedules = {each.schedule_id: each for each in schedules}
        self.timetable, self.stalls, self.now = timetable, stalls, begin
        self.pool = WatchedPool((each.spec for each in models), PoolSettings())
        self.pool.gate.set_timetable(timetable, lambda now: now, begin)
        self.pauses, self.overruns = PauseTimes(), Overruns()
        self.scans: dict[str, Scan] = {}
        self.lives: dict[str, Life] = {}
        self.waiting: dict[str, tuple[QueueEntry, float]] = {}
        self.segments: list[Segment] = []
        self.reported: list[tuple[str, float, float]] = []
        """Task, when, and how many seconds."""
        self.fired: list[tuple[str, float, str]] = []
        self.skipped: list[tuple[str, Firing]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._look_at = begin
        for schedule in schedules:
            self._arm(schedule)

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def run(self) -> None:
        """Until nothing is due and every scan has ended."""
        while self._events or self.scans or self.waiting:
            following = self._events[0][0] if self._events else math.inf
            if self._look_at <= following:
                self.now = max(self.now, self._look_at)
                self._look()
            else:
                self.now, _, event = heapq.heappop(self._events)
                event()
            self._drive()

    # Schedules, as `scheduler.schedules` drives them.

    def _arm(self, schedule: Schedule) -> None:
        self.schedules[schedule.schedule_id] = schedule
        if schedule.next_due is not None:
            self.at(schedule.next_due, lambda: self._fire(schedule.schedule_id))

    def _fire(self, schedule_id: str) -> None:
        schedule = self.schedules[schedule_id]
        if not is_due(schedule, self.now):
            return
        for begin, end in self.stalls:
            if begin <= self.now < end:
                self.at(end, lambda: self._fire(schedule_id))
                return
        last = self.lives.get(schedule.last_task or "")
        decision = decide(schedule, self.now, unfinished=last is not None and not last.over)
        if decision is None:
            return
        after = decision.schedule
        self.skipped += [(schedule_id, firing) for firing in decision.skipped]
        if decision.fire is not None:
            if decision.replace and last is not None:
                self._cancel(last)
            task_id = self._submit(schedule, decision.fire)
            self.fired.append((schedule_id, decision.fire, task_id))
            after = after.submitted(
                Firing(
                    nominal=decision.fire,
                    at=self.now,
                    outcome=FiringOutcome.SUBMITTED,
                    task_id=task_id,
                    reason=decision.late,
                )
            )
        self._arm(after)

    def _submit(self, schedule: Schedule, nominal: float) -> str:
        number = len(self.lives)
        task = attrs.evolve(
            schedule.template,
            task_id=f"t{number}",
            order=number,
            created_at=self.now,
            schedule=ScheduledFor(
                schedule_id=schedule.schedule_id, name=schedule.name, nominal=nominal
            ),
        )
        entry = queue_entry(task)
        usual = HOURS_OF[task.request.kind] * HOUR * (entry.packed.address_count / 16) ** 0.5
        work = usual * self.random.lognormvariate(0, 0.4)
        self.lives[task.task_id] = Life(task=task, work=work, submitted=self.now)
        self._place(entry)
        return task.task_id

    def _cancel(self, life: Life) -> None:
        life.over = True
        scan = self.scans.get(life.task.task_id)
        if scan is not None:
            self._stop(scan)
        elif self.waiting.pop(life.task.task_id, None) is not None:
            self.pool.withdraw(life.task.task_id, self.now)

    # Windows and blackouts, as `scheduler.timekeeper` drives them.

    def _look(self) -> None:
        self.pool.gate.look(self.now)
        for scan in list(self.scans.values()):
            self._look_at_scan(scan)
        self._plan_look()

    def _plan_look(self) -> None:
        own = {each.entry.between for each in self.scans.values()} - {None}
        soon = next_look(self.timetable, self.now, self.pauses.leads(), filter(None, own))
        self._look_at = min(soon, self.pool.gate.next_resume)

    def _look_at_scan(self, scan: Scan) -> None:
        entry, scanner_id = scan.entry, scan.model.spec.scanner_id
        asked = (entry.packed, entry.between, scanner_id, entry.pool)
        lead = self.pauses.lead(scanner_id)
        found = closing(self.timetable, asked, self.now, lead, paused=scan.since is None)
        over = found is not None and found.over and scan.since is not None
        seconds = self.overruns.note(entry.task_id, self.now, over=over and not scan.life.over)
        if seconds is not None:
            self.reported.append((entry.task_id, self.now, seconds))
        scan.closed = found is not None
        too_long = scan.since is None and self.now - scan.paused_at > MAX_PAUSE
        if found is not None and (found.rule.at_end is AtEnd.STOP or too_long):
            self._stop(scan)
        elif not (scan.changing or scan.stopping) and scan.closed is (scan.since is not None):
            self._change(scan)

    # What scanners do.

    def _place(self, entry: QueueEntry) -> None:
        self.waiting[entry.task_id] = entry, self.now
        self.pool.place(entry, self.now)

    def _drive(self) -> None:
        while self.pool.woken:
            self.random.shuffle(self.pool.woken)
            scanner_id = self.pool.woken.pop()
            while (entry := self.pool.take(scanner_id, self.now)) is not None:
                self._start(entry, self.models[scanner_id])

    def _start(self, entry: QueueEntry, model: Model) -> None:
        life = self.lives[entry.task_id]
        _, placed = self.waiting.pop(entry.task_id)
        life.waits.append(Wait(scanner_id=model.spec.scanner_id, begin=placed, end=self.now))
        if life.started is None:
            life.started = self.now
        took = life.work * model.slowness
        scan = Scan(life=life, entry=entry, model=model, left=took, took=took, since=self.now)
        self.scans[entry.task_id] = scan
        self.at(self.now + scan.left, lambda: self._complete(scan, 0))
        if entry.between is not None:
            self._plan_look()

    def _lag(self, scan: Scan) -> float:
        return scan.model.lag * self.random.uniform(0.7, 1.3)

    def _change(self, scan: Scan) -> None:
        """Pauses or resumes it."""
        scan.changing, scan.asked = True, self.now
        lag = self._lag(scan) if scan.since is not None else 2.0
        self.at(self.now + lag, lambda: self._changed(scan))

    def _changed(self, scan: Scan) -> None:
        if self.scans.get(scan.entry.task_id) is not scan:
            return
        scan.changing, scan.turn = False, scan.turn + 1
        if scan.since is not None:
            self._break(scan)
            scan.paused_at = self.now
            self.pool.note_pauses(scan.entry.task_id, scan.paused_for, self.now)
            self.pauses.record(scan.model.spec.scanner_id, self.now - scan.asked)
        else:
            turn, scan.since = scan.turn, self.now
            scan.paused_for += self.now - scan.paused_at
            self.pool.note_pauses(scan.entry.task_id, scan.paused_for, None)
            self.at(self.now + scan.left, lambda: self._complete(scan, turn))
        self.at(self.now + NEXT_LOOK, self._look)

    def _break(self, scan: Scan) -> None:
        """It does not run any more."""
        assert scan.since is not None
        lag = self.now - scan.asked if scan.asked > scan.since else 0.0
        self.segments.append(
            Segment(
                task=scan.life.task,
                scanner_id=scan.model.spec.scanner_id,
                begin=scan.since,
                end=self.now,
                lag=lag,
            )
        )
        scan.left -= self.now - scan.since
        scan.since = None

    def _stop(self, scan: Scan) -> None:
        if scan.stopping:
            return
        scan.stopping, scan.asked = True, self.now
        self.at(self.now + self._lag(scan), lambda: self._stopped(scan))

    def _stopped(self, scan: Scan) -> None:
        if self.scans.get(scan.entry.task_id) is not scan:
            return
        life, entry = scan.life, scan.entry
        self._leave(scan, finished=False)
        if life.over:
            self._settled(life)
            return
        life.work = scan.left / scan.model.slowness
        rest = _rest(entry, scan.left / scan.took)
        life.task = attrs.evolve(life.task, remaining=rest.targets.texts)
        self._place(rest)

    def _complete(self, scan: Scan, turn: int) -> None:
        if self.scans.get(scan.entry.task_id) is not scan or turn != scan.turn:
            return
        self._leave(scan, finished=True)
        scan.life.over, scan.life.ended = True, self.now
        self._settled(scan.life)

    def _leave(self, scan: Scan, *, finished: bool) -> None:
        if scan.since is not None:
            self._break(scan)
        task_id = scan.entry.task_id
        del self.scans[task_id]
        self.pool.release(task_id, self.now, finished=finished)
        for ended, seconds in self.overruns.ended(self.scans, self.now).items():
            self.reported.append((ended, self.now, seconds))

    def _settled(self, life: Life) -> None:
        assert life.task.request.name
        self._fire(life.task.request.name)

    # The state, for plans.

    def progress(self) -> Iterator[tuple[str, int]]:
        """How far running scans are, in percent."""
        for task_id, scan in self.scans.items():
            left = scan.left - (self.now - scan.since if scan.since is not None else 0.0)
            yield task_id, int(100 * max(0.0, 1 - left / scan.took) ** 1.2)


def _rest(entry: QueueEntry, share: float) -> QueueEntry:
    """With the last of its targets, as after a scan that had finished the others."""
    ((first, last),) = entry.targets.ranges
    size = max(1, round((last - first + 1) * share))
    return attrs.evolve(entry, targets=TargetSet(ranges=((last - size + 1, last),)))
