"""Ranks the plugins and hosts of a report while it is read."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final

import attrs

from nessus_sched.results.model import (
    SEVERITIES,
    UNKNOWN_SEVERITY,
    Finding,
    HostReport,
    Plugin,
    severity_name,
)
from nessus_sched.results.untrusted import clean_line

_PLUGINS: Final = 50_000
"""Maximum number of distinct plugins to count. No real scan has that many, but a forged report
may."""
_EXPLOIT_FLAGS: Final = (
    "exploit_available",
    "exploited_by_malware",
    "exploited_by_nessus",
    "exploit_framework_core",
    "exploit_framework_metasploit",
    "exploit_framework_canvas",
    "exploit_framework_d2_elliot",
    "exploit_framework_exploithub",
)
_CVES: Final = 5
_BELOW_LOW: Final = 0.5
"""Rank of an unknown severity: it may matter, but known ones come first."""


def exploitable(plugin: Plugin) -> bool:
    """Whether the report says that an exploit exists."""
    return any(getattr(plugin, flag) for flag in _EXPLOIT_FLAGS)


def known_exploited(plugin: Plugin) -> bool:
    """Whether CISA lists it as exploited in attacks (KEV)."""
    return plugin.cisa_kev


def exploited_by_malware(plugin: Plugin) -> bool:
    """Whether Tenable says that malware uses it."""
    return bool(plugin.exploited_by_malware)


@attrs.define
class PluginCount:
    """How often a plugin fired. `plugin` is the first one seen with its id."""

    plugin: Plugin
    severity: int | None
    number: int
    """From 0, in the order of the report."""
    findings: int = 0
    hosts: int = 0
    last_host: int = -1

    @property
    def rank(self) -> tuple[float, ...]:
        """Greater is worse."""
        plugin = self.plugin
        return (
            _BELOW_LOW if self.severity is None else self.severity,
            known_exploited(plugin) or exploited_by_malware(plugin),
            exploitable(plugin),
            plugin.vpr_score or 0.0,
            plugin.cvss_score or 0.0,
            self.hosts,
            -(plugin.plugin_id or 0),
        )

    def document(self) -> dict[str, Any]:
        plugin = self.plugin
        more = len(plugin.cve) - _CVES
        return {
            "plugin_id": plugin.plugin_id,
            "plugin_name": clean_line(plugin.plugin_name or ""),
            "severity": severity_name(self.severity),
            "cvss_score": plugin.cvss_score,
            "vpr_score": plugin.vpr_score,
            "cve": [clean_line(cve, 30) for cve in plugin.cve[:_CVES]],
            **({"cve_left_out": more} if more > 0 else {}),
            "cisa_kev": known_exploited(plugin),
            "known_exploited": known_exploited(plugin),
            "exploited_by_malware": exploited_by_malware(plugin),
            "exploitable": exploitable(plugin),
            "hosts": self.hosts,
            "findings": self.findings,
        }


class PluginCounts:
    """Counts findings for a bounded number of plugins."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int | None, int | None], PluginCount] = {}
        self._counted: Set[int] = frozenset()
        self._fired = array("I")

    def begin_host(self, counted: Iterable[int]) -> None:
        """Findings of another element follow; `counted` are the numbers of the plugins that
        `end_host` gave for the same host."""
        self._counted = frozenset(counted)
        self._fired = array("I", self._counted)

    def end_host(self) -> array[int]:
        """The numbers of the plugins that fired on the host."""
        return self._fired

    def add(self, finding: Finding) -> None:
        severity = finding.severity
        key = (finding.plugin.plugin_id, severity)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= _PLUGINS:
                return
            number = len(self._counts)
            count = self._counts[key] = PluginCount(finding.plugin, severity, number)
        count.findings += 1
        if count.last_host != finding.host_index:
            count.last_host = finding.host_index
            if count.number not in self._counted:
                count.hosts += 1
                self._fired.append(count.number)

    def top(self, size: int) -> list[dict[str, Any]]:
        """The worst plugins, without those known to be informational."""
        return _documents(self._serious(), size)

    def serious(self) -> int:
        """How many plugins there are to choose the worst from."""
        return sum(1 for _ in self._serious())

    def _serious(self) -> Iterator[PluginCount]:
        return (count for count in self._counts.values() if count.severity != 0)

    def chosen(self, which: Any, size: int) -> dict[str, Any]:
        """Counts, and the worst plugins for which `which(plugin)` is true."""
        found = [count for count in self._counts.values() if which(count.plugin)]
        return {
            "plugins": len(found),
            "findings": sum(count.findings for count in found),
            "top": _documents(found, size),
        }


def _documents(counts: Any, size: int) -> list[dict[str, Any]]:
    worst = heapq.nlargest(size, counts, key=lambda count: count.rank)
    return [count.document() for count in worst]


_RANKED: Final = (*reversed(SEVERITIES[1:]), UNKNOWN_SEVERITY)
"""The severities that rank hosts: critical first, without info."""


def _counted(rank: tuple[int, ...]) -> dict[str, int]:
    """The counts by name, with unknown ones only if there are any."""
    counts = dict(zip(_RANKED, rank, strict=True))
    if not counts[UNKNOWN_SEVERITY]:
        del counts[UNKNOWN_SEVERITY]
    return counts


class HostCounts:
    """The hosts with the worst findings."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._worst: list[tuple[tuple[int, ...], int, str]] = []

    def add(self, host: HostReport, severities: Mapping[str, int]) -> None:
        """Adds a host with its number of findings by severity name, or updates them with greater
        numbers."""
        rank = tuple(severities.get(name, 0) for name in _RANKED)
        if any(rank):
            self._forget(host.index)
            entry = (rank, -host.index, host.name)
            if len(self._worst) < self._size:
                heapq.heappush(self._worst, entry)
            else:
                heapq.heappushpop(self._worst, entry)

    def _forget(self, index: int) -> None:
        kept = [entry for entry in self._worst if entry[1] != -index]
        if len(kept) < len(self._worst):
            self._worst = kept
            heapq.heapify(kept)

    def top(self) -> list[dict[str, Any]]:
        return [
            {"host": clean_line(name, 100), **_counted(rank)}
            for rank, _, name in sorted(self._worst, reverse=True)
        ]
