"""Writes `.nessus` documents from the model's classes, and short ones by hand."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from nessus_sched.results.columns import Column, columns
from nessus_sched.results.model import ComplianceResult, Finding, HostReport, Plugin
from nessus_sched.results.parser.problems import ParseReport
from nessus_sched.results.parser.reader import Event, Reader

_SKIPPED = {"plugin_id", "plugin_name", "plugin_family"}
_BREAKS = {"\r": "&#13;"}


def document(*reports: str, policy: str = "", head: str = '<?xml version="1.0" ?>\n') -> bytes:
    """A document with the given ReportHost elements."""
    body = "".join(reports)
    return (
        f"{head}<NessusClientData_v2>{policy}"
        f'<Report name="test" xmlns:cm="http://www.nessus.org/cm">{body}</Report>'
        "</NessusClientData_v2>\n"
    ).encode()


def host(name: str, *items: str, tags: Mapping[str, str] | None = None) -> str:
    """A ReportHost element."""
    written = "".join(
        f"<tag name={_quoted(key)}>{_escaped(text)}</tag>" for key, text in (tags or {}).items()
    )
    return (
        f"<ReportHost name={_quoted(name)}><HostProperties>{written}</HostProperties>"
        f"{''.join(items)}</ReportHost>"
    )


def item(plugin_id: object = 1, *children: str, **attributes: object) -> str:
    """A ReportItem element; `children` are XML."""
    all_of_them = {
        "port": 0,
        "svc_name": "general",
        "protocol": "tcp",
        "severity": 0,
        "pluginID": plugin_id,
        "pluginName": f"Check {plugin_id}",
        "pluginFamily": "General",
    } | attributes
    written = " ".join(
        f"{name}={_quoted(str(value))}" for name, value in all_of_them.items() if value is not None
    )
    return f"<ReportItem {written}>{''.join(children)}</ReportItem>"


def element(name: str, text: object) -> str:
    return f"<{name}>{_escaped(str(text))}</{name}>"


def output(text: str) -> str:
    return element("plugin_output", text)


def write_host(report: HostReport, findings: Iterable[Finding]) -> str:
    """The ReportHost that a parser reads as these objects."""
    return host(report.name, *map(write_finding, findings), tags=report.properties)


def write_finding(finding: Finding) -> str:
    plugin = finding.plugin
    children = [
        element(about.element or name, text)
        for name, about in columns(Plugin).items()
        if name not in _SKIPPED and not about.derived
        for text in _texts(about, getattr(plugin, name))
    ]
    if finding.compliance is not None:
        children.append(element("compliance", "true"))
        children += [
            element(about.element or f"cm:compliance-{name.replace('_', '-')}", text)
            for name, about in columns(ComplianceResult).items()
            for text in _texts(about, getattr(finding.compliance, name))
        ]
    if finding.plugin_output is not None:
        children.append(output(finding.plugin_output))
    children += [element(name, text) for name, texts in finding.extra.items() for text in texts]
    return item(
        plugin.plugin_id,
        *children,
        pluginName=plugin.plugin_name,
        pluginFamily=plugin.plugin_family,
        port=finding.port,
        protocol=finding.protocol,
        svc_name=finding.svc_name,
        severity=finding.severity,
    )


def read(data: bytes, **options: Any) -> tuple[list[Event], ParseReport]:
    """All events of a document, and the report."""
    reader = Reader(io.BytesIO(data), **options)
    return list(reader), reader.report


def findings_of(events: Iterable[Event]) -> list[Finding]:
    return [event for event in events if isinstance(event, Finding)]


def _texts(about: Column, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, tuple):
        return [about.split.join(value)] if about.split and value else list(value)
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]


def _escaped(text: str) -> str:
    return escape(text, _BREAKS)


def _quoted(text: str) -> str:
    return quoteattr(text, _BREAKS | {"\n": "&#10;", "\t": "&#9;"})
