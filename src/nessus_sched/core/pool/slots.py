"""The slots of one scanner: a `trio.CapacityLimiter` borrowed on behalf of task ids."""

from __future__ import annotations

import attrs
import trio


@attrs.frozen(kw_only=True)
class SlotStatistics:
    """`limit` is the operator's `max_concurrent_scans`, `capacity` what the scanner's own
    limit (`max_scans`, None when it tells none), other people's scans (`foreign`), scans of
    ended tasks that may still run there (`abandoned`) and what is reserved leave of it; `active`
    are the borrowing task ids, and may for a while be more than `capacity` after it was lowered
    or after a restart."""

    limit: int
    max_scans: int | None = None
    foreign: int = 0
    abandoned: int = 0
    capacity: int
    active: tuple[str, ...]
    free: int


class Slots:
    """Invariants: the limiter's borrowers are the running set and nothing else counts it;
    `total_tokens` is the capacity that holds now; `borrow` never exceeds it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._max_scans: int | None = None
        self._foreign = 0
        self._reserved = 0
        self._abandoned = 0
        self._limiter = trio.CapacityLimiter(limit)

    @property
    def capacity(self) -> int:
        return int(self._limiter.total_tokens)

    @property
    def active(self) -> int:
        return self._limiter.borrowed_tokens

    @property
    def free(self) -> int:
        limiter = self._limiter  # read for every scanner whenever a task is placed
        return max(0, int(limiter.total_tokens) - limiter.borrowed_tokens)

    @property
    def foreign(self) -> int:
        """Other people's scans that run there."""
        return self._foreign

    @property
    def abandoned(self) -> int:
        """Scans of ended tasks that may still run there."""
        return self._abandoned

    def borrow(self, task_id: str) -> None:
        """Raises `trio.WouldBlock` when none is free."""
        self._limiter.acquire_on_behalf_of_nowait(task_id)

    def adopt(self, task_id: str) -> None:
        """For a scan that runs already: borrows even when that is one too many."""
        capacity = self.capacity
        self._limiter.total_tokens = max(capacity, self.active + 1)
        try:
            self._limiter.acquire_on_behalf_of_nowait(task_id)
        finally:
            self._limiter.total_tokens = capacity

    def release(self, task_id: str) -> None:
        self._limiter.release_on_behalf_of(task_id)

    def set_limit(self, limit: int) -> None:
        """Lowering it below what is borrowed lets the running scans finish."""
        self._limit = limit
        self._settle()

    def report(self, *, max_scans: int | None, foreign: int) -> None:
        """What the scanner says of itself: its own limit, and scans that are not ours."""
        self._max_scans, self._foreign = max_scans, foreign
        self._settle()

    def reserve(self, count: int) -> None:
        """Reserves this many slots, which no task gets; they become free as running scans end."""
        self._reserved = count
        self._settle()

    def abandon(self, count: int) -> None:
        """How many of our scans whose tasks have ended may still run there."""
        self._abandoned = count
        self._settle()

    def borrowers(self) -> tuple[str, ...]:
        """The running set, sorted."""
        return tuple(sorted(map(str, self._limiter.statistics().borrowers)))

    def statistics(self) -> SlotStatistics:
        return SlotStatistics(
            limit=self._limit,
            max_scans=self._max_scans,
            foreign=self._foreign,
            abandoned=self._abandoned,
            capacity=self.capacity,
            active=self.borrowers(),
            free=self.free,
        )

    def _settle(self) -> None:
        own = self._limit
        if self._max_scans is not None:
            own = min(own, max(0, self._max_scans - self._foreign))
        self._limiter.total_tokens = max(0, own - self._reserved - self._abandoned)
