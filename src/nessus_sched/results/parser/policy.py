"""Reads the policy section of a report, skipping all but the facts about how the scan ran."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from nessus_sched.results.parser.limits import Damage, Limits, Text
from nessus_sched.results.parser.problems import ParseProblemKind

_TARGETS: Final = "TARGET"
_PLUGIN_SET: Final = "plugin_set"
KEPT: Final = frozenset(
    {
        "advanced_mode",
        "agent_targets",
        "discovery_mode",
        "local_portscan.netstat_ssh",
        "local_portscan.netstat_wmi",
        "local_portscan.snmp",
        "max_checks",
        "max_hosts",
        "network_scanners.syn",
        "network_scanners.tcp",
        "network_scanners.udp",
        "port_range",
        "portscan.ping",
        "safe_checks",
        "service_detection.search_for_ssl",
        "wizard_uuid",
    }
)
"""Server preferences to keep."""
KEPT_OF_PLUGINS: Final = frozenset(
    {"Only use NTLMv2", "Enable CGI scanning", "Thorough tests (slow)"}
)
"""Plugin preferences to keep; all of them are checkboxes."""
LONGEST: Final = 10_000
"""Characters of a preference; a longer one is treated as absent."""
MOST_FAMILIES: Final = 1000
_NAMES: Final = frozenset({"name", "policyName", "preferenceName", "FamilyName"})


class Policy:
    """Reads `<Policy>`: its name, the targets, the ids of the active plugins (digits with
    separators; None if the list was truncated), the `KEPT` preferences, and the status of each
    plugin family (`enabled`, `disabled` or `mixed`). The first value of a name counts.

    The section is often more than half of the document, has single values of a megabyte, and
    may name users, so nothing else is kept.
    """

    def __init__(self, limits: Limits, on_end: Callable[[], None]) -> None:
        self.name: str | None = None
        self.targets: str | None = None
        self.plugin_set: str | None = None
        self.preferences: dict[str, str] = {}
        self.families: dict[str, str] = {}
        self.text = Text(limits.text)
        self._most = limits.depth
        self._on_end = on_end
        self._depth = 0
        self._subject = ""
        """The preference or family whose value follows."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > self._most:
            raise Damage(ParseProblemKind.TOO_LARGE, f"elements nested more than {self._most} deep")
        if name in _NAMES or self._wanted(name):
            self.text.begin()

    def _wanted(self, name: str) -> bool:
        """Whether an element has a value to keep. Names in the wrong place are ignored:
        `selectedValue` belongs to plugins, `value` to the server."""
        subject = self._subject
        if name == "value":
            return subject in KEPT or subject in (_TARGETS, _PLUGIN_SET)
        if name == "selectedValue":
            return subject in KEPT_OF_PLUGINS
        return name == "Status" and bool(subject)

    def end(self, name: str) -> None:
        if self._depth == 0:
            self._on_end()
            return
        self._depth -= 1
        if name == "policyName":
            if self.name is None:
                self.name = self.text.take()[0]
        elif name in _NAMES:
            self._subject = " ".join(self.text.take()[0][:LONGEST].split())
        elif name in ("preference", "item", "FamilyItem"):
            self._subject = ""
        elif self._wanted(name):
            self._keep(name, *self.text.take())

    def _keep(self, element: str, text: str, lost: int) -> None:
        subject = self._subject
        if element == "Status":
            if len(self.families) < MOST_FAMILIES:
                self.families.setdefault(subject, text.strip()[:20].lower())
        elif subject == _TARGETS:
            self.targets = text if self.targets is None else self.targets
        elif subject == _PLUGIN_SET:
            if self.plugin_set is None and not lost:
                self.plugin_set = text
        elif len(text) <= LONGEST:
            self.preferences.setdefault(subject, text.strip())
