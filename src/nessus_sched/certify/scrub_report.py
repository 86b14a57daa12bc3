"""Reduces a report to its structure, preferences, plugin ids and ports, without findings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

TEXT: Final = "text"
"""Stands for any text that is not known to be harmless."""
PREFERENCE: Final = re.compile(r"[a-z_][a-z0-9_.]{0,60}")
"""The name of a setting."""
MOST_HOSTS: Final = 3
MOST_ITEMS: Final = 60
"""On each of them."""
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_SERVICES: Final = frozenset({
    "general", "http", "https", "www", "ssh", "telnet", "ftp", "smtp", "dns", "snmp", "ntp",
    "smb", "cifs", "msrdp", "rpc", "unknown",
})  # fmt: skip
_DATE: Final = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]?[0-9] [0-9:]{8} [0-9]{4}")
_PORTS: Final = re.compile(r"[TU0-9:,-]{1,60}")
_PLUGIN_SET: Final = re.compile(r"[0-9;]+")
_MODE: Final = re.compile(r"[a-z_]{1,40}")
_TAG: Final = re.compile(r"HOST_(START|END)(_TIMESTAMP)?|Credentialed_Scan")
_STATUS: Final = frozenset({"enabled", "disabled", "mixed", "partial"})
_PLUGIN_PREFERENCES: Final = frozenset(
    {"Only use NTLMv2", "Enable CGI scanning", "Thorough tests (slow)"}
)
"""The preferences that show what ran."""
_NO_SCANNER: Final = "WARNING : No port scanner was enabled during the scan"
_SAID: Final = re.compile(
    r"(?:Nessus version|Plugin feed version|Port range|Port scanner\(s\)|Thorough tests|Safe checks"
    r"|Max hosts|Max checks|Recv timeout|Scan duration) : ([a-z0-9_. ]{0,60})"
)
"""Lines about the scan itself; the others name people, machines and policies."""

Word = Callable[[str, str], str]


class ReportScrubber:
    """`word` is the rule for texts (key and value), `offered` are the editor's names."""

    def __init__(self, word: Word, offered: frozenset[str]) -> None:
        self._word = word
        self._offered = offered
        self._out: list[str] = []
        self._text: list[str] = []
        self._path: list[str] = []
        self._hosts: list[str] = []
        self._items = 0
        self._skipped = 0
        self._preference = self._plugin = self._tag = ""

    def scrub(self, content: bytes) -> str:
        """The scrubbed report, which ends where the input is not valid XML."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, _Doctype):
            self._out.append("<!-- cut -->")
        return '<?xml version="1.0" ?>\n' + "".join(self._out)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._text.clear()
        self._path.append(name)
        if self._skipped or self._is_surplus(name, attributes):
            self._skipped += 1
            return
        if name == "ReportItem":
            self._plugin = attributes.get("pluginID", "")
        elif name == "tag":
            self._tag = attributes.get("name", "")
        told = "".join(
            f" {key}={quoteattr(self._attribute(name, key, value))}"
            for key, value in attributes.items()
            if not key.startswith("xmlns")
        )
        space = ' xmlns:cm="http://www.nessus.org/cm"' if name == "Report" else ""
        self._out.append(f"<{name}{told}{space}>")

    def _is_surplus(self, name: str, attributes: dict[str, str]) -> bool:
        if name == "ReportHost":
            self._items = 0
            host = attributes.get("name", "")
            if host not in self._hosts:
                self._hosts.append(host)
            return len(self._hosts) > MOST_HOSTS
        if name == "ReportItem":
            self._items += 1
            return self._items > MOST_ITEMS and attributes.get("pluginID") != "19506"
        return name == "tag" and not _TAG.fullmatch(attributes.get("name", ""))

    def _end(self, name: str) -> None:
        self._path.pop()
        text = "".join(self._text).strip()
        self._text.clear()
        if self._skipped:
            self._skipped -= 1
            return
        self._out.append(f"{escape(self._content(name, text)) if text else ''}</{name}>\n")

    def _attribute(self, name: str, key: str, value: str) -> str:
        if name == "ReportHost" and key == "name":
            return f"192.0.2.{self._hosts.index(value) + 1}"
        if name == "tag":
            return value
        if key in {"port", "severity", "pluginID"} and _NUMBER.fullmatch(value):
            return value
        if key == "protocol" and value in {"tcp", "udp", "icmp"}:
            return value
        if key == "svc_name" and value.rstrip("?") in _SERVICES:
            return value
        return value if key == "pluginFamily" and value in self._offered else TEXT

    def _content(self, name: str, text: str) -> str:
        above = self._path[-1] if self._path else ""
        if above == "preference":
            if name == "name":
                self._preference = text
                return text if PREFERENCE.fullmatch(text) or text == "TARGET" else TEXT
            return self._setting(text)
        if name in {"pluginId", "PluginId"} and _NUMBER.fullmatch(text):
            return text
        if name == "selectedValue":
            return self._word("", text)
        if name == "preferenceName" and text in _PLUGIN_PREFERENCES:
            return text
        if name == "Status":
            return text if text in _STATUS else TEXT
        if name in {"FamilyName", "Family"}:
            return text if text in self._offered else TEXT
        if name == "tag":
            harmless = _DATE.fullmatch(text) or _NUMBER.fullmatch(text) or text in {"true", "false"}
            return text if harmless else TEXT
        if name == "plugin_output" and self._plugin == "19506":
            return _scan_info(text)
        return TEXT

    def _setting(self, text: str) -> str:
        name = self._preference
        if name == "plugin_set" and _PLUGIN_SET.fullmatch(text):
            return text
        if name in {"port_range", "portscan_range"} and _PORTS.fullmatch(text):
            return text
        if name.endswith("_mode") and _MODE.fullmatch(text):
            return text
        return self._word("", text)


class _Doctype(Exception):
    pass


def _refuse(*_details: object) -> None:
    raise _Doctype


def _scan_info(text: str) -> str:
    kept = [
        line.strip() if _SAID.fullmatch(line.strip()) else _NO_SCANNER
        for line in text.splitlines()
        if _SAID.fullmatch(line.strip()) or "No port scanner was enabled" in line
    ]
    return "\n".join(kept) or TEXT
