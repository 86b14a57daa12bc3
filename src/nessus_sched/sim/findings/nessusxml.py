"""Writing a `.nessus` v2 file host by host, in memory that does not grow with its size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from html import escape

import attrs

from nessus_sched.sim.findings.plugins import Item, catalogue, families

CHUNK = 64 * 1024
"""About how many characters are gathered before they are handed on."""

_PLUGIN_SET_SIZE = 6000
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@attrs.frozen
class Host:
    name: str
    properties: Mapping[str, str]
    items: Iterable[Item]


def write_document(
    *, scan_name: str, policy: str, targets: Sequence[str], hosts: Iterable[Host]
) -> Iterator[bytes]:
    """The whole file in chunks of about 64 kB."""
    gathered: list[str] = []
    size = 0
    for piece in _pieces(scan_name, policy, targets, hosts):
        gathered.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(gathered).encode()
            gathered.clear()
            size = 0
    yield "".join(gathered).encode()


def _pieces(
    scan_name: str, policy: str, targets: Sequence[str], hosts: Iterable[Host]
) -> Iterator[str]:
    yield '<?xml version="1.0" ?>\n<NessusClientData_v2>\n'
    yield from _policy(policy, targets)
    yield f'<Report name="{_text(scan_name)}" xmlns:cm="http://www.nessus.org/cm">\n'
    for host in hosts:
        yield f'<ReportHost name="{_text(host.name)}"><HostProperties>\n'
        for name, value in host.properties.items():
            yield f'<tag name="{_text(name)}">{_text(value)}</tag>\n'
        yield "</HostProperties>\n"
        for item in host.items:
            yield _report_item(item)
        yield "</ReportHost>\n"
    yield "</Report>\n</NessusClientData_v2>\n"


def _policy(policy: str, targets: Sequence[str]) -> Iterator[str]:
    # The plugin set of a real file is one giant line; some readers fall over it.
    plugin_set = ";".join(str(10_000 + 7 * number) for number in range(_PLUGIN_SET_SIZE))
    server = {
        "TARGET": ",".join(targets),
        "max_hosts": "100",
        "max_checks": "5",
        "safe_checks": "yes",
        "port_range": "default",
        "plugin_set": plugin_set,
    }
    yield f"<Policy><policyName>{_text(policy)}</policyName>\n<Preferences><ServerPreferences>\n"
    for name, value in server.items():
        yield f"<preference><name>{name}</name>\n<value>{_text(value)}</value>\n</preference>\n"
    yield "</ServerPreferences>\n<PluginsPreferences>\n</PluginsPreferences>\n</Preferences>\n"
    yield "<FamilySelection>\n"
    for family in families():
        name = _text(family)
        yield f"<FamilyItem><FamilyName>{name}</FamilyName>\n<Status>enabled</Status>\n"
        yield "</FamilyItem>\n"
    yield "</FamilySelection>\n<IndividualPluginSelection>\n"
    scanner = catalogue()[11219]
    yield f"<PluginItem><PluginId>{scanner.id}</PluginId>\n"
    yield f"<PluginName>{scanner.name}</PluginName>\n<Family>{scanner.family}</Family>\n"
    yield "<Status>enabled</Status>\n</PluginItem>\n</IndividualPluginSelection>\n</Policy>\n"


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
    """The child elements that do not depend on the host; made once, for large files."""
    parts: list[str] = []
    for name, value in catalogue()[plugin_id].elements.items():
        values = [value] if isinstance(value, str) else value
        parts.extend(f"<{name}>{_text(text)}</{name}>\n" for text in values)
    return "".join(parts)


@lru_cache(maxsize=2048)
def _text(value: str) -> str:
    """Escaped, and without the characters that XML 1.0 cannot hold at all."""
    return escape(_ILLEGAL.sub("", value))
