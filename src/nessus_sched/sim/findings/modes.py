"""The settings behind each mode, by the id shown in reports.

From the preferences listed for each mode in a recorded editor response.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

Values = Mapping[str, str]


@attrs.frozen
class Mode:
    """`values` override the settings of the request, because the server expands modes."""

    id: str
    name: str
    values: Values = attrs.field(factory=dict)


CUSTOM = "Custom"

_PING = {
    "ping_the_remote_host": "yes",
    "test_local_nessus_host": "yes",
    "fast_network_discovery": "no",
}
_PING_WAYS = {**_PING, "arp_ping": "yes", "tcp_ping": "yes", "icmp_ping": "yes"}
_NO_PORTS = {
    **_PING_WAYS,
    "udp_ping": "no",
    "ssh_netstat_scanner": "no",
    "wmi_netstat_scanner": "no",
    "snmp_scanner": "no",
    "only_portscan_if_enum_failed": "no",
    "syn_scanner": "no",
    "tcp_scanner": "no",
    "udp_scanner": "no",
    "portscan_range": "default",
    "unscanned_closed": "no",
    "scan_network_printers": "no",
    "scan_netware_hosts": "no",
}
_PORTS = {
    **_NO_PORTS,
    "ssh_netstat_scanner": "yes",
    "wmi_netstat_scanner": "yes",
    "snmp_scanner": "yes",
    "only_portscan_if_enum_failed": "yes",
    "syn_scanner": "yes",
}
_FRAGILE = {"scan_network_printers": "yes", "scan_netware_hosts": "yes"}
_CGI = {"report_paranoia": "Normal", "thorough_tests": "no", "scan_webapps": "yes"}

MODES: Mapping[str, tuple[Mode, ...]] = {
    "discovery": (
        Mode("default", "Default", _PING),
        Mode("host_enumeration", "Host enumeration", _NO_PORTS),
        Mode(
            "host_enumeration_fragile",
            "Host enumeration (include fragile hosts)",
            {**_NO_PORTS, **_FRAGILE},
        ),
        Mode("os_identification", "OS Identification", _NO_PORTS),
        Mode("portscan_common", "Port scan (common ports)", _PORTS),
        Mode("portscan_all", "Port scan (all ports)", {**_PORTS, "portscan_range": "1-65535"}),
        Mode("custom", CUSTOM),
    ),
    "assessment": (
        Mode(
            "default",
            "Default",
            {
                "report_paranoia": "Normal",
                "provided_creds_only": "yes",
                "scan_webapps": "no",
                "thorough_tests": "no",
            },
        ),
        Mode(
            "webapp_known",
            "Scan for known web vulnerabilities",
            {**_CGI, "generic_webapp_tests": "no"},
        ),
        Mode(
            "webapp_quick",
            "Scan for all web vulnerabilities (quick)",
            {**_CGI, "generic_webapp_tests": "yes", "generic_webapp_tests_max_time": "5"},
        ),
        Mode(
            "webapp_complex",
            "Scan for all web vulnerabilities (complex)",
            {
                **_CGI,
                "generic_webapp_tests": "yes",
                "generic_webapp_tests_max_time": "10",
                "thorough_tests": "yes",
            },
        ),
        Mode("custom", CUSTOM),
    ),
    "advanced": (
        Mode(
            "default",
            "Default",
            {
                "max_hosts_per_scan": "30",
                "max_checks_per_host": "4",
                "network_receive_timeout": "5",
            },
        ),
        Mode(
            "low_bandwidth",
            "Scan low bandwidth links",
            {
                "max_hosts_per_scan": "2",
                "max_checks_per_host": "2",
                "network_receive_timeout": "15",
                "reduce_connections_on_congestion": "yes",
            },
        ),
        Mode("custom", CUSTOM),
    ),
}
"""Modes by the part of the editor whose setting `PART_mode` selects one."""


def find_mode(
    part: str, wanted: str, *, default: str, names: tuple[str, ...], ids: bool
) -> Mode | None:
    """The mode in a request: by name, ignoring case; by the editor's default, even if that is an
    id; and by any id if `ids`."""
    for mode in MODES[part]:
        if mode.name not in names:
            continue
        by_name = wanted.lower() == mode.name.lower()
        by_id = wanted == mode.id and (ids or wanted == default)
        if by_name or by_id:
            return mode
    return None
