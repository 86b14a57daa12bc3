"""Defaults that the web interface sends for a new scan, for use when a scanner's editor cannot
be read.

Captured from the web interface of Nessus 10.8 for `basic`; modes as recorded per template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nessus_sched.nessus.editor import EditorTemplate, Input, Tab

BLOCK: Final[Mapping[str, Mapping[str, str]]] = {
    "discovery": {
        "ping_the_remote_host": "yes",
        "arp_ping": "yes",
        "tcp_ping": "yes",
        "tcp_ping_dest_ports": "built-in",
        "icmp_ping": "yes",
        "icmp_ping_retries": "2",
        "icmp_unreach_means_host_down": "no",
        "udp_ping": "no",
        "test_local_nessus_host": "yes",
        "fast_network_discovery": "no",
        "scan_network_printers": "no",
        "scan_netware_hosts": "no",
        "scan_ot_devices": "no",
        "portscan_range": "default",
        "unscanned_closed": "no",
        "ssh_netstat_scanner": "yes",
        "wmi_netstat_scanner": "yes",
        "snmp_scanner": "yes",
        "only_portscan_if_enum_failed": "yes",
        "verify_open_ports": "no",
        "syn_scanner": "yes",
        "syn_firewall_detection": "Automatic (normal)",
        "tcp_scanner": "no",
        "udp_scanner": "no",
        "svc_detection_on_all_ports": "yes",
        "detect_ssl": "yes",
        "ssl_prob_ports": "All ports",
        "dtls_prob_ports": "None",
        "cert_expiry_warning_days": "60",
        "enumerate_all_ciphers": "yes",
        "check_crl": "no",
    },
    "assessment": {
        "provided_creds_only": "yes",
        "thorough_tests": "no",
        "report_paranoia": "Normal",
        "request_windows_domain_info": "no",
        "scan_webapps": "no",
    },
    "report": {
        "report_verbosity": "Normal",
        "silent_dependencies": "yes",
        "report_superseded_patches": "yes",
        "allow_post_scan_editing": "yes",
        "log_live_hosts": "no",
        "display_unreachable_hosts": "no",
        "reverse_lookup": "no",
    },
    "advanced": {
        "safe_checks": "yes",
        "max_hosts_per_scan": "30",
        "max_checks_per_host": "5",
        "network_receive_timeout": "5",
        "reduce_connections_on_congestion": "no",
        "stop_scan_on_disconnect": "no",
        "slice_network_addresses": "no",
        "auto_accept_disclaimer": "no",
    },
    "basic": {
        "never_send_win_creds_in_the_clear": "yes",
        "dont_use_ntlmv1": "yes",
        "start_remote_registry": "no",
        "enable_admin_shares": "no",
        "start_server_service": "no",
        "ssh_port": "22",
        "ssh_client_banner": "OpenSSH_5.0",
        "attempt_least_privilege": "no",
    },
}

_PORTS: Final = ("Port scan (common ports)", "Port scan (all ports)", "Custom")
_HOSTS: Final = ("Host enumeration", "Custom")
_SPEED: Final = ("Default", "Scan low bandwidth links", "Custom")
_WEB: Final = (
    "Default",
    "Scan for known web vulnerabilities",
    "Scan for all web vulnerabilities (quick)",
    "Scan for all web vulnerabilities (complex)",
    "Custom",
)
_Modes = Mapping[str, tuple[str, tuple[str, ...]]]
_BASIC: Final[_Modes] = {
    "discovery": (_PORTS[0], _PORTS),
    "assessment": ("default", _WEB),
    "advanced": ("Default", _SPEED),
}
MODES: Final[Mapping[str, _Modes]] = {
    "basic": _BASIC,
    "pci": _BASIC,
    "patch_audit": {"discovery": (_PORTS[0], _PORTS), "advanced": ("Default", _SPEED)},
    "webapp": {
        "discovery": (_PORTS[0], _PORTS),
        "assessment": (_WEB[2], _WEB[1:]),
        "advanced": ("Default", _SPEED),
    },
    "compliance": {
        "discovery": ("Default", ("Default", "Custom")),
        "advanced": ("Default", _SPEED),
    },
    "malware": {"discovery": (_HOSTS[0], _HOSTS), "advanced": ("Default", _SPEED)},
    "scap": {"discovery": (_HOSTS[0], _HOSTS), "advanced": ("Default", _SPEED)},
    "discovery": {
        "discovery": (_HOSTS[0], (_HOSTS[0], "OS Identification", *_PORTS)),
    },
}
"""Default and available modes by template and tab; `advanced` and unlisted ones have none."""

_TABS: Final[Mapping[str, frozenset[str]]] = {"discovery": frozenset({"discovery", "report"})}
"""Templates with fewer tabs than the others."""


def stand_in(name: str, problem: str) -> EditorTemplate:
    """A template with the defaults of the web interface and no restrictions."""
    modes = MODES.get(name, {})
    return EditorTemplate(
        tabs=tuple(
            Tab(
                inputs=tuple(
                    Input(id=key, kind="entry", default=_default(name, key, value))
                    for key, value in block.items()
                ),
                mode=_mode(tab, *modes[tab]) if tab in modes else None,
            )
            for tab, block in BLOCK.items()
            if tab in _TABS.get(name, BLOCK)
        ),
        problem=problem,
    )


def _mode(tab: str, default: str, options: tuple[str, ...]) -> Input:
    return Input(id=f"{tab}_mode", kind="ui_radio", default=default, options=options)


def _default(template: str, key: str, value: str) -> str:
    """The default of a setting. Only a discovery scan reports live hosts."""
    return "yes" if (template, key) == ("discovery", "log_live_hosts") else value
