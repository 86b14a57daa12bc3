"""What the scan of an attempt was asked to do: the settings that decide what it can find."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

Scalar = str | int | float | bool
"""A setting's value; Nessus writes nearly all of them as text."""

PORT_SCANNERS: Final[Mapping[str, str]] = {
    "syn_scanner": "syn",
    "tcp_scanner": "tcp",
    "udp_scanner": "udp",
    "ssh_netstat_scanner": "ssh_netstat",
    "wmi_netstat_scanner": "wmi_netstat",
    "snmp_scanner": "snmp",
}
"""Our words for the port scanners, by the setting that turns each on."""

_WITHOUT_PORTS: Final = ("hostenumeration", "osidentification")
_ALL_PORTS: Final = "portscanallports"


class Setting(StrEnum):
    """What can differ between what a scan was asked to do and what it did."""

    TEMPLATE = "template"
    DISCOVERY_MODE = "discovery_mode"
    PING = "ping"
    PORT_SCANNERS = "port_scanners"
    PORT_RANGE = "port_range"
    FAMILIES = "families"
    TLS = "tls"
    WEB_TESTS = "web_tests"
    THOROUGH = "thorough"
    SAFE_CHECKS = "safe_checks"
    NTLM = "ntlm"
    SPEED = "speed"


@attrs.frozen(kw_only=True)
class SentLogin:
    """A credential of a scan, without its secret: its name here, its type in Nessus (SSH, Windows
    or SNMPv3) and its user on the targets."""

    name: str
    type: str
    username: str


@attrs.frozen(kw_only=True)
class Asked:
    """The essentials of what was sent for one attempt, to be compared with its report.

    None means that it was not sent, so the scanner decides. `port_scanners` are the words of
    `PORT_SCANNERS`. `families_off` are the plugin families that the template turns off, None
    where it does not say.
    """

    template: str = ""
    """Its name; empty for a policy."""
    template_uuid: str | None = None
    policy: str | None = None
    """A policy brings settings of its own, and none of ours are sent."""
    stand_in: bool = False
    """The scanner's own defaults could not be read; those of the web interface were sent."""
    discovery_mode: str | None = None
    speed_mode: str | None = None
    """`advanced_mode`: a preset decides `max_hosts` and `max_checks` itself."""
    ping: bool | None = None
    port_scanners: tuple[str, ...] | None = None
    port_range: str | None = None
    max_hosts: int | None = None
    max_checks: int | None = None
    ntlmv1_off: bool | None = None
    safe_checks: bool | None = None
    web_tests: bool | None = None
    thorough: bool | None = None
    tls: bool | None = None
    """Whether services are tried for TLS."""
    families_off: tuple[str, ...] | None = None
    families_part: tuple[str, ...] = ()
    """Families of which only some plugins were selected."""
    logins: tuple[SentLogin, ...] = ()
    settings: int = 0
    """How many settings were sent."""
    notes: tuple[str, ...] = ()
    """What a person should know about it, in sentences."""


def differing(summary: Mapping[str, Any] | None) -> list[str]:
    """The settings that differ from what was asked, by the warnings of a summary."""
    found = (each.get("differs") for each in (summary or {}).get("warnings", ()))
    return sorted({setting for setting in found if setting in set(Setting)})


def asked_for(settings: Mapping[str, Scalar], **known: Any) -> Asked:
    """The essentials of `settings` as sent; `known` are the fields they do not tell."""
    mode, speed = settings.get("discovery_mode"), settings.get("advanced_mode")
    plain = plain_mode(str(mode or ""))
    return attrs.evolve(
        Asked(
            discovery_mode=None if mode is None else str(mode),
            speed_mode=None if speed is None else str(speed),
            ping=flag(settings.get("ping_the_remote_host")),
            port_scanners=() if plain in _WITHOUT_PORTS else _port_scanners(settings),
            port_range=_port_range(plain, settings.get("portscan_range")),
            max_hosts=number(settings.get("max_hosts_per_scan")),
            max_checks=number(settings.get("max_checks_per_host")),
            ntlmv1_off=flag(settings.get("dont_use_ntlmv1")),
            safe_checks=flag(settings.get("safe_checks")),
            web_tests=flag(settings.get("scan_webapps")),
            thorough=flag(settings.get("thorough_tests")),
            tls=flag(settings.get("detect_ssl")),
            settings=len(settings),
        ),
        **known,
    )


def plain_mode(name: str) -> str:
    """A mode's name for comparison: `Host enumeration` and `host_enumeration` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _port_scanners(settings: Mapping[str, Scalar]) -> tuple[str, ...] | None:
    if not PORT_SCANNERS.keys() & settings.keys():
        return None
    return tuple(word for name, word in PORT_SCANNERS.items() if flag(settings.get(name)) is True)


def _port_range(mode: str, value: Scalar | None) -> str | None:
    """A mode that does not scan ports has no range, and one for all ports its own."""
    if mode in _WITHOUT_PORTS:
        return None
    if mode == _ALL_PORTS:
        return "1-65535"
    return None if value is None else str(value)


def flag(value: Scalar | None) -> bool | None:
    """A setting that is on or off; None where it is not there."""
    if value is None:
        return None
    return str(value).lower() in {"yes", "true", "1", "on"}


def number(value: Scalar | None) -> int | None:
    """A setting that is a natural number; None for anything else."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
