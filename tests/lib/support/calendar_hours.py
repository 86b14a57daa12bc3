"""When scans are allowed, counted apart from the program: quarter of an hour by quarter of an hour,
from local dates and times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER = 900


class Hours:
    """The spans between two moments in which a predicate of the local time does not hold. The
    offsets of all zones used change at a full quarter of an hour."""

    def __init__(self, forbidden: Sequence[tuple[float, float]]) -> None:
        self._spans = forbidden
        self._begins = [begin for begin, _ in self._spans]

    @classmethod
    def where(cls, allowed: Callable[[float], bool], first: float, last: float) -> Hours:
        forbidden: list[tuple[float, float]] = []
        begin: float | None = None
        for moment in range(int(first), int(last), QUARTER):
            holds = allowed(moment)
            if not holds and begin is None:
                begin = moment
            elif holds and begin is not None:
                forbidden.append((begin, moment))
                begin = None
        return cls([*forbidden, *([] if begin is None else [(begin, last)])])

    def forbidden(self, begin: float, end: float) -> float:
        """Seconds between the two moments that lie in forbidden spans."""
        total, place = 0.0, max(bisect_right(self._begins, begin) - 1, 0)
        for first, last in self._spans[place:]:
            if first >= end:
                break
            total += max(0.0, min(end, last) - max(begin, first))
        return total

    def open(self, begin: float, end: float) -> float:
        """The other seconds."""
        return end - begin - self.forbidden(begin, end)

    def allows(self, moment: float) -> bool:
        return self.forbidden(moment, moment + 1) == 0


@lru_cache(maxsize=100_000)
def local(zone: str, moment: float) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(zone))
