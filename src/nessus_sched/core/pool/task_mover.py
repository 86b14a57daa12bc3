"""Moves tasks into queues, between queues and onto slots, and wakes scanners."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Reach, Waiting
from nessus_sched.core.pool.routing import RoutingCase, choose, unclaimed
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.state import Active, PoolState


def queue_name(scanner: PoolScanner | None) -> str | None:
    """The scanner whose queue it is, None for the overflow queue."""
    return None if scanner is None else scanner.scanner_id


@attrs.define(kw_only=True, eq=False)
class TaskMover:
    """Invariant after every method: an entry that any scanner may run is in a scanner's own queue
    only if that scanner could start it now; otherwise it is in the overflow queue, parked or for
    the first scanner with a free slot."""

    state: PoolState
    on_wake: Callable[[str], None]
    turn: int = 0

    def route(self, entry: QueueEntry, now: float) -> tuple[RoutingCase, PoolScanner | None]:
        """The four cases; changes nothing."""
        state = self.state
        if entry.pinned is not None:
            scanner = state.scanners[entry.pinned]
            free = unclaimed(scanner, state.queues, now) > 0
            return (RoutingCase.NAMED_FREE if free else RoutingCase.NAMED_BUSY), scanner
        candidates = state.scanners_of(state.reachability.reach(entry))
        chosen = choose(candidates, state.queues, now)
        if state.paused:  # nothing can start: it waits its turn with the others
            chosen = None
        return (RoutingCase.LEAST_LOADED if chosen else RoutingCase.OVERFLOW), chosen

    def enqueue(self, entry: QueueEntry, scanner: PoolScanner | None, reach: Reach) -> Waiting:
        if scanner is not None and entry.pinned is None:
            self._took_turn(scanner)
        return self.state.queues.enqueue(entry, queue_name(scanner), reach)

    def start(self, scanner: PoolScanner, waiting: Waiting, now: float) -> None:
        """Borrows a slot and leaves the queue in one step."""
        state, entry = self.state, waiting.entry
        scanner.slots.borrow(entry.task_id)
        state.queues.remove(entry.task_id)
        state.guard.start(entry.task_id, entry.packed)
        state.network_limits.start(entry.task_id, entry.packed)
        state.active[entry.task_id] = Active(entry=entry, scanner_id=scanner.scanner_id, since=now)
        self.clear(scanner, now)

    def park(self, waiting: Waiting, blocker: str) -> None:
        """Passes it over until that task has ended."""
        self._leave_scanner(waiting)
        self.state.queues.park(waiting, self.state.guard.park(waiting, blocker))

    def defer(self, waiting: Waiting, key: str, now: float) -> None:
        """Passes it over until what has that key is over; meanwhile it claims no targets."""
        self.unpark(self.state.guard.end(waiting.entry.task_id), now)
        self._leave_scanner(waiting)
        self.state.queues.park(waiting, self.state.guard.defer(waiting, key))

    def _leave_scanner(self, waiting: Waiting) -> None:
        if waiting.scanner_id is not None and waiting.entry.pinned is None:
            self.state.queues.move(waiting, None)

    def narrow(self, entry: QueueEntry, now: float) -> None:
        """See `Pool.narrow`."""
        state, task_id = self.state, entry.task_id
        state.active[task_id] = attrs.evolve(state.active[task_id], entry=entry)
        blocked = state.guard.end(task_id)
        state.guard.start(task_id, entry.packed)
        self.unpark(blocked, now)

    def unpark(self, task_ids: Iterable[str], now: float) -> None:
        """Their blockers have ended: returns them to their old places."""
        queues = self.state.queues.unpark(task_ids)
        for scanner_id in queues:
            if scanner_id is not None:
                self.clear(self.state.scanners[scanner_id], now)
        if queues:
            self.wake_all(now)

    def changed(self, scanner: PoolScanner, now: float) -> None:
        """After anything that may have made the scanner more or less able to start scans."""
        self.clear(scanner, now)
        if not scanner.usable:
            self.review_blockers(now)
        self.wake(scanner, now)

    def review_blockers(self, now: float) -> None:
        """Makes entries that no scanner would take block no others."""
        for task_id in self.state.guard.blockers():
            waiting = self.state.queues.get(task_id)
            if waiting is not None and not self.state.could_run(waiting):
                waiting.blocked = 0
                self.unpark(self.state.guard.end(task_id), now)

    def clear(self, scanner: PoolScanner, now: float) -> None:
        """Gives away what others may run too and this scanner cannot start now."""
        queues = self.state.queues
        for waiting in reversed(queues.unpinned_of(scanner.scanner_id)):
            stays = queues.ready_before(waiting) < scanner.free(now)
            if scanner.usable and stays and scanner.scanner_id in waiting.reach:
                continue
            candidates = (
                each for each in self.state.scanners_of(waiting.reach) if each is not scanner
            )
            other = choose(candidates, queues, now)
            queues.move(waiting, queue_name(other))
            if other is None:
                continue
            self._took_turn(other)
            self.wake(other, now)

    def wake(self, scanner: PoolScanner, now: float) -> None:
        state = self.state
        if not state.paused and state.queues.work_for(scanner.scanner_id) and scanner.free(now):
            self.on_wake(scanner.scanner_id)

    def wake_all(self, now: float) -> None:
        if not self.state.queues.any_ready:
            return
        for scanner in list(self.state.scanners.values()):
            self.wake(scanner, now)

    def _took_turn(self, scanner: PoolScanner) -> None:
        self.turn += 1
        scanner.chosen = self.turn
