"""Which settings and policies a submitter may choose: harmless ones, and what the operator adds."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Final

from nessus_sched.config.schema import Config
from nessus_sched.core.profile import RESERVED
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import ScanRequest
from nessus_sched.scheduler.errors import RequestError

SAFE_SETTINGS: Final = frozenset(
    {
        # Is a host there?
        *("discovery_mode", "ping_the_remote_host", "fast_network_discovery", "tcp_ping"),
        *("tcp_ping_dest_ports", "icmp_ping", "icmp_ping_retries", "arp_ping", "udp_ping"),
        *("icmp_unreach_means_host_down", "test_local_nessus_host", "reverse_lookup"),
        # Which ports are open?
        *("portscan_range", "syn_scanner", "tcp_scanner", "udp_scanner", "snmp_scanner"),
        *("ssh_netstat_scanner", "wmi_netstat_scanner", "only_portscan_if_enum_failed"),
        *("verify_open_ports", "unscanned_closed", "syn_firewall_detection"),
        *("tcp_firewall_detection", "snmp_port", "ssh_port"),
        # What answers there?
        *("svc_detection_on_all_ports", "detect_ssl", "ssl_prob_ports", "check_crl"),
        *("cert_expiry_warning_days", "enumerate_all_ciphers"),
        # How thoroughly, how gently?
        *("assessment_mode", "advanced_mode", "report_paranoia", "thorough_tests"),
        *("attempt_least_privilege", "reduce_connections_on_congestion", "network_receive_timeout"),
        *("slice_network_addresses", "stop_scan_on_disconnect"),
        # What does the report say?
        *("report_verbosity", "report_superseded_patches", "silent_dependencies"),
        *("display_unreachable_hosts", "log_live_hosts"),
    }
)
"""Settings of Nessus that neither widen what is scanned, nor try logins, write to hosts, or
take the care out of a scan (such as `safe_checks` or the numbers of simultaneous checks)."""

MOST: Final = 50
LONGEST: Final = 1000


def check_settings(request: ScanRequest, config: Config) -> None:
    """Raises `RequestError` with every setting that the submitter may not set, or for a policy
    that it may not name."""
    policies = config.custom_policies_allowed
    if request.policy is not None and policies is not None and request.policy not in policies:
        raise RequestError(
            f"policy {printable(request.policy)!r} is not among those that submitters may name",
            hint=f"allowed are: {', '.join(policies[:20]) or 'none'}; the operator can add it to "
            "custom_policies_allowed",
            code="policy_not_allowed",
        )
    problems = list(islice(_problems(request, frozenset(config.custom_settings_allowed)), 20))
    if problems:
        raise RequestError(
            "settings: " + "; ".join(problems),
            hint="leave these out; the operator can allow more with custom_settings_allowed",
            code="settings_refused",
        )


def _problems(request: ScanRequest, added: frozenset[str]) -> Iterator[str]:
    allowed = (SAFE_SETTINGS | added) - RESERVED
    if len(request.settings) > MOST:
        yield f"{len(request.settings)} are too many, at most {MOST}"
        return
    for name, value in request.settings.items():
        if name in RESERVED:
            yield f"{printable(name)} is set by the scheduler itself"
        elif name not in allowed:
            near = get_close_matches(name[:100], sorted(allowed), n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            yield f"{printable(name)} is not among those that submitters may set{meant}"
        elif len(value) > LONGEST or not value.isprintable():
            yield f"{printable(name)} needs a value of at most {LONGEST} printable characters"
