"""Reads the settings a scan ran with, from the preferences and scan information in its report.

A scanner may add, expand or drop settings, so the report is the only proof of what ran. The
names of preferences are from real exports of Nessus 5 to 10, not all of which have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from nessus_sched.core.asked import flag, number
from nessus_sched.results.parser.problems import ParseReport
from nessus_sched.results.scaninfo import ScanInfo

NETWORK: Final = ("syn", "tcp", "udp")
"""Port scanners that work from outside, by their names in `core.asked`."""
_SCANNERS: Final[Mapping[str, tuple[str, str]]] = {
    "syn": ("network_scanners.syn", "11219"),
    "tcp": ("network_scanners.tcp", "10335"),
    "udp": ("network_scanners.udp", "34277"),
    "ssh_netstat": ("local_portscan.netstat_ssh", "14272"),
    "wmi_netstat": ("local_portscan.netstat_wmi", "34220"),
    "snmp": ("local_portscan.snmp", "14274"),
}
"""Preference and plugin of each port scanner."""
_PING: Final = ("portscan.ping", "10180")


@attrs.frozen(kw_only=True)
class ActualSettings:
    """How a scan ran. Unknown values are None or left out of a mapping.

    `port_scanners` says which were on or off, by their names in `core.asked`. `agent`: an agent
    scanned its own machine, which involves no ping or port scanners. Modes are ids such as
    `portscan_common`.
    """

    agent: bool = False
    template_uuid: str | None = None
    discovery_mode: str | None = None
    speed_mode: str | None = None
    ping: bool | None = None
    port_scanners: Mapping[str, bool] = attrs.field(factory=dict)
    port_range: str | None = None
    max_hosts: int | None = None
    max_checks: int | None = None
    ntlmv1_off: bool | None = None
    safe_checks: bool | None = None
    web_tests: bool | None = None
    thorough: bool | None = None
    tls: bool | None = None
    families_off: frozenset[str] = frozenset()
    families_on: frozenset[str] = frozenset()

    @property
    def no_port_scanner(self) -> bool:
        """Whether every port scanner is known to have been off."""
        return len(self.port_scanners) == len(_SCANNERS) and not any(self.port_scanners.values())


def read_actual_settings(report: ParseReport, info: ScanInfo) -> ActualSettings:
    """The actual settings, from a report and its first scan information."""
    told, said = report.preferences, info.lines
    active = _Active(report.plugin_set)
    scanners = {word: active.state(told, *keys) for word, keys in _SCANNERS.items()}
    status = report.families.items()
    return ActualSettings(
        agent="agent_targets" in told or "agent" in (info.scan_type or "").lower(),
        template_uuid=told.get("wizard_uuid"),
        discovery_mode=told.get("discovery_mode"),
        speed_mode=told.get("advanced_mode"),
        ping=active.state(told, *_PING),
        port_scanners={word: on for word, on in scanners.items() if on is not None},
        port_range=told.get("port_range") or info.port_range,
        max_hosts=number(told.get("max_hosts") or said.get("max hosts")),
        max_checks=number(told.get("max_checks") or said.get("max checks")),
        ntlmv1_off=flag(told.get("Only use NTLMv2")),
        safe_checks=flag(told.get("safe_checks") or said.get("safe checks")),
        web_tests=flag(told.get("Enable CGI scanning")),
        thorough=flag(told.get("Thorough tests (slow)") or said.get("thorough tests")),
        tls=flag(told.get("service_detection.search_for_ssl")),
        families_off=frozenset(name for name, word in status if word == "disabled"),
        families_on=frozenset(name for name, word in status if word == "enabled"),
    )


class _Active:
    """The active plugins. The list proves something only in the format of real exports: ids
    followed by semicolons."""

    def __init__(self, plugin_set: str | None) -> None:
        listed = (plugin_set or "").strip()
        self._listed = f";{listed};" if ";" in listed and "," not in listed else ""

    def state(self, told: Mapping[str, str], preference: str, plugin: str) -> bool | None:
        """On or off according to the preference. Without one, an inactive plugin was off; an
        active one may still have been configured to do nothing."""
        if preference in told:
            return flag(told[preference])
        return False if self._listed and f";{plugin};" not in self._listed else None
