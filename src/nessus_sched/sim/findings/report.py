"""The results of a run, in the form needed by the API and by exports."""

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
    """What and how a run scans: everything that its findings depend on."""

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
    """Start and end of a run or of the scan of a host, in epoch seconds. `finished` is False for
    a host that is still being scanned, or was when the run ended."""

    start: float
    end: float
    finished: bool = True


@attrs.frozen
class HostProgress:
    """Progress of a host: the share (0..1) of its checks, and when they ran."""

    share: float
    span: Span


@attrs.frozen
class Tally:
    """How often a plugin fired on a host with a severity."""

    plugin: Plugin
    severity: int
    count: int


@attrs.frozen(kw_only=True)
class HostSummary:
    """Counts of a host's findings; `tallies` in report order, compliance results separately."""

    name: str
    tallies: tuple[Tally, ...]
    compliance: tuple[Tally, ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """Counts by severity, informational first."""
        totals = [0] * SEVERITIES
        for tally in self.tallies:
            totals[tally.severity] += tally.count
        return tuple(totals)

    def part(self, share: float) -> HostSummary:
        """The summary after a share (0..1) of the checks."""
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
    """Counts the items of a host, followed by `more`."""
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
        """The size of the document, if known in advance."""

    def items(self, index: int, span: Span) -> Iterable[Item]:
        """The ReportItems of one host, in order; `span` is that host's."""

    def properties(self, index: int, span: Span) -> Mapping[str, str]:
        """The host's HostProperties tags."""

    def document(self, progress: Sequence[HostProgress]) -> Iterable[bytes]:
        """The `.nessus` file in chunks, with the results of each host so far."""
