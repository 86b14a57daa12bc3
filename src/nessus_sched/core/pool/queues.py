"""The waiting tasks: one queue per scanner and the global overflow queue.

Priorities age: an entry is due `ageing_after` later for each step below high, and the
earliest due goes first. So within a priority the order of acceptance decides; a normal
entry goes ahead of every high one accepted more than `ageing_after` after it; and because
what is due never changes while an entry waits, nothing has to be re-sorted as time passes
and nothing waits for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

import attrs
from sortedcontainers import SortedList

from nessus_sched.core.pool.entry import PRIORITY_DELAY_STEPS, QueueEntry
from nessus_sched.core.targets.packed import PackedTargets

Key = tuple[float, int, str]
"""When it is due, the order of acceptance, and the task id. Orders are unique."""
Reach = frozenset[str]
"""The scanners that could ever run a task."""
QueueName = str | Reach
"""A scanner's own queue by its id, or the part of the overflow queue with that reach."""
MANY: Final = 8
"""Parked entries per entry to return above which they are removed one by one."""
OVERFLOW: Final = "overflow"
"""What the global queue is called in answers, the journal and metrics."""


GroupName = tuple[str | None, QueueName, PackedTargets]
"""Where a group was handed over from (None: it is a fresh one), its queue and its targets."""


@attrs.define(kw_only=True, eq=False)
class ParkedGroup:
    """A parking group of the overlap guard: entries of one queue with equal targets that
    wait for `blocker` to end, a task or, if `deferred`, something else. `members` are their keys,
    sorted."""

    blocker: str
    deferred: bool = False
    name: GroupName
    members: list[Key] = attrs.field(factory=list)


@attrs.define(kw_only=True, eq=False)
class Waiting:
    """A queue's own record of an entry. `since` is when it was accepted, as its place in the order
    says; `scanner_id` is whose queue it is in, None for the overflow queue; `group` where it is
    parked because its targets overlap another task's."""

    entry: QueueEntry
    since: float
    key: Key
    reach: Reach
    scanner_id: str | None = None
    group: ParkedGroup | None = None
    blocked: int = 0
    """How often it was found blocked when it was its turn."""

    @property
    def parked_on(self) -> str | None:
        """The task that has to end first."""
        return None if self.group is None else self.group.blocker

    @property
    def queue_name(self) -> QueueName:
        return self.reach if self.scanner_id is None else self.scanner_id


@attrs.frozen(kw_only=True)
class QueueStatistics:
    """`parked` of the `length` entries wait for an overlapping task; `oldest` is the
    acceptance time of the entry that goes next, None when none is ready."""

    length: int
    parked: int
    oldest: float | None


class SubQueue:
    """The entries of one queue in order; parked ones keep their place but are not heads."""

    __slots__ = ("parked", "ready")

    def __init__(self, ready: Iterable[Key] = ()) -> None:
        self.ready = SortedList[Key](ready)
        self.parked = SortedList[Key]()

    def __len__(self) -> int:
        return len(self.ready) + len(self.parked)

    def rank(self, key: Key) -> int:
        return self.ready.bisect_left(key) + self.parked.bisect_left(key)

    def side(self, waiting: Waiting) -> SortedList[Key]:
        return self.ready if waiting.group is None else self.parked

    def unpark(self, keys: Collection[Key]) -> None:
        """Many at once take about a fifth of the time that they take one by one."""
        if len(keys) * MANY < len(self.parked):
            for key in keys:
                self.parked.remove(key)
        else:
            gone = set(keys)
            self.parked = SortedList([key for key in self.parked if key not in gone])
        self.ready.update(keys)


class Queues:
    """All waiting tasks.

    Invariants: `_waiting` has every one of them; each is in exactly one line, on the side
    that its `group` says: in `_own[scanner]`, or in `_overflow[reach]`. The overflow
    queue is kept in lines of equal reach, so that a scanner finds the first entry it may
    run without passing those it may not.
    """

    def __init__(self, *, ageing_after: float, fairness_after: float) -> None:
        self.ageing_after = ageing_after
        self.fairness_after = fairness_after
        self._waiting: dict[str, Waiting] = {}
        self._own: dict[str, SubQueue] = {}
        self._overflow: dict[Reach, SubQueue] = {}
        self._unpinned: dict[str, set[str]] = {}
        self._latest = (-1, float("-inf"))

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting.values())

    def get(self, task_id: str) -> Waiting | None:
        return self._waiting.get(task_id)

    def draft(self, entry: QueueEntry, scanner_id: str | None, reach: Reach) -> Waiting:
        """The record that `enqueue` would make; it waits nowhere yet."""
        since = self._accepted_at(entry)
        if since != entry.accepted_at:
            # It keeps its place when it comes back from a scanner that refused it.
            entry = attrs.evolve(entry, accepted_at=since)
        key = self._key(entry, since)
        return Waiting(entry=entry, since=since, key=key, reach=reach, scanner_id=scanner_id)

    def enqueue(self, entry: QueueEntry, scanner_id: str | None, reach: Reach) -> Waiting:
        """Into that scanner's queue, or with None into the overflow queue."""
        assert entry.task_id not in self._waiting, f"{entry.task_id} is queued already"
        waiting = self.draft(entry, scanner_id, reach)
        if entry.order > self._latest[0]:
            self._latest = (entry.order, waiting.since)
        self._waiting[entry.task_id] = waiting
        self._insert(waiting)
        return waiting

    def remove(self, task_id: str) -> Waiting:
        """Raises `KeyError` when it does not wait."""
        waiting = self._waiting.pop(task_id)
        self._extract(waiting)
        return waiting

    def move(self, waiting: Waiting, scanner_id: str | None) -> None:
        """To another queue, into the place that its acceptance gives it there."""
        self._extract(waiting)
        waiting.scanner_id = scanner_id
        self._insert(waiting)

    def park(self, waiting: Waiting, group: ParkedGroup | None) -> None:
        """Passes it over, in its place, until it is parked nowhere (None)."""
        self._extract(waiting)
        waiting.group = group
        self._insert(waiting)

    def unpark(self, task_ids: Iterable[str]) -> set[str | None]:
        """Returns parked entries to their places; the result is whose queues they are in."""
        found = defaultdict[QueueName, list[Key]](list)
        owners = set[str | None]()
        for task_id in task_ids:
            waiting = self._waiting[task_id]
            waiting.group = None
            found[waiting.queue_name].append(waiting.key)
            owners.add(waiting.scanner_id)
        for name, keys in found.items():
            line = self._own[name] if isinstance(name, str) else self._overflow[name]
            line.unpark(keys)
        return owners

    def head_for(self, scanner_id: str, *, skip: Collection[str] = ()) -> Waiting | None:
        """The entry that goes next on a scanner: of its own queue, else of the overflow
        queue; but an overflow head that has waited longer by more than `fairness_after`,
        each priority with its handicap, goes first. Tasks in `skip` are passed over."""
        line = self._own.get(scanner_id)
        own = _first(line, skip) if line else None
        heads = (_first(line, skip) for line in self._lines_for(scanner_id))
        shared = min((head for head in heads if head is not None), default=None)
        if own is None or (shared is not None and own[0] - shared[0] > self.fairness_after):
            own = shared
        return None if own is None else self._waiting[own[2]]

    def position(self, waiting: Waiting) -> int:
        """Its place in its queue, from 1."""
        if waiting.scanner_id is not None:
            return self.competing_before(waiting) + 1
        return sum(line.rank(waiting.key) for line in self._overflow.values()) + 1

    def competing_before(self, waiting: Waiting) -> int:
        """How many go before it there that compete for a scanner with it."""
        return sum(line.rank(waiting.key) for line in self._competing(waiting))

    def ready_before(self, waiting: Waiting) -> int:
        """The same, parked ones left out."""
        return sum(line.ready.bisect_left(waiting.key) for line in self._competing(waiting))

    def own_length(self, scanner_id: str) -> int:
        return len(self._own.get(scanner_id, ()))

    def own_ready(self, scanner_id: str) -> int:
        line = self._own.get(scanner_id)
        return len(line.ready) if line else 0

    @property
    def any_ready(self) -> bool:
        """Whether something waits that some scanner might take."""
        lines = (self._own.values(), self._overflow.values())
        return any(line.ready for each in lines for line in each)

    def work_for(self, scanner_id: str) -> bool:
        """Whether something waits that this scanner might take."""
        return self.own_ready(scanner_id) > 0 or any(
            line.ready for line in self._lines_for(scanner_id)
        )

    def unpinned_of(self, scanner_id: str) -> list[Waiting]:
        """The entries of a scanner's queue that any other scanner may run too, in order."""
        found = [self._waiting[task_id] for task_id in self._unpinned.get(scanner_id, ())]
        return sorted(found, key=lambda waiting: waiting.key)

    def statistics(self, scanner_id: str | None) -> QueueStatistics:
        """Of a scanner's own queue, or with None of the overflow queue."""
        if scanner_id is None:
            lines = list(self._overflow.values())
        else:
            lines = [self._own[scanner_id]] if scanner_id in self._own else []
        heads = [line.ready[0] for line in lines if line.ready]
        return QueueStatistics(
            length=sum(map(len, lines)),
            parked=sum(len(line.parked) for line in lines),
            oldest=self._waiting[min(heads)[2]].entry.accepted_at if heads else None,
        )

    def rank(self, waiting: Waiting) -> int:
        """How many ready entries go before it in its own line."""
        return self._line(waiting).ready.bisect_left(waiting.key)

    def first_ready(self, scanner_id: str, count: int) -> dict[QueueName, list[Waiting]]:
        """The first `count` ready entries of each line that this scanner serves: its own
        queue first, then what it may take of the overflow queue."""
        lines: dict[QueueName, SubQueue] = {scanner_id: self._own.get(scanner_id, SubQueue())}
        lines.update((reach, each) for reach, each in self._overflow.items() if scanner_id in reach)
        return {
            name: [self._waiting[key[2]] for key in islice(line.ready, count)]
            for name, line in lines.items()
        }

    def key(self, waiting: Waiting) -> Key:
        """What its key would be with the present settings."""
        return self._key(waiting.entry, waiting.since)

    def refile(self, waiting: Waiting, reach: Reach) -> None:
        """To its place by the present settings and with that reach; not parked."""
        self._extract(waiting)
        waiting.key, waiting.reach, waiting.group = self.key(waiting), reach, None
        self._insert(waiting)

    def _accepted_at(self, entry: QueueEntry) -> float:
        """A clock that was set back must not let a later task overtake an earlier one."""
        latest_order, latest = self._latest
        return max(entry.accepted_at, latest) if entry.order > latest_order else entry.accepted_at

    def _key(self, entry: QueueEntry, since: float) -> Key:
        due = since + PRIORITY_DELAY_STEPS[entry.priority] * self.ageing_after
        return (due, entry.order, entry.task_id)

    def _lines_for(self, scanner_id: str) -> Iterator[SubQueue]:
        return (line for reach, line in self._overflow.items() if scanner_id in reach)

    def _competing(self, waiting: Waiting) -> list[SubQueue]:
        if waiting.scanner_id is not None:
            own = self._own.get(waiting.scanner_id)
            return [own] if own else []
        return [
            line
            for reach, line in self._overflow.items()
            if reach is waiting.reach or not reach.isdisjoint(waiting.reach)
        ]

    def _line(self, waiting: Waiting) -> SubQueue:
        line = self._find_line(waiting)
        if line is None:  # building one is too slow to do it in vain for every task
            line = SubQueue()
            if waiting.scanner_id is not None:
                self._own[waiting.scanner_id] = line
            else:
                self._overflow[waiting.reach] = line
        return line

    def _find_line(self, waiting: Waiting) -> SubQueue | None:
        if waiting.scanner_id is not None:
            return self._own.get(waiting.scanner_id)
        return self._overflow.get(waiting.reach)

    def _insert(self, waiting: Waiting) -> None:
        self._line(waiting).side(waiting).add(waiting.key)
        self._count_unpinned(waiting)

    def _count_unpinned(self, waiting: Waiting) -> None:
        if waiting.scanner_id is not None and waiting.entry.pinned is None:
            self._unpinned.setdefault(waiting.scanner_id, set()).add(waiting.entry.task_id)

    def _extract(self, waiting: Waiting) -> None:
        line = self._line(waiting)
        line.side(waiting).remove(waiting.key)
        if waiting.scanner_id is None:
            if not line:
                del self._overflow[waiting.reach]
            return
        if not line:
            del self._own[waiting.scanner_id]
        self._unpinned.get(waiting.scanner_id, set()).discard(waiting.entry.task_id)


def _first(line: SubQueue, skip: Collection[str]) -> Key | None:
    return next((key for key in line.ready if key[2] not in skip), None)
