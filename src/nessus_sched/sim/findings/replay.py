"""Replays real `.nessus` files as results of scans: the export is the file, byte for byte."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from nessus_sched.sim.findings.nessusxml import Host
from nessus_sched.sim.findings.plugins import Item, Plugin
from nessus_sched.sim.findings.report import HostProgress, HostSummary, Span, summarize

_CHUNK = 256 * 1024


class Replay:
    """Assigns the files in order, one per scan, and starts over after the last."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._reports = [ReplayedReport.of_file(path) for path in files]
        self._by_scan: dict[int, ReplayedReport] = {}

    @classmethod
    def find(cls, directory: Path | None, files: Sequence[Path]) -> Replay | None:
        """None if there is nothing to replay; raises `ValueError` for an empty directory."""
        inside = sorted(directory.glob("*.nessus")) if directory else []
        found = [*files, *(path for path in inside if path.is_file())]
        if not found and directory is not None:
            raise ValueError(f"there is no .nessus file in {directory}")
        return cls(found) if found else None

    def for_scan(self, scan_id: int) -> ReplayedReport:
        """The file for a scan, the same for all of its runs."""
        if scan_id not in self._by_scan:
            self._by_scan[scan_id] = self._reports[len(self._by_scan) % len(self._reports)]
        return self._by_scan[scan_id]


class ReplayedReport:
    """One file. Only counts are kept in memory; texts are read again when needed."""

    def __init__(self, name: str, length: int, open_file: Callable[[], BinaryIO]) -> None:
        self.name = name
        self._length = length
        self._open = open_file

    @classmethod
    def of_file(cls, path: Path) -> ReplayedReport:
        return cls(path.name, path.stat().st_size, lambda: path.open("rb"))

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> ReplayedReport:
        return cls(name, len(content), lambda: BytesIO(content))

    @property
    def length(self) -> int | None:
        return self._length

    @cached_property
    def hosts(self) -> Sequence[HostSummary]:
        return [summarize(host.name, host.items) for host in read_hosts(self._open)]

    def items(self, index: int, span: Span) -> Iterable[Item]:
        return self._host(index).items

    def properties(self, index: int, span: Span) -> Mapping[str, str]:
        return self._host(index).properties

    def document(self, progress: Sequence[HostProgress]) -> Iterable[bytes]:
        """The whole file, whatever the progress of the run."""
        with self._open() as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _host(self, index: int) -> Host:
        return next(islice(read_hosts(self._open), index, None))


def read_hosts(open_file: Callable[[], BinaryIO]) -> Iterator[Host]:
    """The hosts of a file; for a damaged one, those before the damage."""
    report: ET.Element | None = None
    with open_file() as file:
        events = ET.iterparse(file, events=("start", "end"))  # noqa: S314 - the operator's own
        try:
            for event, element in events:
                if event == "start" and element.tag == "Report":
                    report = element
                elif event == "end" and element.tag == "ReportHost":
                    yield _host(element)
                    if report is not None:
                        report.clear()
                elif event == "end" and element.tag == "Policy":
                    element.clear()
        except ET.ParseError:
            return


def _host(element: ET.Element) -> Host:
    properties = {
        tag.get("name", ""): tag.text or "" for tag in element.iterfind("HostProperties/tag")
    }
    items = [_item(child) for child in element.iterfind("ReportItem")]
    return Host(element.get("name", ""), properties, items)


def _item(element: ET.Element) -> Item:
    elements: dict[str, str | list[str]] = {}
    compliance = []
    for child in element:
        name = child.tag.rpartition("}")[2].removeprefix("cm:")
        text = child.text or ""
        if name.startswith("compliance-"):
            compliance.append((name, text))
        elif name != "plugin_output":
            _add(elements, name, text)
    plugin = Plugin(
        id=_number(element.get("pluginID")),
        name=element.get("pluginName", ""),
        family=element.get("pluginFamily", ""),
        severity=_number(element.get("severity")),
        on="code",
        elements=elements,
    )
    return Item(
        plugin=plugin,
        port=_number(element.get("port")),
        protocol=element.get("protocol", "tcp"),
        service=element.get("svc_name", "general"),
        severity=min(4, plugin.severity),
        output=element.findtext("plugin_output", ""),
        compliance=tuple(compliance),
    )


def _add(elements: dict[str, str | list[str]], name: str, text: str) -> None:
    known = elements.get(name)
    if known is None:
        elements[name] = text
    elif isinstance(known, list):
        known.append(text)
    else:
        elements[name] = [known, text]


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
