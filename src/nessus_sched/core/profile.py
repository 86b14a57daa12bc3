"""Scan profiles: named sets of Nessus settings in everyday words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

from nessus_sched.core.fields import field
from nessus_sched.core.task import ScanKind

NO_PROFILE: Final = "none"
"""Names no profile, not even the default of the kind."""

COMMON: Final = "common"
ALL: Final = "all"
RESERVED: Final = frozenset(
    {
        # What is scanned.
        *("text_targets", "file_targets", "target_groups", "tag_targets", "alt_targets"),
        *("target_network_uuid", "agent_group_id", "agent_scan_launch_type"),
        # When, and where.
        *("enabled", "launch", "launch_now", "starttime", "rrules", "timezone"),
        *("folder_id", "scanner_id", "scanner_uuid"),
        # As whose, and for whom.
        *("name", "description", "uuid", "policy_id", "tag_id", "acls", "owner", "owner_id"),
        *("permissions", "user_permissions", "shared"),
        *("emails", "sms", "filters", "filter_type", "attach_report", "live_results"),
    }
)
"""Settings that only the scheduler may choose: others would get past the scope, the queue or the
ownership of a scan."""
_PORTS: Final = re.compile(r"(?:[TU]:)?[0-9]{1,5}(?:-[0-9]{1,5})?")


class Accuracy(StrEnum):
    NORMAL = "normal"
    FEWER_FALSE_ALARMS = "fewer_false_alarms"
    MORE_FINDINGS = "more_findings"
    """And more false alarms among them."""


@attrs.frozen(kw_only=True)
class ScanProfile:
    """How to scan: ports, speed, care. Keys left out keep the value of the scan template."""

    name: str = field(
        "Name that submitters use.",
        pattern=r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?",
        max_length=64,
    )
    description: str = field("Shown to submitters.", default="", max_length=500)
    default_for: tuple[ScanKind, ...] = field(
        "Kinds of scan that use it unless the submitter chooses another profile or `none`.",
        default=(),
    )
    ping: bool | None = field(
        "Whether to ping hosts first. With `false`, every address counts as alive, which takes a "
        "long time and reports hosts that do not exist.",
        default=None,
    )
    ping_ports: str | None = field(
        "TCP ports that count as a sign of life, such as `22,80,443`.", default=None, max_length=500
    )
    fragile_hosts: bool | None = field(
        "Whether to scan printers and Novell NetWare hosts.", default=None
    )
    ot_devices: bool | None = field(
        "Whether to scan operational technology, such as industrial controllers.", default=None
    )
    ports: str | None = field(
        "Ports to scan: `common`, `all`, or a list such as `1-1024,8443,U:161`.",
        default=None,
        max_length=1000,
    )
    syn_scan: bool | None = field("Find open TCP ports with SYN packets.", default=None)
    tcp_scan: bool | None = field("Find open TCP ports with full connections.", default=None)
    udp_scan: bool | None = field("Find open UDP ports: slow and unreliable.", default=None)
    max_hosts: int | None = field(
        "Hosts scanned at the same time.", default=None, minimum=1, maximum=1000
    )
    max_checks: int | None = field(
        "Checks run on one host at the same time.", default=None, minimum=1, maximum=100
    )
    network_timeout: int | None = field(
        "Seconds to wait for a host to answer.", default=None, minimum=1, maximum=600
    )
    slow_down: bool | None = field("Slow down when the network is congested.", default=None)
    safe_checks: bool | None = field(
        "Only checks that should not disturb a host. `false` can crash services.", default=None
    )
    web_tests: bool | None = field("Also test web applications.", default=None)
    thorough: bool | None = field(
        "Thorough tests: slower, and more visible in the hosts' logs.", default=None
    )
    accuracy: Accuracy | None = field("Whether to report uncertain findings.", default=None)
    remote_registry: bool | None = field(
        "Start the Remote Registry service of Windows hosts during the scan.", default=None
    )
    admin_shares: bool | None = field(
        "Enable the administrative shares of Windows hosts during the scan.", default=None
    )
    settings: Mapping[str, str] = field(
        'Other settings by their Nessus names, as text, such as `udp_ping: "yes"`.',
        factory=dict,
    )

    def words(self) -> Mapping[str, str]:
        """The settings of Nessus behind the words; `settings` not among them."""
        given = {name: getattr(self, name) for name in _WORDS}
        return {
            nessus: write(value)
            for name, value in given.items()
            if value is not None
            for nessus, write in _WORDS[name]
        }


def ports_problem(ports: str) -> str:
    """What is wrong with a port list, empty when nothing is."""
    if ports in {COMMON, ALL}:
        return ""
    for each in ports.split(","):
        text = each.strip()
        if not _PORTS.fullmatch(text):
            return f"expected `common`, `all`, or ports such as 1-1024,8443, not {text[:20]!r}"
        numbers = [int(number) for number in text.rpartition(":")[2].split("-")]
        if max(numbers) > 65535 or numbers != sorted(numbers):
            return f"no range of ports: {text!r}"
    return ""


def _yes_no(value: Any) -> str:
    return "yes" if value else "no"


def _range(ports: Any) -> str:
    return {COMMON: "default", ALL: "1-65535"}.get(ports, str(ports).replace(" ", ""))


def _accuracy(value: Any) -> str:
    return {
        Accuracy.NORMAL: "Normal",
        Accuracy.FEWER_FALSE_ALARMS: "Avoid false alarms",
        Accuracy.MORE_FINDINGS: "Paranoid (more false alarms)",
    }[value]


_Write = Callable[[Any], str]
_WORDS: Final[Mapping[str, tuple[tuple[str, _Write], ...]]] = {
    "ping": (("ping_the_remote_host", _yes_no),),
    "ping_ports": (("tcp_ping_dest_ports", _range),),
    "fragile_hosts": (("scan_network_printers", _yes_no), ("scan_netware_hosts", _yes_no)),
    "ot_devices": (("scan_ot_devices", _yes_no),),
    "ports": (("portscan_range", _range),),
    "syn_scan": (("syn_scanner", _yes_no),),
    "tcp_scan": (("tcp_scanner", _yes_no),),
    "udp_scan": (("udp_scanner", _yes_no),),
    "max_hosts": (("max_hosts_per_scan", str),),
    "max_checks": (("max_checks_per_host", str),),
    "network_timeout": (("network_receive_timeout", str),),
    "slow_down": (("reduce_connections_on_congestion", _yes_no),),
    "safe_checks": (("safe_checks", _yes_no),),
    "web_tests": (("scan_webapps", _yes_no),),
    "thorough": (("thorough_tests", _yes_no),),
    "accuracy": (("report_paranoia", _accuracy),),
    "remote_registry": (("start_remote_registry", _yes_no),),
    "admin_shares": (("enable_admin_shares", _yes_no),),
}
"""By word: the Nessus settings it means, and how its value is written there."""
