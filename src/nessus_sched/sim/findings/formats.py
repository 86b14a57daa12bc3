"""The other export formats: CSV with the recorded columns, and a plain HTML page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from html import escape

from nessus_sched.sim.findings.plugins import Item
from nessus_sched.sim.findings.report import HostProgress, Report

_COLUMNS = (
    "Plugin ID",
    "CVE",
    "CVSS",
    "Risk",
    "Host",
    "Protocol",
    "Port",
    "Name",
    "Synopsis",
    "Description",
    "Solution",
    "See Also",
    "Plugin Output",
)
_RISKS = ("None", "Low", "Medium", "High", "Critical")


def as_csv(report: Report, progress: Sequence[HostProgress]) -> Iterator[bytes]:
    """A row for each finding and CVE, as Nessus does."""
    yield _line(_COLUMNS)
    for index, done in enumerate(progress):
        host = report.hosts[index].part(done.share)
        known = host.plugin_ids()
        if known:
            for item in report.items(index, done.span):
                if item.plugin.id in known:
                    yield from _rows(host.name, item)


def as_html(report: Report, title: str, progress: Sequence[HostProgress]) -> Iterator[bytes]:
    yield f"<!doctype html><title>{escape(title)}</title><h1>{escape(title)}</h1>\n".encode()
    for index, done in enumerate(progress):
        host = report.hosts[index].part(done.share)
        yield f"<h2>{escape(host.name)}</h2><p>{host.counts}</p>\n".encode()


def _rows(hostname: str, item: Item) -> Iterator[bytes]:
    elements = item.plugin.elements
    cves = elements.get("cve") or [""]
    for cve in [cves] if isinstance(cves, str) else cves:
        yield _line(
            (
                str(item.plugin.id),
                cve,
                str(elements.get("cvss_base_score", "")),
                _RISKS[item.severity],
                hostname,
                item.protocol,
                str(item.port),
                item.plugin.name,
                str(elements.get("synopsis", "")),
                str(elements.get("description", "")),
                str(elements.get("solution", "")),
                str(elements.get("see_also", "")),
                item.output,
            )
        )


def _line(fields: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(fields)
    return text.getvalue().encode()
