"""Reads from a report how its scan was run."""

from __future__ import annotations

from pathlib import Path

import attrs

from nessus_sched.results.actual_settings import ActualSettings, read_actual_settings
from nessus_sched.results.model import Finding, HostEnd
from nessus_sched.results.parser.reader import Event, parse
from nessus_sched.results.scaninfo import PLUGIN, ScanInfo, read_scan_info


class UnreadableReport(ValueError):
    """Not a complete `.nessus` document."""


@attrs.frozen(kw_only=True)
class Facts:
    """`unfinished` hosts have no end time; `unscanned` ones had no port scanner according to
    their scan information. `fired` are the families of plugins with findings."""

    ran: ActualSettings
    fired: frozenset[str] = frozenset()
    hosts: int = 0
    unfinished: int = 0
    unscanned: int = 0


def read_facts(path: Path) -> Facts:
    """Reads the file in pieces; blocks. Raises `UnreadableReport` or `OSError`."""
    seen = _Seen()
    with path.open("rb") as file:
        report = parse(file, seen.add)
    if not report.complete:
        raise UnreadableReport("the report is not complete")
    return Facts(
        ran=read_actual_settings(report, seen.info or ScanInfo()),
        fired=frozenset(seen.fired),
        hosts=report.hosts,
        unfinished=seen.unfinished,
        unscanned=seen.unscanned,
    )


class _Seen:
    def __init__(self) -> None:
        self.info: ScanInfo | None = None
        self.fired: set[str] = set()
        self.unfinished = self.unscanned = 0

    def add(self, event: Event) -> None:
        if isinstance(event, HostEnd):
            self.unfinished += (event.host.local_end or event.host.ended_at) is None
        elif isinstance(event, Finding):
            self.fired.add(event.plugin.plugin_family or "")
            if event.plugin.plugin_id == PLUGIN:
                info = read_scan_info(event.output_text)
                self.unscanned += info.no_port_scanner
                self.info = self.info or info
