"""What really ran, by the report, against what was asked. Pure.

Evidence: real exports name these preferences (`portscan.ping`, `network_scanners.syn`, ...), and
a scan that was created without settings had neither ping nor port scanner in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nessus_sched.certify.report import Facts
from nessus_sched.core.asked import Asked, plain_mode
from nessus_sched.results.scaninfo import read_scan_info

_SCANNERS: Final[Mapping[str, str]] = {
    "syn": "network_scanners.syn",
    "tcp": "network_scanners.tcp",
    "udp": "network_scanners.udp",
    "ssh_netstat": "local_portscan.netstat_ssh",
    "wmi_netstat": "local_portscan.netstat_wmi",
    "snmp": "local_portscan.snmp",
}
_NTLMV2: Final = "Login configurations[checkbox]:Only use NTLMv2"


def differences(asked: Asked, facts: Facts) -> list[str]:
    """Each in a sentence. What the report does not mention is no difference."""
    return [*_ping(asked, facts), *_port_scanners(asked, facts), *_others(asked, facts)]


def compared(facts: Facts) -> int:
    """How many of the preferences that are compared the report has."""
    known = {"portscan.ping", "max_hosts", "safe_checks", "discovery_mode", *_SCANNERS.values()}
    return len(known & facts.preferences.keys())


def families_on(asked: Asked, facts: Facts) -> tuple[str, ...]:
    """The plugin families that were turned off and ran all the same."""
    off = asked.families_off or ()
    return tuple(
        family
        for family in off
        if facts.families.get(family, "disabled") != "disabled" or family in facts.fired
    )


def _ping(asked: Asked, facts: Facts) -> Iterator[str]:
    said = _flag(facts, "portscan.ping")
    if asked.ping is not None and said is not None and said is not asked.ping:
        yield f"ping was to be {_on(asked.ping)} and was {_on(said)}"


def _port_scanners(asked: Asked, facts: Facts) -> Iterator[str]:
    wanted = asked.port_scanners
    if wanted is None:
        return
    if wanted and read_scan_info(facts.scan_info).no_port_scanner:
        yield "no port scanner was enabled"
    for word, preference in _SCANNERS.items():
        said = _flag(facts, preference)
        if said is not None and said is not (word in wanted) and not _by_mode(asked, said):
            yield f"port scanner {word} was to be {_on(word in wanted)} and was {_on(said)}"


def _by_mode(asked: Asked, said: bool) -> bool:
    """A mode decides about the port scanners itself: with one, only what is missing counts."""
    return asked.discovery_mode is not None and said


def _others(asked: Asked, facts: Facts) -> Iterator[str]:
    mode = facts.preferences.get("discovery_mode")
    if asked.discovery_mode is not None and mode and not _same_mode(asked.discovery_mode, mode):
        yield f"the discovery mode was to be {asked.discovery_mode!r} and was {mode!r}"
    safe = _flag(facts, "safe_checks")
    if asked.safe_checks is not None and safe is not None and safe is not asked.safe_checks:
        yield f"safe checks were to be {_on(asked.safe_checks)} and were {_on(safe)}"
    hosts = facts.preferences.get("max_hosts", "")
    if asked.max_hosts is not None and hosts.isdecimal() and int(hosts) > asked.max_hosts:
        yield f"up to {asked.max_hosts} hosts were to be scanned at once, and {hosts} were"
    ntlm = facts.plugin_preferences.get(_NTLMV2)
    if asked.ntlmv1_off and ntlm == "no":
        yield "NTLMv1 was to be off and was on"


def _same_mode(name: str, reported: str) -> bool:
    """Reports have ids (`portscan_common`), requests have names (`Port scan (common ports)`)."""
    wanted, said = plain_mode(name), plain_mode(reported)
    return said in (wanted, wanted.removesuffix("ports")) or _MODE_IDS.get(said) == wanted


_MODE_IDS: Final[Mapping[str, str]] = {
    "portscancommon": "portscancommonports",
    "portscanall": "portscanallports",
    "hostenumeration": "hostenumeration",
    "osidentification": "osidentification",
    "identification": "osidentification",
    "enumeration": "hostenumeration",
}


def _flag(facts: Facts, preference: str) -> bool | None:
    value = facts.preferences.get(preference)
    return None if value not in {"yes", "no"} else value == "yes"


def _on(flag: bool) -> str:
    return "on" if flag else "off"
