"""Moves tasks over the board: into queues, between them, onto slots; and wakes scanners."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.routing import RoutingCase, choose, unclaimed
from nessus_sched.core.pool.scanners import Lane
from nessus_sched.core.pool.state import Active, Board


def queue_name(lane: Lane | None) -> str | None:
    """The scanner whose queue it is, None for the overflow queue."""
    return None if lane is None else lane.scanner_id


@attrs.define(kw_only=True, eq=False)
class Traffic:
    """What `Pool` is made of. After every method: an entry that any scanner may run lies
    in a scanner's own queue only if that scanner could start it now (or it is parked
    there); everywhere else it is in the overflow queue, open to whoever is free first."""

    board: Board
    on_wake: Callable[[str], None]
    turn: int = 0

    def route(self, entry: QueueEntry, now: float) -> tuple[RoutingCase, Lane | None]:
        """The four cases; changes nothing."""
        board = self.board
        if entry.pinned is not None:
            lane = board.lanes[entry.pinned]
            free = unclaimed(lane, board.queues, now) > 0
            return (RoutingCase.NAMED_FREE if free else RoutingCase.NAMED_BUSY), lane
        candidates = board.lanes_of(board.reachability.reach(entry))
        chosen = choose(candidates, board.queues, now)
        if board.paused:  # nothing can start: it waits its turn with the others
            chosen = None
        return (RoutingCase.LEAST_LOADED if chosen else RoutingCase.OVERFLOW), chosen

    def enqueue(self, entry: QueueEntry, lane: Lane | None) -> Waiting:
        if lane is not None and entry.pinned is None:
            self._took_turn(lane)
        reach = self.board.reachability.reach(entry)
        return self.board.queues.enqueue(entry, queue_name(lane), reach)

    def start(self, lane: Lane, waiting: Waiting, now: float) -> None:
        """Borrows a slot and leaves the queue in one step."""
        board, entry = self.board, waiting.entry
        lane.slots.borrow(entry.task_id)
        board.queues.remove(entry.task_id)
        board.guard.start(entry.task_id, entry.packed)
        board.active[entry.task_id] = Active(entry=entry, scanner_id=lane.scanner_id, since=now)
        self.clear(lane, now)

    def unpark(self, task_ids: Iterable[str], now: float) -> None:
        """They wait for nobody any more: they go back to their old places."""
        board = self.board
        queues = set[str | None]()
        for task_id in task_ids:
            waiting = board.queues.get(task_id)
            assert waiting is not None, f"{task_id} is parked and does not wait"
            board.queues.park(waiting, None)
            queues.add(waiting.scanner_id)
        for scanner_id in queues - {None}:
            assert scanner_id is not None
            self.clear(board.lanes[scanner_id], now)
        if queues:
            self.wake_all(now)

    def changed(self, lane: Lane, now: float) -> None:
        """After anything that may have made the lane more or less able to start scans."""
        self.clear(lane, now)
        if not lane.usable:
            self.review_blockers(now)
        self.wake(lane, now)

    def review_blockers(self, now: float) -> None:
        """An entry that no scanner would take holds up nobody."""
        for task_id in self.board.guard.blockers():
            waiting = self.board.queues.get(task_id)
            if waiting is not None and not self.board.could_run(waiting):
                waiting.blocked = 0
                self.unpark(self.board.guard.end(task_id), now)

    def clear(self, lane: Lane, now: float) -> None:
        """Gives away what others may run too and this lane cannot start now."""
        queues = self.board.queues
        for waiting in reversed(queues.unpinned_of(lane.scanner_id)):
            stays = waiting.lot is not None or queues.ready_before(waiting) < lane.free(now)
            if lane.usable and stays and lane.scanner_id in waiting.reach:
                continue
            candidates = (each for each in self.board.lanes_of(waiting.reach) if each is not lane)
            other = choose(candidates, queues, now)
            self.board.guard.leave(waiting)
            queues.park(waiting, None)
            queues.move(waiting, queue_name(other))
            if other is None:
                continue
            self._took_turn(other)
            self.wake(other, now)

    def wake(self, lane: Lane, now: float) -> None:
        board = self.board
        if not board.paused and lane.free(now) and board.queues.work_for(lane.scanner_id):
            self.on_wake(lane.scanner_id)

    def wake_all(self, now: float) -> None:
        for lane in list(self.board.lanes.values()):
            self.wake(lane, now)

    def _took_turn(self, lane: Lane) -> None:
        self.turn += 1
        lane.chosen = self.turn
