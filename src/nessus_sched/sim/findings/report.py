"""What a run found, in the form that both the API and the export need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from nessus_sched.sim.findings.compliance import Audit
from nessus_sched.sim.findings.conduct import Conduct
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
    audits: tuple[Audit, ...] = ()
    template_uuid: str = ""
    conduct: Conduct = attrs.field(factory=Conduct, repr=False)


@attrs.frozen
class Span:
    """Epoch seconds from which to which a run or the scan of a host lasted. `finished` is
    False for a host that was still being scanned when the run ended, or is now."""

    start: float
    end: float
    finished: bool = True


@attrs.frozen
class HostProgress:
    """How far one host is: the share (0..1) of its checks, and when they ran."""

    share: float
    span: Span


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
        """The ReportItems of one host, in order; `span` is that host's."""

    def properties(self, index: int, span: Span) -> Mapping[str, str]:
        """The host's HostProperties tags."""

    def document(self, progress: Sequence[HostProgress]) -> Iterable[bytes]:
        """The `.nessus` file in chunks, with each host as far as it was scanned."""
