"""What a run found, in the form that both the API and the export need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.findings.plugins import Item, Plugin

SEVERITIES = 5


@attrs.frozen(kw_only=True)
class ScanOrder:
    """What a run is to scan and how: everything that its findings depend on."""

    scan_name: str
    template: str
    """The template's name, such as `basic`."""
    policy: str
    """Its title, as reports show it."""
    targets: tuple[str, ...]
    credentials: tuple[SentCredential, ...] = ()
    audits: tuple[str, ...] = ()
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Span:
    """Epoch seconds from which to which the run lasted."""

    start: float
    end: float


@attrs.frozen
class Tally:
    """How often a plugin fired on a host with one severity."""

    plugin: Plugin
    severity: int
    count: int


@attrs.frozen(kw_only=True)
class HostSummary:
    """A host's findings counted; `tallies` in the order found, compliance results apart."""

    name: str
    tallies: tuple[Tally, ...]
    compliance: tuple[Tally, ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """By severity, informational first."""
        totals = [0] * SEVERITIES
        for tally in self.tallies:
            totals[tally.severity] += tally.count
        return tuple(totals)

    def part(self, share: float) -> HostSummary:
        """What is known when only a share (0..1) of the checks have run."""
        if share >= 1:
            return self
        return attrs.evolve(
            self,
            tallies=self.tallies[: int(len(self.tallies) * share)],
            compliance=self.compliance[: int(len(self.compliance) * share)],
        )

    def plugin_ids(self) -> frozenset[int]:
        return frozenset(tally.plugin.id for tally in (*self.tallies, *self.compliance))


def summarize(name: str, items: Iterable[Item], *, more: Sequence[Tally] = ()) -> HostSummary:
    """Count the items of a host; `more` comes on top, after them."""
    found: Counter[tuple[int, int, bool]] = Counter()
    plugins: dict[int, Plugin] = {}
    for item in items:
        plugins[item.plugin.id] = item.plugin
        found[item.plugin.id, item.severity, bool(item.compliance)] += 1
    counted = [
        (checks, Tally(plugins[plugin_id], severity, count))
        for (plugin_id, severity, checks), count in found.items()
    ]
    return HostSummary(
        name=name,
        tallies=(*(tally for checks, tally in counted if not checks), *more),
        compliance=tuple(tally for checks, tally in counted if checks),
    )


class Report(Protocol):
    """The findings of one run. Hosts are numbered from 0 in the order they appear."""

    @property
    def hosts(self) -> Sequence[HostSummary]: ...

    @property
    def length(self) -> int | None:
        """The size of the document when it is known beforehand."""

    def items(self, index: int, span: Span) -> Iterable[Item]:
        """The ReportItems of one host, in order."""

    def properties(self, index: int, span: Span) -> Mapping[str, str]:
        """The host's HostProperties tags."""

    def document(self, span: Span, shares: Sequence[float]) -> Iterable[bytes]:
        """The `.nessus` file in chunks; `shares` is how much of each host was scanned."""
