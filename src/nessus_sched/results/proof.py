"""Compares what a scan did with what was requested, and says what "nothing found" then means.

Only values that both sides report are compared. The scanner expands modes itself, whatever
values are sent with them: a real one ran `advanced_mode: Default` with 4 checks per host although
the web interface had sent 5. So values that a preset determines are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nessus_sched.core.asked import Asked, Setting, plain_mode
from nessus_sched.core.text import pluralize
from nessus_sched.results import portrange
from nessus_sched.results.actual_settings import NETWORK, ActualSettings
from nessus_sched.results.scan_warnings import (
    NARROW_PORT_RANGE,
    NO_PING,
    NO_PORT_SCANNER,
    ScanWarning,
)
from nessus_sched.results.untrusted import clean_line

_NAMES: Final = {
    "syn": "SYN",
    "tcp": "TCP",
    "udp": "UDP",
    "ssh_netstat": "netstat over SSH",
    "wmi_netstat": "netstat over WMI",
    "snmp": "SNMP",
}
_NARROW: Final = 1000
"""A range with fewer TCP ports counts as narrow; `default` has about 4,790."""
_NAMED: Final = 5
"""Plugin families named in a warning; the rest are counted."""
_MODES: Final = {
    "portscancommonports": "portscancommon",
    "portscanallports": "portscanall",
    "hostenumerationincludefragilehosts": "hostenumerationfragile",
}
"""Names of modes whose ids in reports differ in more than spelling."""
_NEVER_ON: Final = frozenset({"Policy Compliance", "Port scanners", "Settings", "Tenable.ot"})
"""Families that real reports show as disabled or mixed after an ordinary basic scan."""
_CUSTOM: Final = ("", "custom")


def proof(asked: Asked | None, actual: ActualSettings, *, unscanned: int) -> Iterator[ScanWarning]:
    """Warnings where the scan differed from `asked` and, where nothing is known or requested,
    where it did too little. `unscanned` hosts had no port scanner according to their scan
    information."""
    wanted = asked or Asked()
    yield from _template(wanted, actual)
    yield from _mode(wanted, actual)
    yield from _ping(wanted, actual)
    yield from _port_scanners(wanted, actual, unscanned)
    yield from _port_range(wanted, actual)
    yield from _families(wanted, actual)
    yield from _fewer_checks(wanted, actual)
    yield from _safe_checks(wanted, actual)
    yield from _ntlm(wanted, actual)
    yield from _speed(wanted, actual)


def _differs(setting: Setting, message: str, advice: str, code: str = "") -> ScanWarning:
    return ScanWarning(
        code=code or f"{setting.value}_differs", message=message, advice=advice, differs=setting
    )


def _template(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    if None not in (asked.template_uuid, actual.template_uuid) and (
        asked.template_uuid != actual.template_uuid
    ):
        yield _differs(
            Setting.TEMPLATE,
            f"The scan used a template other than {asked.template}.",
            "It may have tested other things; see the scan on the scanner.",
        )


def _mode(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    """The mode. If the scanner reports it as custom, its values are compared instead."""
    wanted, did = _mode_id(asked.discovery_mode), _mode_id(actual.discovery_mode)
    if wanted and did and did not in (wanted, *_CUSTOM):
        yield _differs(
            Setting.DISCOVERY_MODE,
            f"The discovery mode was {clean_line(actual.discovery_mode or '', 60)}, not "
            f"{clean_line(asked.discovery_mode or '', 60)}.",
            "Hosts and ports were searched for differently than requested.",
        )


def _ping(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    if actual.agent or actual.ping is None or asked.ping is actual.ping:
        return
    if not actual.ping:
        yield ScanWarning(
            code=NO_PING,
            message="The targets were not pinged" + (", although requested." if asked.ping
                                                     else "."),
            advice="Every address counts as a host; those without findings may not exist.",
            differs=Setting.PING if asked.ping else None,
        )  # fmt: skip
    elif asked.ping is False and not _preset(asked.discovery_mode):
        yield _differs(
            Setting.PING,
            "The targets were pinged, although this was turned off.",
            "Hosts that do not answer pings were skipped and not tested.",
        )


def _port_scanners(asked: Asked, actual: ActualSettings, unscanned: int) -> Iterator[ScanWarning]:
    wanted, on = asked.port_scanners, [word for word in NETWORK if actual.port_scanners.get(word)]
    if wanted == ():
        if on:
            yield _differs(
                Setting.PORT_SCANNERS,
                f"Ports were scanned ({_scanners(on)}), although this was turned off.",
                "Nothing was missed; the scan sent more traffic to its targets than requested.",
            )
        return
    if unscanned or (actual.no_port_scanner and not actual.agent):
        yield _no_port_scanner(asked, unscanned)
    elif missing := _missing(asked, actual):
        yield _differs(
            Setting.PORT_SCANNERS,
            f"Requested port scanners did not run: {_scanners(missing)}.",
            "Open ports, and findings on them, may be missing.",
        )


def _no_port_scanner(asked: Asked, unscanned: int) -> ScanWarning:
    hosts = f" for {pluralize(unscanned, 'host')}" if unscanned else ""
    wanted = asked.port_scanners
    although = f", although {_scanners(wanted)} was requested" if wanted else ""
    # All settings of the scanner's template were sent, and it has no port scanner.
    has_none = asked.settings > 0 and wanted is None
    return ScanWarning(
        code=NO_PORT_SCANNER,
        message=f"No port scanner ran{hosts}{although}.",
        advice="Only a few usual ports were tested; no findings on others means nothing. "
        + (
            f"The template {asked.template} has none; use another kind of scan for open ports."
            if has_none
            else "Scan again with a port scanner."
        ),
        differs=Setting.PORT_SCANNERS if wanted else None,
    )


def _missing(asked: Asked, actual: ActualSettings) -> list[str]:
    """Port scanners that were requested but known to be off; a preset chooses its own."""
    off = [word for word in asked.port_scanners or () if actual.port_scanners.get(word) is False]
    if not _preset(asked.discovery_mode):
        return off
    network = [word for word in off if word in NETWORK]
    return [] if any(map(actual.port_scanners.get, NETWORK)) else network


def _port_range(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    did, wanted = actual.port_range, asked.port_range
    if did is None or actual.agent or asked.port_scanners == ():
        return
    shown = clean_line(did, 60)
    if wanted is None:
        count = portrange.tcp_ports(did)
        if count is not None and count < _NARROW:
            yield ScanWarning(
                code=NARROW_PORT_RANGE,
                message=f"The port range was only {pluralize(count, 'TCP port')}: {shown}.",
                advice="Services on other ports were not tested.",
            )
    elif portrange.covers(did, wanted) is False:
        yield _differs(
            Setting.PORT_RANGE,
            f"The port range was {shown}, not {clean_line(wanted, 60)}.",
            "Services on the missing ports were not tested.",
        )
    elif portrange.covers(wanted, did) is False:
        yield _differs(
            Setting.PORT_RANGE,
            f"The port range was {shown}, more than {clean_line(wanted, 60)}.",
            "Nothing was missed; the scan took longer and sent more traffic to its targets.",
        )


def _families(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    if asked.families_off is None:
        return
    left_out = sorted(actual.families_off - {*asked.families_off} - _NEVER_ON)
    if left_out:
        yield _differs(
            Setting.FAMILIES,
            f"Plugin families that should have run were off: {_several(left_out)}.",
            "Their vulnerabilities were not checked.",
        )
    too_many = sorted(actual.families_on & {*asked.families_off, *asked.families_part})
    if too_many:
        yield _differs(
            Setting.FAMILIES,
            f"Plugin families ran that were turned off, or of which only some plugins were "
            f"selected: {_several(too_many)}."
            if asked.families_part
            else f"Plugin families that were turned off ran: {_several(too_many)}.",
            "Nothing was missed; the scan tested its targets more than requested.",
            code="more_families",
        )


_FEWER: Final = (
    (
        Setting.TLS,
        "Services were not tested for TLS",
        "Weak ciphers and bad certificates were not checked.",
    ),
    (
        Setting.WEB_TESTS,
        "Web applications were not tested",
        "Vulnerabilities of web applications were not checked.",
    ),
    (
        Setting.THOROUGH,
        "Thorough tests did not run",
        "Findings that need thorough tests were missed.",
    ),
)


def _fewer_checks(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    for setting, message, advice in _FEWER:
        if getattr(asked, setting.value) and getattr(actual, setting.value) is False:
            yield _differs(setting, f"{message}, although requested.", advice)


def _safe_checks(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    if None in (asked.safe_checks, actual.safe_checks) or asked.safe_checks is actual.safe_checks:
        return
    if actual.safe_checks:
        yield _differs(
            Setting.SAFE_CHECKS,
            "Only safe checks ran, although all were requested.",
            "Vulnerabilities that only unsafe checks find were missed.",
        )
    else:
        yield _differs(
            Setting.SAFE_CHECKS,
            "Checks that can disturb services ran, although only safe ones were requested.",
            "Nothing was missed; check that the targets still work.",
        )


def _ntlm(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    if asked.ntlmv1_off and actual.ntlmv1_off is False:
        yield _differs(
            Setting.NTLM,
            "NTLMv1 was allowed, although this was turned off.",
            "Nothing was missed; a hostile target may have learned the scan's Windows password.",
        )


def _speed(asked: Asked, actual: ActualSettings) -> Iterator[ScanWarning]:
    """Only higher values differ: lower ones just take longer, and scanners have own limits."""
    if _preset(asked.speed_mode) and _mode_id(actual.speed_mode) == _mode_id(asked.speed_mode):
        return
    for what, wanted, did in (
        ("hosts at once", asked.max_hosts, actual.max_hosts),
        ("checks per host", asked.max_checks, actual.max_checks),
    ):
        if wanted is not None and did is not None and did > wanted:
            yield _differs(
                Setting.SPEED,
                f"Up to {did} {what} ran, not {wanted}.",
                "Nothing was missed unless the targets or the network were overloaded.",
            )
            return


def _preset(mode: str | None) -> bool:
    return _mode_id(mode) not in _CUSTOM


def _mode_id(mode: str | None) -> str:
    plain = plain_mode(mode or "")
    return _MODES.get(plain, plain)


def _scanners(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(_NAMES[word] for word in words)


def _several(names: list[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(clean_line(name, 60) for name in names[:_NAMED])
    return shown + (f" and {more} more" if more > 0 else "")
