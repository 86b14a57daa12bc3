"""Reads the reports of several scans of one task as the report of one scan.

A host that is in several reports counts once, as in the latest report that scanned it to its
end, or else in the latest that has it. Reports are read one at a time, in pieces; what is
remembered is one number per host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Final

import attrs

from nessus_sched.results.hosts import finished
from nessus_sched.results.model import Finding, HostEnd, HostReport
from nessus_sched.results.parser.problems import KEPT, ParseReport
from nessus_sched.results.parser.reader import Event, Reader

Source = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a report for reading."""
_SEPARATOR: Final = ";"
"""Between the ids in a list of plugins."""


class MergedReader:
    """Iterates over the events of reports, given oldest scan first, like `Reader` over those of
    one. Hosts and findings are renumbered. A report with hosts that its scan did not finish
    may be read twice.

    `report` describes all of them together; it is final after the iteration.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._report: ParseReport | None = None
        self._described: set[int] = set()
        self._owners: dict[str, int] = {}
        """The report that counts, by the key of the host."""
        self._unfinished: dict[int, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self._hosts = self._findings = 0
        self.runs: list[tuple[int, int]] = []
        """For each run of hosts from one report, the number of its first host and that of the
        report."""

    def __iter__(self) -> Iterator[Event]:
        if len(self._sources) == 1:
            self.runs.append((0, 0))
            yield from self._read(0)
            return
        newest_first = range(len(self._sources) - 1, -1, -1)
        for number in newest_first:
            self.runs.append((self._hosts, number))
            yield from self._renumbered(self._finished(number))
        for number in newest_first:
            for key in self._unfinished.get(number, ()):
                self._owners.setdefault(key, number)
        for number in newest_first:
            if any(self._counts(key, number) for key in self._unfinished.get(number, ())):
                self.runs.append((self._hosts, number))
                yield from self._renumbered(self._rest(number))

    @property
    def report(self) -> ParseReport:
        assert self._report is not None
        if len(self._sources) == 1:
            return self._report
        return attrs.evolve(self._report, hosts=self._hosts, findings=self._findings)

    def _read(self, number: int) -> Iterator[Event]:
        with self._sources[number]() as stream:
            reader = Reader(stream)
            yield from reader
        if number not in self._described:
            self._described.add(number)
            later = self._report
            self._report = reader.report if later is None else _of_both(reader.report, later)

    def _counts(self, key: str, number: int) -> bool:
        """Whether this report counts for the host. Those without a name are not known again."""
        return not key or self._owners[key] == number

    def _finished(self, number: int) -> Iterator[Event]:
        """The hosts of a report that its scan has finished and that no later one has."""
        unfinished = self._unfinished.setdefault(number, set())
        taken = False
        for event in self._read(number):
            if isinstance(event, HostReport):
                taken = finished(event)
                if taken:
                    self._owners.setdefault(event.key, number)
                    taken = self._counts(event.key, number)
                else:
                    unfinished.add(event.key)
            if taken:
                yield event

    def _rest(self, number: int) -> Iterator[Event]:
        """The other hosts of a report, unless another report counts for them."""
        taken = False
        for event in self._read(number):
            if isinstance(event, HostReport):
                taken = not finished(event) and self._counts(event.key, number)
            if taken:
                yield event

    def _renumbered(self, events: Iterable[Event]) -> Iterator[Event]:
        number = 0
        for event in events:
            if isinstance(event, Finding):
                yield attrs.evolve(event, index=self._findings, host_index=number)
                self._findings += 1
            elif isinstance(event, HostEnd):
                yield attrs.evolve(event, host=attrs.evolve(event.host, index=number))
            else:
                number = self._number(event)
                yield attrs.evolve(event, index=number)

    def _number(self, host: HostReport) -> int:
        """The number of a host; those without a name are not known again."""
        number = self._numbers.get(host.key, self._hosts)
        if number == self._hosts:
            self._hosts += 1
            if host.key:
                self._numbers[host.key] = number
        return number


def _of_both(earlier: ParseReport, later: ParseReport) -> ParseReport:
    """What holds for both reports. Lists of plugins and settings are those that both have."""
    counts = Counter(earlier.problem_counts) + Counter(later.problem_counts)
    return attrs.evolve(
        later,
        complete=earlier.complete and later.complete,
        bytes_read=earlier.bytes_read + later.bytes_read,
        requested=_joined(earlier.requested, later.requested),
        problems=(*earlier.problems, *later.problems)[:KEPT],
        problem_counts=dict(counts),
        plugin_set=_in_both(earlier.plugin_set, later.plugin_set),
        preferences=dict(earlier.preferences.items() & later.preferences.items()),
        families=dict(earlier.families.items() & later.families.items()),
    )


def _joined(one: str | None, other: str | None) -> str | None:
    """The targets of both, or None if one of the reports does not say."""
    if one is None or other is None or one == other:
        return one if one == other else None
    words = f"{one}\n{other}".replace(",", "\n").split()
    return ",".join(dict.fromkeys(words))


def _in_both(one: str | None, other: str | None) -> str | None:
    """The plugins in both lists, or None if one of the reports does not say."""
    if one is None or other is None or one == other:
        return one if one == other else None
    both = set(one.split(_SEPARATOR)) & set(other.split(_SEPARATOR))
    return _SEPARATOR.join(sorted(both))
