"""Writes a `.nessus` v2 file host by host, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from html import escape

import attrs

from nessus_sched.sim.findings.plugins import Item, catalog, families
from nessus_sched.sim.findings.policyxml import (
    individual_plugins,
    plugin_preferences,
    server_preferences,
)
from nessus_sched.sim.findings.report import ScanOrder

CHUNK = 64 * 1024
"""Approximate number of characters per chunk."""

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@attrs.frozen
class Host:
    name: str
    properties: Mapping[str, str]
    items: Iterable[Item]


def write_document(*, order: ScanOrder, hosts: Iterable[Host]) -> Iterator[bytes]:
    """The whole file in chunks of about 64 kB."""
    gathered: list[str] = []
    size = 0
    for piece in _pieces(order, hosts):
        gathered.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(gathered).encode()
            gathered.clear()
            size = 0
    yield "".join(gathered).encode()


def _pieces(order: ScanOrder, hosts: Iterable[Host]) -> Iterator[str]:
    yield '<?xml version="1.0" ?>\n<NessusClientData_v2>\n'
    yield from _policy(order)
    yield f'<Report name="{_text(order.scan_name)}" xmlns:cm="http://www.nessus.org/cm">\n'
    for host in hosts:
        yield f'<ReportHost name="{_text(host.name)}"><HostProperties>\n'
        for name, value in host.properties.items():
            yield f'<tag name="{_text(name)}">{_text(value)}</tag>\n'
        yield "</HostProperties>\n"
        for item in host.items:
            yield _report_item(item)
        yield "</ReportHost>\n"
    yield "</Report>\n</NessusClientData_v2>\n"


def _policy(order: ScanOrder) -> Iterator[str]:
    yield f"<Policy><policyName>{_text(order.policy)}</policyName>\n"
    yield "<Preferences><ServerPreferences>\n"
    for name, value in server_preferences(order).items():
        yield f"<preference><name>{name}</name>\n<value>{_text(value)}</value>\n</preference>\n"
    yield "</ServerPreferences>\n<PluginsPreferences>\n"
    for choice in plugin_preferences(order.conduct):
        yield "<item>"
        for name, value in choice.elements().items():
            yield f"<{name}>{_text(value)}</{name}>\n"
        yield "</item>\n"
    yield "</PluginsPreferences>\n</Preferences>\n<FamilySelection>\n"
    for family in families():
        status = order.conduct.families.get(family, "enabled")
        yield f"<FamilyItem><FamilyName>{_text(family)}</FamilyName>\n"
        yield f"<Status>{_text(status)}</Status>\n</FamilyItem>\n"
    yield "</FamilySelection>\n<IndividualPluginSelection>\n"
    for plugin, status in individual_plugins(order.conduct):
        yield f"<PluginItem><PluginId>{plugin.id}</PluginId>\n"
        yield f"<PluginName>{_text(plugin.name)}</PluginName>\n"
        yield f"<Family>{_text(plugin.family)}</Family>\n<Status>{status}</Status>\n"
        yield "</PluginItem>\n"
    yield "</IndividualPluginSelection>\n</Policy>\n"


def _report_item(item: Item) -> str:
    plugin = item.plugin
    head = (
        f'<ReportItem port="{item.port}" svc_name="{_text(item.service)}"'
        f' protocol="{item.protocol}" severity="{item.severity}" pluginID="{plugin.id}"'
        f' pluginName="{_text(plugin.name)}" pluginFamily="{_text(plugin.family)}">\n'
    )
    parts = [head]
    if item.compliance:
        parts.append("<compliance>true</compliance>\n")
    parts.append(_elements(plugin.id))
    if item.output:
        parts.append(f"<plugin_output>{_text(item.output)}</plugin_output>\n")
    parts.extend(f"<cm:{name}>{_text(text)}</cm:{name}>\n" for name, text in item.compliance)
    parts.append("</ReportItem>\n")
    return "".join(parts)


@cache
def _elements(plugin_id: int) -> str:
    """The child elements that do not depend on the host; cached for large files."""
    parts: list[str] = []
    for name, value in catalog()[plugin_id].elements.items():
        values = [value] if isinstance(value, str) else value
        parts.extend(f"<{name}>{_text(text)}</{name}>\n" for text in values)
    return "".join(parts)


@lru_cache(maxsize=2048)
def _text(value: str) -> str:
    """Escaped text without characters that XML 1.0 does not allow."""
    return escape(_ILLEGAL.sub("", value))
