"""Parses plugin 19506 (Nessus Scan Information), which says how a host was scanned."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Final

import attrs

from nessus_sched.results.untrusted import clean_line

PLUGIN: Final = 19506

_LINE: Final = re.compile(r"^[ \t]*([A-Za-z][^:\n]{0,60}?)[ \t]*:[ \t]*([^\n]*?)[ \t]*$", re.M)
_CREDENTIALED: Final = re.compile(r"Credentialed checks[ \t]*:[ \t]*([a-z]+)", re.IGNORECASE)
_NO_PORT_SCANNER: Final = re.compile(r"no port scanner was enabled", re.IGNORECASE)
_PLUGIN_SET: Final = re.compile(r"[0-9]{12}\Z")
_DATE: Final = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})\b")
_VARIETIES: Final = 10
_SECONDS: Final = re.compile(r"([0-9]{1,9}) sec")


@attrs.frozen(kw_only=True)
class ScanInfo:
    """Facts about one scan; None or empty if the report does not have them.

    `plugin_set` is YYYYMMDDHHMM; `plugin_set_at` the same in epoch seconds. `duration` is the
    host's, in seconds. `port_scanners` is None if no line names them, as for agents and scans
    of the scanner's own machine.
    """

    scanner_version: str | None = None
    scan_name: str | None = None
    policy: str | None = None
    scan_type: str | None = None
    plugin_set: str | None = None
    plugin_set_at: float | None = None
    port_scanners: tuple[str, ...] | None = None
    no_port_scanner: bool = False
    port_range: str | None = None
    credentialed: str | None = None
    duration: int | None = None
    remarks: tuple[str, ...] = ()
    """The scanner's own warnings, except about a missing port scanner."""
    lines: Mapping[str, str] = attrs.field(factory=dict)
    """All `key : value` lines, by key in lower case."""

    @property
    def scanned_at(self) -> float | None:
        """The day when the scan began, in epoch seconds; its time zone is ambiguous."""
        found = _DATE.match(self.lines.get("scan start date", ""))
        return None if found is None else _epoch("/".join(found.groups()), "%Y/%m/%d")


class Varieties:
    """Up to ten different values, sorted."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def add(self, value: str | None) -> None:
        if value is not None and len(self._found) < _VARIETIES:
            self._found.add(clean_line(value, 40))

    @property
    def found(self) -> tuple[str, ...]:
        return tuple(sorted(self._found))


def credentialed_word(output: str) -> str | None:
    """`yes` or `no` from the line `Credentialed checks`, in lower case."""
    found = _CREDENTIALED.search(output)
    return found[1].lower() if found else None


_WAY: Final = re.compile(r"\b(via [A-Za-z0-9]+|on the localhost)\b", re.IGNORECASE)


def credentialed_way(output: str) -> str | None:
    """The method on that line: `via ssh`, or `on the localhost` for the scanner's own machine,
    which needs no login. Leaves out the account's name."""
    found = _WAY.search(key_value_lines(output).get("credentialed checks", ""))
    return found[1].lower() if found else None


def key_value_lines(output: str) -> dict[str, str]:
    """The `key : value` lines by key in lower case; the first of each key counts."""
    said: dict[str, str] = {}
    for key, value in _LINE.findall(output[:20_000]):
        said.setdefault(key.lower(), value)
    return said


_REMARK: Final = re.compile(
    r"^[ \t]*(?:ERROR|WARNING)[ \t]*:[ \t]*(\S.*?)"
    r"(?=\n[ \t]*\n|\n[^\n:]{1,40} : |\Z)",  # a paragraph, up to the next `key : value`
    re.MULTILINE | re.DOTALL,
)


def _remarks(output: str) -> tuple[str, ...]:
    said = (clean_line(text, 200) for text in _REMARK.findall(output[:20_000]))
    return tuple(dict.fromkeys(text for text in said if not _NO_PORT_SCANNER.search(text)))


def read_scan_info(output: str) -> ScanInfo:
    """Parses the output of plugin 19506."""
    said = key_value_lines(output)
    scanners = said.get("port scanner(s)")
    seconds = _SECONDS.match(said.get("scan duration", ""))
    plugin_set = said.get("plugin feed version")
    return ScanInfo(
        scanner_version=said.get("nessus version"),
        scan_name=said.get("scan name"),
        policy=said.get("scan policy used"),
        scan_type=said.get("scan type"),
        plugin_set=plugin_set,
        plugin_set_at=plugin_set_time(plugin_set),
        port_scanners=None if scanners is None else tuple(scanners.split()),
        no_port_scanner=_NO_PORT_SCANNER.search(output) is not None,
        port_range=said.get("port range"),
        credentialed=credentialed_word(output),
        remarks=_remarks(output),
        duration=int(seconds[1]) if seconds else None,
        lines=said,
    )


def plugin_set_time(plugin_set: str | None) -> float | None:
    """The time of a plugin set in epoch seconds, from its name (YYYYMMDDHHMM, UTC)."""
    if plugin_set is None or not _PLUGIN_SET.match(plugin_set):
        return None
    return _epoch(plugin_set, "%Y%m%d%H%M")


def _epoch(text: str, form: str) -> float | None:
    try:
        made = datetime.datetime.strptime(text, form)  # noqa: DTZ007 - next line
    except ValueError:
        return None
    return made.replace(tzinfo=datetime.UTC).timestamp()
