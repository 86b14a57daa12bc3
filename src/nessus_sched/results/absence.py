"""Decides whether a scan proves that a finding is gone: the rules behind the word "fixed".

A finding missing from a scan is gone only if the scan would have shown it; in doubt, it is not
called gone. The input is facts from `coverage`. The same rules decide whether an earlier scan
would have shown a new finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.results.coverage import HostCoverage, ScanCoverage
from nessus_sched.results.logins.verdict import Login, Privilege
from nessus_sched.results.portrange import in_range

_INTERMITTENT: Final = "plugin 117885"
LOGIN_PROBLEMS: Final = frozenset({110385, 117885})
"""Plugins that report a login with insufficient rights or gaps. Their absence means something
only if they ran."""
_STRICT: Final[Mapping[str, int]] = MappingProxyType({"thorough": 1, "paranoia": 2})
"""Settings assumed to be at their maximum if the scan with the finding does not record them."""
_TCP_SCANNERS: Final = ("syn", "tcp")
_UDP_SCANNERS: Final = ("udp",)


class Reason(StrEnum):
    """Why the absence of a finding from a scan does not prove that it is gone."""

    UNKNOWN = "unknown"
    REPORT_INCOMPLETE = "report_incomplete"
    HOST_NOT_SCANNED = "host_not_scanned"
    HOST_DOWN = "host_down"
    HOST_CHANGED = "host_changed"
    HOST_UNFINISHED = "host_unfinished"
    CHECK_NOT_RUN = "check_not_run"
    PLUGIN_NOT_RUN = "plugin_not_run"
    SETTINGS_WEAKER = "settings_weaker"
    LOGIN_FAILED = "login_failed"
    PORT_NOT_SCANNED = "port_not_scanned"


MEANINGS: Final[Mapping[Reason, tuple[str, str]]] = MappingProxyType(
    {
        Reason.UNKNOWN: (
            "the scan's coverage is unknown, because an older version imported it",
            "import its report again, or scan again",
        ),
        Reason.REPORT_INCOMPLETE: (
            "the report is damaged, truncated or filtered",
            "export the complete scan again",
        ),
        Reason.HOST_NOT_SCANNED: (
            "the host was not among the targets",
            "scan it too",
        ),
        Reason.HOST_DOWN: (
            "the host did not answer or could not be reached",
            "check that it is up and reachable, then scan it again",
        ),
        Reason.HOST_CHANGED: (
            "its name or hardware address belongs to another host now",
            "find out where the host is now",
        ),
        Reason.HOST_UNFINISHED: (
            "the scan of the host did not finish",
            "scan it again",
        ),
        Reason.CHECK_NOT_RUN: (
            "the compliance check is not in the results",
            "scan with the same audit file and a working login",
        ),
        Reason.PLUGIN_NOT_RUN: (
            "nothing shows that the scan ran the plugin",
            "use a kind of scan that includes it, with the same or newer plugins",
        ),
        Reason.SETTINGS_WEAKER: (
            "the scan was less thorough or less paranoid",
            "scan with the same settings",
        ),
        Reason.LOGIN_FAILED: (
            "the login failed, was missing, or had fewer rights",
            "fix the credential and scan again",
        ),
        Reason.PORT_NOT_SCANNED: (
            "nothing shows that the port was scanned",
            "scan a range that includes it",
        ),
    }
)
"""Meaning and remedy for each reason."""


@attrs.frozen
class Sighting:
    """The relevant facts about a finding, from the scan that shows it. `plugin_type` is taken
    from the report: remote, local, combined ..."""

    plugin_id: int | None
    plugin_type: str | None
    thorough: bool
    port: int | None
    protocol: str | None
    compliance: bool


def host_obstacle(
    scan: ScanCoverage | None, host: HostCoverage | None, *, targeted: bool, changed: bool
) -> Reason | None:
    """Why the scan cannot prove that any finding on a host is gone, or None if it may. `host`
    is None if the host is not in the scan."""
    if scan is None:
        return Reason.UNKNOWN
    if not scan.whole:
        return Reason.REPORT_INCOMPLETE
    if host is None:
        return Reason.HOST_DOWN if targeted else Reason.HOST_NOT_SCANNED
    if not host.answered:
        return Reason.HOST_DOWN
    if changed:
        return Reason.HOST_CHANGED
    if not host.ended:
        return Reason.HOST_UNFINISHED
    return None if host.whole else Reason.REPORT_INCOMPLETE


def finding_obstacle(
    seen: Sighting,
    seen_on: HostCoverage | None,
    host: HostCoverage,
    *,
    ran: bool,
    watched: bool,
) -> Reason | None:
    """Why a finding missing on a host without `host_obstacle` is not proved gone, or None if
    it is gone. `seen_on` is the host in the scan that shows the finding; `ran`: the other scan
    had the plugin; `watched`: it had `LOGIN_PROBLEMS`."""
    if seen.compliance:
        return Reason.CHECK_NOT_RUN  # an audit reports all of its checks, including those that pass
    if not ran:
        return Reason.PLUGIN_NOT_RUN
    if not _as_thorough(seen, seen_on, host):
        return Reason.SETTINGS_WEAKER
    if took_login(seen.plugin_type, seen_on):
        certain = watched or host.privilege is Privilege.SUFFICIENT
        if not certain or not _login_as_good(seen_on, host):
            return Reason.LOGIN_FAILED
    if not _port_scanned(seen, seen_on, host):
        return Reason.PORT_NOT_SCANNED
    return None


def _as_thorough(seen: Sighting, seen_on: HostCoverage | None, host: HostCoverage) -> bool:
    needed = {**_STRICT, **(seen_on.settings if seen_on else {})}
    if seen.thorough:
        needed["thorough"] = max(needed["thorough"], 1)
    return all(host.settings.get(name, 0) >= level for name, level in needed.items())


def took_login(plugin_type: str | None, seen_on: HostCoverage | None) -> bool:
    """Whether a finding may have needed a login: its check is local or of an unknown kind, and
    the host had a login."""
    if plugin_type == "remote":
        return False
    return seen_on is None or seen_on.login in (Login.FULL, Login.PARTIAL, Login.UNKNOWN)


def _login_as_good(seen_on: HostCoverage | None, host: HostCoverage) -> bool:
    if host.login not in (Login.FULL, Login.PARTIAL) or _INTERMITTENT in host.weak:
        return False
    if seen_on is None:
        return host.login is Login.FULL and not host.weak
    if _RANK[host.privilege] < _RANK[seen_on.privilege]:
        return False
    if seen_on.via and host.via and not seen_on.via <= host.via:
        return False
    if seen_on.login is Login.PARTIAL:
        return host.weak <= seen_on.weak
    return host.login is Login.FULL and not host.weak


_RANK: Final = {Privilege.INSUFFICIENT: 0, Privilege.UNKNOWN: 1, Privilege.SUFFICIENT: 2}


def _port_scanned(seen: Sighting, seen_on: HostCoverage | None, host: HostCoverage) -> bool:
    if not seen.port or host.enumerated:
        return True
    if host.scanners is None or host.ports is None:
        return False
    if _same_range(seen_on, host):
        return True
    udp = seen.protocol == "udp"
    wanted = _UDP_SCANNERS if udp else _TCP_SCANNERS
    looked = any(word in name for name in host.scanners for word in wanted)
    return looked and in_range(host.ports, seen.port, udp=udp)


def _same_range(seen_on: HostCoverage | None, host: HostCoverage) -> bool:
    """Whether both scans looked for ports from outside, over the same range."""
    if seen_on is None or seen_on.enumerated or seen_on.scanners is None:
        return False
    assert host.scanners is not None
    return seen_on.ports == host.ports and seen_on.scanners <= host.scanners
