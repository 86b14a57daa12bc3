"""How long scans took here: the measured base of every estimate."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Final

from nessus_sched.core.pool.entry import QueueEntry

REMEMBERED: Final = 128
"""How many of the latest durations of each class count, so that estimates follow changes."""
CLASSES: Final = 1024
"""Of the classes those measured least recently are forgotten; bounds memory at 5 MB."""
ENOUGH: Final = 20
"""A class with fewer is not used while a coarser one has more to say."""
_UPPER: Final = 0.9
FEWEST: Final = 3
"""With fewer in all, nothing is known."""
_UNKNOWN: Final = "unknown"
"""The class of which nothing is known."""
DOUBT: Final = 4
"""A scanner counts as an average one as if it had done this many average scans: how long a few
scans took says more about what they scanned."""


class Durations:
    """Seconds that scans occupied their slots, by class, from fine to coarse: kind, size
    and scanner; kind and size; kind; any scan. Sizes are alike within a power of two."""

    def __init__(self) -> None:
        self._classes: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._uppers: dict[Hashable, float | None] = {}
        """Of classes that have not changed since."""
        self._paces: dict[int, deque[float]] = {}
        self._each: OrderedDict[Hashable, deque[tuple[float, int]]] = OrderedDict()

    def record(self, entry: QueueEntry, scanner_id: str, seconds: float) -> None:
        for key in _classes(entry, scanner_id):
            self._uppers.pop(key, None)
            self._classes.setdefault(key, deque(maxlen=REMEMBERED)).append(seconds)
            self._classes.move_to_end(key)
        while len(self._classes) > CLASSES:
            forgotten, _ = self._classes.popitem(last=False)
            self._uppers.pop(forgotten, None)
        addresses = max(1, entry.packed.address_count)
        for key in (*_paced(entry), (entry.kind, scanner_id)):
            self._each.setdefault(key, deque(maxlen=REMEMBERED)).append((seconds, addresses))
            self._each.move_to_end(key)
        while len(self._each) > CLASSES:
            self._each.popitem(last=False)

    def per_address(self, entry: QueueEntry) -> float | None:
        """Seconds per address of like scans: of the same kind and in the same network if any
        were measured there, else of the same kind; None when nothing is known."""
        for key in _paced(entry):
            found = self._each.get(key)
            if found:
                return sum(seconds for seconds, _ in found) / sum(size for _, size in found)
        return None

    def slowness(self, kind: Hashable, scanner_id: str) -> float:
        """How many times as long as on average an address takes on that scanner; 1 when nothing
        is known."""
        every, here = self._each.get(kind, ()), self._each.get((kind, scanner_id), ())
        if not every or not here:
            return 1.0
        seconds, addresses = map(sum, zip(*every, strict=True))
        doubt = DOUBT * seconds / len(every)
        expected = seconds / addresses * sum(size for _, size in here)
        return (sum(took for took, _ in here) + doubt) / (expected + doubt)

    def like(self, entry: QueueEntry, scanner_id: str) -> Sequence[float]:
        """The durations of like scans, of the finest class that has enough; empty when
        nothing is known."""
        return self._classes.get(self._class_of(entry, scanner_id), ())

    def upper(self, entry: QueueEntry, scanner_id: str) -> float | None:
        """Seconds within which nine of ten like scans ended; None when nothing is known."""
        key = self._class_of(entry, scanner_id)
        if key not in self._uppers:
            found = sorted(self._classes.get(key, ()))
            self._uppers[key] = found[int(len(found) * _UPPER)] if found else None
        return self._uppers[key]

    def _class_of(self, entry: QueueEntry, scanner_id: str) -> Hashable:
        for key in _classes(entry, scanner_id):
            if len(self._classes.get(key, ())) >= ENOUGH:
                return key
        return key if len(self._classes.get(key, ())) >= FEWEST else _UNKNOWN

    def least(self, entry: QueueEntry, scanner_id: str) -> float | None:
        """The same if the entry is cut down as far as it may be; see `fitting`."""
        upper = self.upper(entry, scanner_id)
        if upper is None or not entry.least:
            return upper
        return upper * min(1.0, entry.least / max(1, entry.packed.address_count))

    def fitting(self, entry: QueueEntry, scanner_id: str, seconds: float) -> int:
        """How many of its targets should be scanned within that time, if each takes its share of
        `upper`."""
        size, upper = entry.packed.address_count, self.upper(entry, scanner_id)
        return size if upper is None or upper <= seconds else int(size * seconds / upper)

    def record_pace(self, elapsed: Mapping[int, float], seconds: float) -> None:
        """Of a finished scan that took `seconds`: when it reached each tenth of progress."""
        for tenth, so_far in elapsed.items():
            if so_far > 0:
                factors = self._paces.setdefault(tenth, deque(maxlen=REMEMBERED))
                factors.append(seconds / so_far)

    def paces(self, tenth: int) -> Sequence[float]:
        """How many times what it took to that tenth scans took in all: what a scanner's
        progress figure really means, as measured. Empty when too little is known."""
        factors = self._paces.get(tenth, ())
        return factors if len(factors) >= ENOUGH else ()


def _paced(entry: QueueEntry) -> Iterator[Hashable]:
    """The classes by which the time per address is learned, from fine to coarse."""
    yield (entry.kind, entry.packed.network)
    yield entry.kind


def _classes(entry: QueueEntry, scanner_id: str) -> Iterator[Hashable]:
    size = entry.packed.address_count.bit_length()
    yield (entry.kind, size, scanner_id)
    yield (entry.kind, size)
    yield entry.kind
    yield None
