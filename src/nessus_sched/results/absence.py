"""Whether a scan proves that a finding is gone: the rules behind the word "fixed".

A finding that a scan does not show is gone only if that scan would have shown it. Every
doubt is a reason not to say so. Facts in (`coverage`), a verdict out; the same rules tell
whether an earlier scan would have shown what is new, and serve anything else that follows
findings through time.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.results.coverage import HostCoverage, ScanCoverage
from nessus_sched.results.portrange import in_range
from nessus_sched.results.verdict import Login, Privilege

_INTERMITTENT: Final = "plugin 117885"
LOGIN_PROBLEMS: Final = frozenset({110385, 117885})
"""Plugins that tell of a login with too few rights or with gaps: their silence means
something only where they ran."""
_STRICT: Final[Mapping[str, int]] = MappingProxyType({"thorough": 1, "paranoia": 2})
"""Settings that count as at their highest where the scan that saw the finding does not say."""
_TCP_SCANNERS: Final = ("syn", "tcp")
_UDP_SCANNERS: Final = ("udp",)


class Reason(StrEnum):
    """Why a scan that does not show a finding does not prove that it is gone."""

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
            "what the scan covered is not known: it was imported by an older version",
            "import its report again, or scan again",
        ),
        Reason.REPORT_INCOMPLETE: (
            "the report is damaged, cut or filtered",
            "export the whole scan again",
        ),
        Reason.HOST_NOT_SCANNED: (
            "the host was not among the targets",
            "scan it too",
        ),
        Reason.HOST_DOWN: (
            "the host did not answer or was not reached",
            "check that it is up and reachable, then scan it again",
        ),
        Reason.HOST_CHANGED: (
            "the name or hardware address says that it is another host",
            "find out where the host is now",
        ),
        Reason.HOST_UNFINISHED: (
            "the scan of the host did not run to its end",
            "scan it again",
        ),
        Reason.CHECK_NOT_RUN: (
            "the compliance check is not among the results",
            "scan with the same audit file and a working login",
        ),
        Reason.PLUGIN_NOT_RUN: (
            "nothing shows that the scan ran the plugin",
            "scan with a kind that includes it, with the same or newer plugins",
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
"""For each reason what it means and what to do."""


@attrs.frozen
class Sighting:
    """What of a finding matters, as the scan that shows it has it. `plugin_type` is the
    report's: remote, local, combined ..."""

    plugin_id: int | None
    plugin_type: str | None
    thorough: bool
    port: int | None
    protocol: str | None
    compliance: bool


def host_obstacle(
    scan: ScanCoverage | None, host: HostCoverage | None, *, targeted: bool, changed: bool
) -> Reason | None:
    """Why nothing that the scan does not show of a host is proved gone; None if some of it
    may be. `host` is None when the scan does not know it."""
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
    """Why a finding that a scan does not show of a host without obstacle is not proved
    gone; None if it is gone. `seen_on` is the host in the scan that shows the finding,
    `ran` that the other scan had the plugin, `watched` that it had `LOGIN_PROBLEMS`."""
    if seen.compliance:
        return Reason.CHECK_NOT_RUN  # an audit reports all of its checks, also those that pass
    if not ran:
        return Reason.PLUGIN_NOT_RUN
    if not _as_thorough(seen, seen_on, host):
        return Reason.SETTINGS_WEAKER
    if _took_login(seen, seen_on):
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


def _took_login(seen: Sighting, seen_on: HostCoverage | None) -> bool:
    """Whether it may have: a check that looks from inside, or of an unknown kind, on a host
    with a login."""
    if seen.plugin_type == "remote":
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
    """What the one found in a range from outside, the other would find there too."""
    if seen_on is None or seen_on.enumerated or seen_on.scanners is None:
        return False
    assert host.scanners is not None
    return seen_on.ports == host.ports and seen_on.scanners <= host.scanners
