"""What a report says about how its scan was run, for the comparison with what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.parsers import expat

import attrs

_CHUNK: Final = 2**18
_LONGEST: Final = 256 * 2**10
"""Characters that are kept of one value; what is longer is cut."""


class UnreadableReport(ValueError):
    """It is no `.nessus` document."""


@attrs.frozen(kw_only=True)
class Facts:
    """`preferences` are those of the server section, `plugin_preferences` by full name such as
    `Login configurations[checkbox]:Only use NTLMv2`. `families` has the status of each plugin
    family. `unfinished` counts the hosts without a time of their end."""

    preferences: Mapping[str, str]
    plugin_preferences: Mapping[str, str]
    families: Mapping[str, str]
    fired: frozenset[str]
    """The families of the plugins that reported something."""
    scan_info: str = ""
    """The output of plugin 19506 for the first host that has one."""
    hosts: int = 0
    unfinished: int = 0


def read_facts(path: Path) -> Facts:
    """Reads the file in pieces; blocks. Raises `UnreadableReport` or `OSError`."""
    handlers = _Handlers()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = handlers.start
    parser.EndElementHandler = handlers.end
    parser.CharacterDataHandler = handlers.text
    parser.StartDoctypeDeclHandler = handlers.doctype
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UnreadableReport(f"it is not well-formed XML: {error}") from error
    return handlers.facts()


class _Handlers:
    def __init__(self) -> None:
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._said: dict[str, str] = {}
        self._preferences: dict[str, str] = {}
        self._plugin_preferences: dict[str, str] = {}
        self._families: dict[str, str] = {}
        self._fired: set[str] = set()
        self._plugin = ""
        self._tag = ""
        self._scan_info = ""
        self._hosts = self._finished = 0

    def facts(self) -> Facts:
        return Facts(
            preferences=self._preferences,
            plugin_preferences=self._plugin_preferences,
            families=self._families,
            fired=frozenset(self._fired),
            scan_info=self._scan_info,
            hosts=self._hosts,
            unfinished=self._hosts - self._finished,
        )

    def doctype(self, *_details: object) -> None:
        raise UnreadableReport("it has a document type, which no report has")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text, self._length = [], 0
        if name == "ReportHost":
            self._hosts += 1
        elif name == "ReportItem":
            self._plugin = attributes.get("pluginID", "")
            if family := attributes.get("pluginFamily"):
                self._fired.add(family)
        elif name == "tag":
            self._tag = attributes.get("name", "")
        elif name in {"preference", "item", "FamilyItem"}:
            self._said = {}

    def text(self, data: str) -> None:
        if self._length < _LONGEST:
            self._text.append(data)
            self._length += len(data)

    def end(self, name: str) -> None:
        self._path.pop()
        text = "".join(self._text).strip()
        self._text, self._length = [], 0
        if name == "preference":
            self._preferences[self._said.get("name", "")] = self._said.get("value", "")
        elif name == "item":
            full, selected = self._said.get("fullName", ""), self._said.get("selectedValue", "")
            self._plugin_preferences[full] = selected
        elif name == "FamilyItem":
            self._families[self._said.get("FamilyName", "")] = self._said.get("Status", "")
        elif name == "tag" and self._tag == "HOST_END" and text:
            self._finished += 1
        elif name == "plugin_output" and self._plugin == "19506" and not self._scan_info:
            self._scan_info = text
        elif self._path and self._path[-1] in {"preference", "item", "FamilyItem"}:
            self._said[name] = text
