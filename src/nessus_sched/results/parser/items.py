"""Converts the raw texts of a ReportItem or HostProperties into the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.seal import without_upload
from nessus_sched.results.columns import Column, Kind, columns
from nessus_sched.results.model import ComplianceResult, Finding, HostReport, Plugin
from nessus_sched.results.parser.problems import ParseProblemKind
from nessus_sched.results.parser.values import READERS, cwe_id, listed, read_clock

Pairs = Sequence[tuple[str, str]]
Complain = Callable[[ParseProblemKind, str], None]

OUTPUT: Final = "plugin_output"
_FLAGGED: Final = "compliance"
_OLD_STYLE: Final = re.compile(r'\s*"(.{1,1000}?)"\s*:\s*\[([A-Z]+)\]', re.DOTALL)
_TEXTS_KEPT: Final = 32 * 2**20
"""Characters of plugin texts kept for comparison, enough for all plugins of a usual scan."""


def _by_element(cls: type[Any], name_of: Callable[[str], str]) -> dict[str, tuple[str, Column]]:
    table: dict[str, tuple[str, Column]] = {}
    for attribute, about in columns(cls).items():
        if about.derived or about.judged:
            continue
        for element in (about.element or name_of(attribute), *about.aliases):
            table[element] = (attribute, about)
    return table


def _compliance_element(attribute: str) -> str:
    return "compliance-" + attribute.replace("_", "-")


_PLUGIN_ATTRIBUTES: Final = {
    "pluginID": "plugin_id",
    "pluginName": "plugin_name",
    "pluginFamily": "plugin_family",
}
_PLUGIN: Final = _by_element(Plugin, lambda attribute: attribute)
_COMPLIANCE: Final = _by_element(ComplianceResult, _compliance_element)
_HOST: Final = _by_element(HostReport, lambda attribute: attribute)
_ATTRIBUTES: Final = {
    name: columns(Finding)[name] for name in ("port", "severity", "protocol", "svc_name")
}

COMPLIANCE_ELEMENTS: Final = frozenset(_COMPLIANCE) | {_FLAGGED}
"""Elements of a compliance check by local name, because `cm:` is often lost or misdeclared."""


class _Values:
    """Collects values for one object of the model; anything that does not fit goes to `extra`."""

    def __init__(self, complain: Complain) -> None:
        self.found: dict[str, Any] = {}
        self.extra: dict[str, tuple[str, ...]] = {}
        self._complain = complain

    def keep(self, name: str, text: str) -> None:
        self.extra[name] = (*self.extra.get(name, ()), text)

    def put(self, attribute: str, about: Column, name: str, text: str) -> None:
        if about.kind is Kind.LIST:
            texts = listed(text) or (text.split(about.split) if about.split else (text,))
            values = tuple(stripped for item in texts if (stripped := item.strip()))
            if values:
                self.found[attribute] = (*self.found.get(attribute, ()), *values)
        elif attribute in self.found:
            if text != self.found[attribute]:
                self.keep(name, text)
                self._complain(ParseProblemKind.REPEATED, f"more than one <{name}>")
        else:
            value = self.read(about, name, text)
            if value is not None:
                self.found[attribute] = value

    def read(self, about: Column, name: str, text: str) -> Any:
        """The value of a text, or None with a complaint if it has the wrong kind or range."""
        kind = about.kind
        if kind is Kind.TEXT:
            return text
        stripped = text.strip()
        if not stripped:
            return None
        value = READERS[kind](stripped)
        if value is None:
            self.keep(name, text)
            self._complain(
                ParseProblemKind.BAD_VALUE, f"{name} is no {kind.value}: {stripped[:60]!r}"
            )
        elif about.most is not None and not 0 <= float(value) <= about.most:
            self.keep(name, text)
            limits = f"0 to {about.most}"
            self._complain(
                ParseProblemKind.BAD_VALUE, f"{name} is not in {limits}: {stripped[:60]!r}"
            )
            return None
        return value


@attrs.define(kw_only=True)
class RawItem:
    """A ReportItem as read. `about` are its children except those specific to the occurrence."""

    attributes: Mapping[str, str]
    about: list[tuple[str, str]] = attrs.field(factory=list)
    compliance: list[tuple[str, str]] = attrs.field(factory=list)
    output: str | None = None


class ItemBuilder:
    """Builds findings. Caches plugins, so that equal texts share one object."""

    def __init__(self) -> None:
        self._plugins: dict[str, tuple[object, Plugin, Mapping[str, tuple[str, ...]]]] = {}
        self._kept = 0

    def finding(
        self, raw: RawItem, *, index: int, host_index: int, host: str, complain: Complain
    ) -> Finding:
        plugin, extra = self._plugin(raw, complain)
        values = _Values(complain)
        for name, text in raw.attributes.items():
            if name in _ATTRIBUTES:
                values.found[name] = values.read(_ATTRIBUTES[name], f"@{name}", text)
            elif name not in _PLUGIN_ATTRIBUTES:
                values.keep(f"@{name}", text)
        compliance = None
        if raw.compliance or _may_be_old_style(plugin):
            compliance = _compliance(raw.compliance, plugin, values)
        return Finding(
            index=index,
            host_index=host_index,
            host=host,
            port=values.found.get("port"),
            protocol=values.found.get("protocol"),
            svc_name=values.found.get("svc_name"),
            severity=values.found.get("severity"),
            plugin=plugin,
            plugin_output=raw.output,
            compliance=compliance,
            extra={**extra, **values.extra} if values.extra else extra,
        )

    def _plugin(
        self, raw: RawItem, complain: Complain
    ) -> tuple[Plugin, Mapping[str, tuple[str, ...]]]:
        heading = tuple(raw.attributes.get(name) for name in _PLUGIN_ATTRIBUTES)
        identity = raw.attributes.get("pluginID", "")
        known = self._plugins.get(identity)
        if known is not None and known[0] == (heading, raw.about):
            return known[1], known[2]
        plugin, extra = _read_plugin(raw, complain)
        self._kept += sum(len(text) for _, text in raw.about) + 4096
        if self._kept > _TEXTS_KEPT:
            self._plugins.clear()
            self._kept = 0
        self._plugins[identity] = ((heading, raw.about), plugin, extra)
        return plugin, extra


def _read_plugin(raw: RawItem, complain: Complain) -> tuple[Plugin, Mapping[str, tuple[str, ...]]]:
    values = _Values(complain)
    for name, attribute in _PLUGIN_ATTRIBUTES.items():
        if name in raw.attributes:
            value = values.read(_PLUGIN[attribute][1], f"@{name}", raw.attributes[name])
            if value is not None:
                values.found[attribute] = value
    for name, text in raw.about:
        known = _PLUGIN.get(name)
        if known is None:
            values.keep(name, text)
        elif name == "plugin_name" and name in values.found:
            if text != values.found[name]:  # often differs from the attribute
                values.keep(name, text)
        else:
            values.put(*known, name, text)
    weaknesses = _weaknesses(values.found)
    if weaknesses:
        values.found["cwe"] = weaknesses
    return Plugin(**values.found), values.extra


def _weaknesses(found: Mapping[str, Any]) -> tuple[str, ...]:
    """CWE ids from the element and from the cross references, in one spelling."""
    referred = (text for text in found.get("xref", ()) if text.upper().startswith("CWE"))
    return tuple(dict.fromkeys(map(cwe_id, (*found.get("cwe", ()), *referred))))


def _may_be_old_style(plugin: Plugin) -> bool:
    return plugin.plugin_family is not None and "compliance" in plugin.plugin_family.lower()


def _compliance(pairs: Pairs, plugin: Plugin, values: _Values) -> ComplianceResult | None:
    """The compliance check, or None if the item is not one. Before Nessus 6 the name and result
    are only in the description, as `"name" : [FAILED]`; the severity does not show it."""
    said = _Values(values._complain)
    flagged = False
    for name, text in pairs:
        if name == _FLAGGED:
            flagged = text.strip().lower() == "true"
        else:
            said.put(*_COMPLIANCE[name], name, text)
    for name, texts in said.extra.items():
        for text in texts:
            values.keep(name, text)
    if "result" in said.found:
        said.found["result"] = said.found["result"].strip().upper()
    else:
        _read_description(plugin.description or "", said.found)
    if not said.found and not flagged:
        return None
    if "audit_file" in said.found:  # part of what identifies a check, whichever scan uploaded it
        said.found["audit_file"] = without_upload(said.found["audit_file"])
    return ComplianceResult(**said.found)


def _read_description(description: str, found: dict[str, Any]) -> None:
    old = _OLD_STYLE.match(description)
    if old is not None:
        found["result"] = old[2]
        found.setdefault("check_name", old[1])


def host_report(
    index: int, name: str, tags: Iterable[tuple[str, str]], complain: Complain
) -> HostReport:
    """A host from its property tags; if a tag occurs twice, both texts are kept, one per line."""
    properties: dict[str, str] = {}
    for tag, text in tags:
        properties[tag] = f"{properties[tag]}\n{text}" if tag in properties else text
    values = _Values(complain)
    for tag, text in properties.items():
        if tag in _HOST and tag not in ("name", "index"):
            values.put(*_HOST[tag], tag, text)
    for attribute, exact in (("local_start", "started_at"), ("local_end", "ended_at")):
        if attribute in values.found:
            local, at = read_clock(values.found[attribute].strip())
            values.found[attribute] = local
            if at is not None:
                values.found.setdefault(exact, at)
    return HostReport(index=index, name=name, properties=properties, **values.found)
