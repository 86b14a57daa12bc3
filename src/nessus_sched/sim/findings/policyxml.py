"""The Policy section of a report, the only proof of how the scan was run.

Names and formats follow real exports. Preferences that were not set are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import attrs

from nessus_sched.sim.findings import ports
from nessus_sched.sim.findings.conduct import Conduct
from nessus_sched.sim.findings.plugins import Plugin, catalog
from nessus_sched.sim.findings.report import ScanOrder

_PING = 10180
_FILLER_PLUGINS = 6000

_FLAGS = {
    "portscan.ping": "ping_the_remote_host",
    "network_scanners.syn": "syn_scanner",
    "network_scanners.tcp": "tcp_scanner",
    "network_scanners.udp": "udp_scanner",
    "local_portscan.netstat_ssh": "ssh_netstat_scanner",
    "local_portscan.netstat_wmi": "wmi_netstat_scanner",
    "local_portscan.snmp": "snmp_scanner",
    "service_detection.search_for_ssl": "detect_ssl",
    "unscanned_closed": "unscanned_closed",
    "verify_open_ports": "verify_open_ports",
    "reduce_connections_on_congestion": "reduce_connections_on_congestion",
    "log_whole_attack": "log_whole_attack",
}
"""Server preferences with the settings that they come from."""

_SCANNER_SETTINGS = {
    _PING: "ping_the_remote_host",
    ports.SYN_SCANNER: "syn_scanner",
    ports.TCP_SCANNER: "tcp_scanner",
    ports.UDP_SCANNER: "udp_scanner",
    ports.NETSTAT_SSH: "ssh_netstat_scanner",
    ports.NETSTAT_WMI: "wmi_netstat_scanner",
    ports.SNMP_SCANNER: "snmp_scanner",
}
"""Plugins that are active only if their setting says so."""


@attrs.frozen(kw_only=True)
class PluginPreference:
    plugin: str
    plugin_id: int
    name: str
    kind: str
    values: str
    selected: str

    def elements(self) -> dict[str, str]:
        return {
            "pluginName": self.plugin,
            "pluginId": str(self.plugin_id),
            "fullName": f"{self.plugin}[{self.kind}]:{self.name}",
            "preferenceName": self.name,
            "preferenceType": self.kind,
            "preferenceValues": self.values,
            "selectedValue": self.selected,
        }


_PLUGIN_PREFERENCES = (
    # (plugin, id, preference, kind, its values, setting)
    ("Ping the remote host", 10180, "Do an ARP ping", "checkbox", "yes", "arp_ping"),
    ("Ping the remote host", 10180, "Do a TCP ping", "checkbox", "yes", "tcp_ping"),
    ("Ping the remote host", 10180, "Do an ICMP ping", "checkbox", "no", "icmp_ping"),
    (
        "Ping the remote host",
        10180,
        "Fast network discovery",
        "checkbox",
        "no",
        "fast_network_discovery",
    ),
    (
        "Port scanners settings",
        33812,
        "Only run network port scanners if local port enumeration failed",
        "checkbox",
        "yes",
        "only_portscan_if_enum_failed",
    ),
    ("Login configurations", 10870, "Only use NTLMv2", "checkbox", "no", "dont_use_ntlmv1"),
    (
        "Global variable settings",
        12288,
        "Report paranoia",
        "radio",
        "Normal;Avoid false alarms;Paranoid (more false alarms)",
        "report_paranoia",
    ),
    (
        "Global variable settings",
        12288,
        "Thorough tests (slow)",
        "checkbox",
        "no",
        "thorough_tests",
    ),
    ("Global variable settings", 12288, "Enable CGI scanning", "checkbox", "no", "scan_webapps"),
    (
        "Do not scan fragile devices",
        22481,
        "Scan Network Printers",
        "checkbox",
        "no",
        "scan_network_printers",
    ),
    (
        "Do not scan fragile devices",
        22481,
        "Scan Operational Technology devices",
        "checkbox",
        "no",
        "scan_ot_devices",
    ),
)


def server_preferences(order: ScanOrder) -> dict[str, str]:
    """Server preferences by name, in file order."""
    conduct = order.conduct
    # The plugin set of a real file is one huge line, which breaks some parsers.
    return {
        "plugin_set": plugin_set(conduct),
        "TARGET": ",".join(order.targets),
        "name": order.scan_name,
        "description": conduct.settings.get("description", ""),
        "wizard_uuid": order.template_uuid,
        "max_hosts": str(conduct.max_hosts),
        "max_checks": str(conduct.max_checks),
        "checks_read_timeout": str(conduct.number("network_receive_timeout", 5)),
        "safe_checks": conduct.settings.get("safe_checks", "yes"),
        "port_range": conduct.ports.text,
        "stop_scan_on_disconnect": conduct.settings.get("stop_scan_on_disconnect", "no"),
        "slice_network_addresses": conduct.settings.get("slice_network_addresses", "no"),
        "allow_post_scan_editing": conduct.settings.get("allow_post_scan_editing", "yes"),
        "throttle_scan": "yes",
        "listen_port": "1241",
        **{
            name: conduct.settings[setting]
            for name, setting in _FLAGS.items()
            if setting in conduct.settings
        },
        **{f"{part}_mode": mode.id for part, mode in conduct.modes.items()},
    }


def plugin_set(conduct: Conduct) -> str:
    """The ids of the active plugins, each followed by a semicolon."""
    active = [plugin.id for plugin in catalog().values() if _active(plugin, conduct)]
    return "".join(f"{plugin_id};" for plugin_id in sorted((*active, *_filler())))


def plugin_preferences(conduct: Conduct) -> Iterator[PluginPreference]:
    for plugin, plugin_id, name, kind, values, setting in _PLUGIN_PREFERENCES:
        yield PluginPreference(
            plugin=plugin,
            plugin_id=plugin_id,
            name=name,
            kind=kind,
            values=values,
            selected=conduct.settings.get(setting, values.partition(";")[0]),
        )


def individual_plugins(conduct: Conduct) -> Iterator[tuple[Plugin, str]]:
    """Port scanners according to the settings, others according to the request."""
    for plugin in catalog().values():
        if plugin.id in _SCANNER_SETTINGS or plugin.id in conduct.plugins:
            yield plugin, "enabled" if _active(plugin, conduct) else "disabled"


def _active(plugin: Plugin, conduct: Conduct) -> bool:
    setting = _SCANNER_SETTINGS.get(plugin.id)
    wanted = setting is None or conduct.on(setting)
    return wanted and conduct.runs(plugin.id, plugin.family)


@cache
def _filler() -> tuple[int, ...]:
    numbers = (10_000 + 7 * number for number in range(_FILLER_PLUGINS))
    return tuple(number for number in numbers if number not in catalog())
