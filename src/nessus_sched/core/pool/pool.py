"""Scheduling decisions: which task waits in which queue, which runs where, and which is next.

Pure: every method takes the time as an argument and returns at once. When something changes for
a scanner, `on_wake` names it, and its driver calls `take` until that returns None; `deadline` is
when to call again without being woken, so nothing polls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

import attrs

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.estimates import Estimate
from nessus_sched.core.pool.explain import explain
from nessus_sched.core.pool.gate import Gate
from nessus_sched.core.pool.overlap import OverlapGuard
from nessus_sched.core.pool.queries import PoolQueries
from nessus_sched.core.pool.queues import Queues, Reach, Waiting
from nessus_sched.core.pool.refiling import Refiling
from nessus_sched.core.pool.routing import Placement, Reachability, RoutingCase
from nessus_sched.core.pool.scanners import PoolScanner, ScannerSpec
from nessus_sched.core.pool.state import Active, PoolSettings, PoolState
from nessus_sched.core.pool.task_mover import TaskMover, queue_name
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import TargetSet

PATIENCE: Final = 20_000
"""Work of one call of `take`, some 10 ms: each target of a blocked task counts as one, and the
task itself as `EACH`."""
EACH: Final = 50
UNFIT: Final = 200
"""Tasks that have no time on a scanner, after which no more are looked at in a call of `take`."""


class Pool(PoolQueries):
    """`on_wake(scanner_id)`: this scanner may have something to take now. It is called in the
    midst of a method here and must only take note."""

    def __init__(
        self,
        settings: PoolSettings,
        *,
        on_wake: Callable[[str], None] = lambda _scanner_id: None,
    ) -> None:
        super().__init__(
            PoolState(
                queues=Queues(
                    ageing_after=settings.ageing_after, fairness_after=settings.fairness_after
                ),
                guard=OverlapGuard(enabled=settings.overlap_guard),
                breaker=settings.breaker,
            )
        )
        self._mover = TaskMover(state=self._state, on_wake=on_wake)
        self._refiling = Refiling(state=self._state)
        self.gate = Gate(state=self._state, mover=self._mover)
        """Windows, blackouts and the limits of networks."""

    # Tasks.

    def place(self, entry: QueueEntry, now: float) -> Placement:
        """Puts a task into the queue that routing gives it. Also for a task that comes
        back after a failed attempt: it gets the place of its acceptance."""
        assert entry.task_id not in self._state.active, f"{entry.task_id} holds a slot"
        if entry.pinned is not None:
            self._state.scanner_or_removed(entry.pinned)
        case, scanner = self._mover.route(entry, now)
        waiting = self._mover.enqueue(entry, scanner, self._state.reachability.reach(entry))
        if scanner is not None:
            self._mover.wake(scanner, now)
        return self._placement(case, waiting, now)

    def preview(self, entry: QueueEntry, now: float) -> Placement:
        """Where `place` would put it; changes nothing. The scanner must be known."""
        case, scanner = self._mover.route(entry, now)
        reach = self._state.reachability.reach(entry)
        waiting = self._state.queues.draft(entry, queue_name(scanner), reach)
        return self._placement(case, waiting, now)

    def estimate_if_queued(self, entry: QueueEntry, now: float) -> Estimate | None:
        """When it would start if it were placed now; None when nothing is known."""
        _, scanner = self._mover.route(entry, now)
        queues = self._state.queues
        queues.enqueue(entry, queue_name(scanner), self._state.reachability.reach(entry))
        try:
            return self.estimate(entry.task_id, now)
        finally:
            queues.remove(entry.task_id)

    def restore(self, entries: Iterable[QueueEntry], now: float, *, more: bool = False) -> None:
        """Rebuilds the queues after a restart, in the order of acceptance. `more` entries
        follow in another call: until then nothing starts."""
        self._state.restoring = more
        full = set[Reach]()
        for entry in sorted(entries, key=lambda each: each.order):
            if entry.pinned is not None:
                self._state.scanner_or_removed(entry.pinned)
            reach = self._state.reachability.reach(entry)
            scanner = None
            if reach not in full:
                case, scanner = self._mover.route(entry, now)
                if case is RoutingCase.OVERFLOW:
                    full.add(reach)
            self._mover.enqueue(entry, scanner, reach)
        self._mover.wake_all(now)

    def take(self, scanner_id: str, now: float) -> QueueEntry | None:
        """The next task for that scanner, with its slot borrowed, or None when nothing
        may start there now, or when it takes longer to find out: then the scanner is woken.
        Give the slot back with `release`."""
        scanner = self._state.scanner(scanner_id)
        if self._state.paused or self._state.restoring or scanner.free(now) == 0:
            return None
        if self._refiling.unfinished and self.refile(now):
            self._mover.wake(scanner, now)
            return None
        work, unfit = 0, set[str]()
        while (waiting := self._head(scanner, unfit)) is not None:
            if work > PATIENCE:
                self._mover.wake(scanner, now)
                return None
            work += EACH + waiting.entry.packed.size
            blocker = self._state.blocker(waiting)
            if blocker is not None:
                self._mover.park(waiting, blocker)
                self.gate.passed_over(waiting.entry, now)
            elif self.gate.admits(scanner, waiting, now):
                scanner.suspension.begin(waiting.entry.task_id)
                self._mover.start(scanner, waiting, now)
                return waiting.entry
            elif waiting.group is None:
                unfit.add(waiting.entry.task_id)
                if len(unfit) > UNFIT:
                    return None
        return None

    def _head(self, scanner: PoolScanner, unfit: Collection[str]) -> Waiting | None:
        """What goes next there; on a suspended scanner those first that have not tried it."""
        queues, tried = self._state.queues, scanner.suspension.tried
        found = queues.head_for(scanner.scanner_id, skip={*tried, *unfit})
        if found is None and tried:
            found = queues.head_for(scanner.scanner_id, skip=unfit)
        return found

    def adopt(self, scanner_id: str, entry: QueueEntry, since: float) -> None:
        """Counts a scan that runs already (found after a restart), since then, even above
        the limit."""
        state = self._state
        assert entry.task_id not in state.queues, f"{entry.task_id} is queued"
        scanner = self._state.scanner_or_removed(scanner_id)
        scanner.slots.adopt(entry.task_id)
        state.active[entry.task_id] = Active(entry=entry, scanner_id=scanner_id, since=since)
        state.guard.start(entry.task_id, entry.packed)
        state.network_limits.start(entry.task_id, entry.packed)
        if entry.between is not None:
            self.gate.on_hours()

    def release(self, task_id: str, now: float, *, finished: bool = False) -> None:
        """Gives the slot back, whatever became of the task. `finished`: the scan ran to its
        end, so that how long it took, without pauses, says something about others like it.
        Raises `KeyError` when it holds none."""
        active = self._state.active.pop(task_id)
        if finished:
            took = active.ran(now)
            self.durations.record(active.entry, active.scanner_id, took)
            self.durations.record_pace(active.reached, took)
        scanner = self._state.scanner(active.scanner_id)
        scanner.slots.release(task_id)
        scanner.suspension.end(task_id, now)
        self._mover.unpark(self._state.guard.end(task_id), now)
        self.gate.ended(task_id, now)
        self._mover.wake(scanner, now)
        self._state.forget_if_unused(scanner)

    def withdraw(self, task_id: str, now: float) -> QueueEntry | None:
        """Takes a waiting task out of its queue; None when it does not wait."""
        waiting = self._state.queues.get(task_id)
        if waiting is None:
            return None
        self._state.guard.leave(waiting)
        self._state.queues.remove(task_id)
        self._mover.unpark(self._state.guard.end(task_id), now)
        if waiting.scanner_id is not None:
            self._state.forget_if_unused(self._state.scanner(waiting.scanner_id))
        self.gate.passed_over(waiting.entry, now)
        return waiting.entry

    def narrow(self, entry: QueueEntry, now: float) -> None:
        """An active task gets only these targets, which are some of those that it has."""
        self._mover.narrow(entry, now)
        self.gate.ended(entry.task_id, now)
        self._state.network_limits.start(entry.task_id, entry.packed)

    def progressed(self, task_id: str, progress: int | None, now: float) -> None:
        """How far (0..100) an active task's scan is now, for estimates."""
        if progress is not None:
            self._state.active[task_id] = self._state.active[task_id].at(progress, now)

    def note_pauses(self, task_id: str, paused: float, since: float | None) -> None:
        """For how many seconds an active task's scan was paused, and since when it is now (None: it
        runs)."""
        active = self._state.active[task_id]
        self._state.active[task_id] = attrs.evolve(active, paused=paused, paused_since=since)

    def abandoned(self, scanner_id: str, count: int, now: float) -> None:
        """This many scans of ours may still run there though their tasks have ended; they take
        up capacity until they have stopped."""
        scanner = self._state.scanners.get(scanner_id)
        if scanner is not None and scanner.slots.statistics().abandoned != count:
            scanner.slots.abandon(count)
            self._mover.changed(scanner, now)

    def claim(self, key: str, scanner_id: str, targets: TargetSet) -> None:
        """Keeps the targets of an abandoned scan from other scans until `unclaim`."""
        self._state.abandoned[key] = scanner_id
        self._state.guard.start(key, pack(targets))

    def unclaim(self, key: str, now: float) -> None:
        if self._state.abandoned.pop(key, None) is not None:
            self._mover.unpark(self._state.guard.end(key), now)

    # Scanners.

    def configure(self, specs: Iterable[ScannerSpec], settings: PoolSettings, now: float) -> None:
        """Applies a configuration: scanners added, changed and removed, with scans running.

        A scanner that is left out finishes what runs and takes nothing; what others may
        run moves to them. An operator's enable or disable holds until the configuration
        itself says something new about it. Call `refile` until it returns False.
        """
        state = self._state
        state.breaker = settings.breaker
        wanted = {spec.scanner_id: spec for spec in specs}
        for scanner_id, spec in wanted.items():
            self._state.scanner_or_removed(scanner_id).configure(spec, settings.breaker)
        for scanner_id, scanner in state.scanners.items():
            scanner.removed = scanner_id not in wanted
        before, state.reachability = state.reachability, Reachability(state.scanners)
        # With the order changes which parked task waits for which.
        unpark = (settings.ageing_after, settings.overlap_guard) != (
            state.queues.ageing_after,
            state.guard.enabled,
        )
        state.queues.ageing_after = settings.ageing_after
        state.queues.fairness_after = settings.fairness_after
        state.guard.enabled = settings.overlap_guard
        if unpark or state.reachability.differs(before) or self._refiling.unfinished:
            self._refiling.begin(unpark=unpark)
        self.refile(now)

    def refile(self, now: float) -> bool:
        """Continues `configure`; returns whether there is more to do. Nothing starts before."""
        if self._refiling.step():
            return True
        self._mover.review_blockers(now)
        for scanner in list(self._state.scanners.values()):
            self._mover.changed(scanner, now)
            self._state.forget_if_unused(scanner)
        return False

    def set_enabled(self, scanner_id: str, enabled: bool, now: float) -> None:
        scanner = self._state.scanner(scanner_id)
        scanner.enabled = enabled
        self._mover.changed(scanner, now)

    def set_draining(self, scanner_id: str, draining: bool, now: float) -> None:
        """A draining scanner finishes what runs and starts no more."""
        scanner = self._state.scanner(scanner_id)
        scanner.draining = draining
        self._mover.changed(scanner, now)

    def set_paused(self, paused: bool, now: float) -> None:
        """While paused nothing starts anywhere; what runs is not touched."""
        self._state.paused = paused
        self._mover.wake_all(now)

    def report(self, scanner_id: str, now: float, *, max_scans: int | None, foreign: int) -> None:
        """What the scanner says: its own limit on scans, and how many scans run there that
        are not ours."""
        scanner = self._state.scanner(scanner_id)
        scanner.slots.report(max_scans=max_scans, foreign=foreign)
        self._mover.changed(scanner, now)

    def reserve(self, scanner_id: str, count: int, now: float) -> None:
        """Reserves slots for scans that are not tasks; 0 gives them back."""
        self._state.scanner(scanner_id).slots.reserve(count)
        self._mover.changed(self._state.scanner(scanner_id), now)

    def hold(
        self, scanner_id: str, until: float, reason: str, now: float, *, at_latest: bool = False
    ) -> None:
        """Starts nothing there before `until`: the scanner is full, or not ready. `at_latest`:
        that is an upper bound, and it may end much sooner."""
        scanner = self._state.scanner(scanner_id)
        scanner.hold_until, scanner.hold_reason, scanner.hold_at_latest = until, reason, at_latest
        self._mover.changed(scanner, now)

    def failed(self, scanner_id: str, now: float, reason: str, *, trip: bool = False) -> None:
        """A request failed for a passing reason; five in a row open the breaker, `trip`
        opens it at once."""
        breaker = self._state.scanner(scanner_id).breaker
        if trip:
            breaker.trip(now, reason)
        else:
            breaker.failure(now, reason)
        if not breaker.closed:
            self._mover.changed(self._state.scanner(scanner_id), now)

    def succeeded(self, scanner_id: str, now: float) -> None:
        """A request was answered: closes the breaker."""
        scanner = self._state.scanner(scanner_id)
        reopened = not scanner.breaker.closed
        scanner.breaker.success()
        if reopened:
            self._mover.changed(scanner, now)

    def suspend(
        self,
        scanner_id: str,
        now: float,
        kind: ErrorKind,
        reason: str,
        *,
        task_id: str | None = None,
        sure: bool = True,
        wait: bool = True,
    ) -> bool:
        """See `Suspension.suspend`."""
        scanner = self._state.scanner(scanner_id)
        is_so = scanner.suspension.suspend(now, kind, reason, task_id=task_id, sure=sure, wait=wait)
        self._mover.changed(scanner, now)
        return is_so

    def accepted(self, scanner_id: str, now: float) -> None:
        """The scanner has launched a scan: it is no longer suspended."""
        scanner = self._state.scanner(scanner_id)
        scanner.suspension.accepted()
        self._mover.changed(scanner, now)

    def look_again(self, scanner_id: str, now: float) -> None:
        """Something may have changed there: if it is suspended or its breaker is open, it is
        tried at once."""
        scanner = self._state.scanner(scanner_id)
        scanner.suspension.look_again(now)
        scanner.breaker.look_again(now)
        self._mover.changed(scanner, now)

    def begin_probe(self, scanner_id: str, now: float) -> bool:
        """See `Breaker.begin_probe`."""
        return self._state.scanner(scanner_id).breaker.begin_probe(now)

    def abandon_probe(self, scanner_id: str, now: float) -> None:
        """See `Breaker.abandon_probe`."""
        self._state.scanner(scanner_id).breaker.abandon_probe(now)

    def _placement(self, case: RoutingCase, waiting: Waiting, now: float) -> Placement:
        reason, position = explain(self._state, waiting, now), self._state.queues.position(waiting)
        told = None if reason.code is WaitCode.STARTING else reason
        return Placement(case=case, scanner_id=waiting.scanner_id, position=position, reason=told)
