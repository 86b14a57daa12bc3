"""Disjoint ranges of addresses and who holds each, searched in C.

4,096 single addresses are compared with any number of held ones in 0.2 ms, other ranges in
about two, and both are put in or taken out in a few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Final, Generic, TypeVar

K = TypeVar("K", int, bytes)
T = TypeVar("T")

FEW: Final = 32
"""Changes that are made in place; for more, a new list is quicker."""


def touched(
    firsts: Sequence[K], lasts: Sequence[K], other_firsts: Sequence[K], other_lasts: Sequence[K]
) -> Iterator[tuple[int, int]]:
    """For each of the other ranges that shares an address with some: the indexes of those, from
    and before. All four sequences are sorted, and the ranges of each side disjoint."""
    # Those that end before it begins, and those that begin before it ends: all others touch it.
    ended = map(bisect_left, repeat(lasts), other_firsts)
    begun = map(bisect_right, repeat(firsts), other_lasts)
    return ((at, end) for at, end in zip(ended, begun, strict=True) if at < end)


class Spans(Generic[K]):
    """Ranges of one family, their addresses as numbers or as bytes of equal length."""

    def __init__(self) -> None:
        self._all: _Sorted[K] = _Sorted()
        self._wide: _Sorted[K] = _Sorted()
        """Those of more than one address."""
        self._single: set[K] = set()
        """The others, for a quick answer to the usual question."""

    def add(self, firsts: Sequence[K], lasts: Sequence[K], holder: str) -> None:
        """Sorted ranges that touch none that are held."""
        wide = _wide(firsts, lasts)
        self._all.add(firsts, lasts, holder)
        self._wide.add([first for first, _ in wide], [last for _, last in wide], holder)
        self._single.update(firsts)
        self._single.difference_update(first for first, _ in wide)

    def remove(self, firsts: Sequence[K], lasts: Sequence[K]) -> None:
        """The same ranges again."""
        self._all.remove(firsts)
        self._wide.remove([first for first, _ in _wide(firsts, lasts)])
        self._single.difference_update(firsts)

    def holders(self, firsts: Sequence[K], lasts: Sequence[K]) -> Iterator[str]:
        """Who holds something of these sorted ranges; some may be given twice."""
        easy = firsts == lasts and self._single.isdisjoint(firsts)
        return (self._wide if easy else self._all).holders(firsts, lasts)


def _wide(firsts: Sequence[K], lasts: Sequence[K]) -> list[tuple[K, K]]:
    return [pair for pair in zip(firsts, lasts, strict=True) if pair[0] != pair[1]]


class _Sorted(Generic[K]):
    def __init__(self) -> None:
        self._firsts: list[K] = []
        self._lasts: list[K] = []
        self._holders: list[str] = []

    def add(self, firsts: Sequence[K], lasts: Sequence[K], holder: str) -> None:
        places = [*map(bisect_left, repeat(self._firsts), firsts)]
        self._firsts = _with(self._firsts, places, firsts)
        self._lasts = _with(self._lasts, places, lasts)
        self._holders = _with(self._holders, places, [holder] * len(places))

    def remove(self, firsts: Sequence[K]) -> None:
        places = [*map(bisect_left, repeat(self._firsts), firsts)]
        self._firsts = _without(self._firsts, places)
        self._lasts = _without(self._lasts, places)
        self._holders = _without(self._holders, places)

    def holders(self, firsts: Sequence[K], lasts: Sequence[K]) -> Iterator[str]:
        if self._firsts:
            for at, end in touched(self._firsts, self._lasts, firsts, lasts):
                yield from self._holders[at:end]


def _with(old: list[T], places: Sequence[int], new: Sequence[T]) -> list[T]:
    """`old`, which may change, with each of `new` before the index that is its place; places are
    sorted."""
    if len(places) <= FEW:
        for place, item in zip(reversed(places), reversed(new), strict=True):
            old.insert(place, item)
        return old
    result = old[: places[0]] if places else old
    for item, (at, end) in zip(new, pairwise([*places, len(old)]), strict=True):
        result.append(item)
        result += old[at:end]
    return result


def _without(old: list[T], places: Sequence[int]) -> list[T]:
    """`old`, which may change, without the items at those indexes, which are sorted."""
    if len(places) <= FEW:
        for place in reversed(places):
            del old[place]
        return old
    result = old[: places[0]] if places else old
    for at, end in pairwise([*places, len(old)]):
        result += old[at + 1 : end]
    return result
