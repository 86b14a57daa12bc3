"""A sorted collection of keys that also knows the place of each: an order statistic.

Chunks of sorted keys, with a Fenwick tree over the chunks' lengths: adding, removing and
the rank of a key cost O(log n), the first key O(1), and a key no more than its own memory.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

Key = tuple[float, int, str]
"""When it is due, the order of acceptance, and the task id. Orders are unique."""

CHUNK: Final = 512
"""Chunks are split in two when they reach twice this length."""


class OrderedKeys:
    """Sorted keys without duplicates.

    Invariants: no chunk is empty; `_lasts[i]` is the last key of `_chunks[i]`; `_tree` is
    the Fenwick tree of the chunks' lengths, or None when it has to be made anew.
    """

    __slots__ = ("_chunks", "_count", "_lasts", "_tree")

    def __init__(self) -> None:
        self._chunks: list[list[Key]] = []
        self._lasts: list[Key] = []
        self._tree: list[int] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Key]:
        for chunk in self._chunks:
            yield from chunk

    def first(self) -> Key | None:
        return self._chunks[0][0] if self._chunks else None

    def add(self, key: Key) -> None:
        self._count += 1
        if not self._chunks:
            self._chunks, self._lasts, self._tree = [[key]], [key], None
            return
        index = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[index]
        insort(chunk, key)
        self._lasts[index] = chunk[-1]
        self._tally(index, 1)
        if len(chunk) >= 2 * CHUNK:
            self._chunks.insert(index + 1, chunk[CHUNK:])
            del chunk[CHUNK:]
            self._lasts.insert(index, chunk[-1])
            self._tree = None

    def remove(self, key: Key) -> None:
        """Raises `KeyError` when the key is not there."""
        index = bisect_left(self._lasts, key)
        chunk = self._chunks[index] if index < len(self._chunks) else []
        place = bisect_left(chunk, key)
        if place == len(chunk) or chunk[place] != key:
            raise KeyError(key)
        del chunk[place]
        self._count -= 1
        if chunk:
            self._lasts[index] = chunk[-1]
            self._tally(index, -1)
        else:
            del self._chunks[index], self._lasts[index]
            self._tree = None

    def rank(self, key: Key) -> int:
        """How many keys come before `key`, which need not be there itself."""
        index = bisect_left(self._lasts, key)
        if index == len(self._chunks):
            return self._count
        return self._before(index) + bisect_left(self._chunks[index], key)

    def _tally(self, index: int, change: int) -> None:
        if self._tree is None:
            return
        place = index + 1
        while place < len(self._tree):
            self._tree[place] += change
            place += place & -place

    def _before(self, index: int) -> int:
        """Keys in all chunks before that one."""
        tree = self._tree
        if tree is None:
            tree = self._tree = [0, *map(len, self._chunks)]
            for place in range(1, len(tree)):
                above = place + (place & -place)
                if above < len(tree):
                    tree[above] += tree[place]
        total = 0
        while index:
            total += tree[index]
            index -= index & -index
        return total
