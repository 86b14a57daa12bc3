"""Labels of hosts: who owns them, where they are, and how important they are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from nessus_sched.core.targets.ranges import Range
from nessus_sched.core.targets.scope import Rules
from nessus_sched.core.targets.targets import TargetSet

LABELS: Final = ("owner", "site", "criticality")
_MISSING: Final = -1


@attrs.frozen
class LabelRule:
    """The labels of the hosts that `hosts` matches, by address or name."""

    hosts: Rules
    labels: Mapping[str, str]


class Labels:
    """Which labels a host has: each from the last rule that matches the host and has it."""

    def __init__(self, rules: Sequence[LabelRule] = ()) -> None:
        self.rules = tuple(rules)
        self._finders = {name: _Finder(rules, name) for name in LABELS}

    def of(self, address: int | None, names: Iterable[str | None] = ()) -> dict[str, str]:
        """The labels of a host with an address (a number of `core.targets.ranges`) and names in
        lower case."""
        if not self.rules:
            return {}
        known = tuple(name for name in names if name)
        found = {name: self._finders[name].find(address, known) for name in LABELS}
        return {
            name: self.rules[rule].labels[name] for name, rule in found.items() if rule != _MISSING
        }

    def points(self, within: Range) -> Iterator[int]:
        """Addresses of a range, one of each stretch whose hosts have the same labels."""
        first, last = within
        yield first
        for finder in self._finders.values():
            yield from finder.starts_between(first, last)

    def values(self, label: str) -> tuple[str, ...]:
        """All values that a label has, sorted."""
        return tuple(sorted({each.labels[label] for each in self.rules if label in each.labels}))


@attrs.frozen
class Labelled:
    """The hosts with all these labels, compared without regard to case."""

    labels: Labels
    wanted: Mapping[str, str]

    def has(self, address: int | None, names: Iterable[str | None] = ()) -> bool:
        found = self.labels.of(address, names)
        return all(
            name in found and found[name].casefold() == value.casefold()
            for name, value in self.wanted.items()
        )

    def has_some(self, targets: TargetSet) -> bool:
        """Whether some of the targets have them."""
        return any(self.has(None, (name,)) for name in targets.names) or any(
            self.has(point) for each in targets.ranges for point in self.labels.points(each)
        )


class _Finder:
    """Finds the last rule with a label that matches a host, by its number."""

    def __init__(self, rules: Sequence[LabelRule], label: str) -> None:
        having = [(number, rule.hosts) for number, rule in enumerate(rules) if label in rule.labels]
        self._names: dict[str, int] = {}
        self._suffixes: dict[str, int] = {}
        for number, hosts in having:
            self._names.update(dict.fromkeys(hosts.names, number))
            self._suffixes.update(dict.fromkeys(hosts.patterns, number))
        self._starts, self._numbers = _segments(having)

    def starts_between(self, first: int, last: int) -> Sequence[int]:
        """Where stretches begin, after `first` and not after `last`."""
        return self._starts[bisect_right(self._starts, first) : bisect_right(self._starts, last)]

    def find(self, address: int | None, names: Iterable[str]) -> int:
        found = [_MISSING]
        if address is not None and self._starts:
            place = bisect_right(self._starts, address) - 1
            found += [self._numbers[place]] if place >= 0 else []
        for name in names:
            found.append(self._names.get(name, _MISSING))
            if self._suffixes:
                found += (self._suffixes.get(each, _MISSING) for each in _suffixes(name))
        return max(found)


def _suffixes(name: str) -> Iterator[str]:
    """All that a pattern can have in common with a name: `.b.c` and `.c` of `a.b.c`, and the
    pattern of every name."""
    yield ""
    for place, letter in enumerate(name):
        if letter == ".":
            yield name[place:]


def _segments(having: Sequence[tuple[int, Rules]]) -> tuple[list[int], list[int]]:
    """Where each stretch of addresses begins, and the last rule that has it."""
    edges: dict[int, list[tuple[int, int]]] = {}
    for number, hosts in having:
        for first, last in hosts.networks:
            edges.setdefault(first, []).append((number, 1))
            edges.setdefault(last + 1, []).append((number, -1))
    starts, numbers = [], []
    inside: dict[int, int] = {}
    for start in sorted(edges):
        for number, change in edges[start]:
            inside[number] = inside.get(number, 0) + change
            if not inside[number]:
                del inside[number]
        starts.append(start)
        numbers.append(max(inside, default=_MISSING))
    return starts, numbers
