"""What a scan really did against what it was asked to do, and what "nothing found" is then worth.

Only what both sides tell is compared. A mode is expanded by the scanner itself, whatever values
are sent next to it: a real one ran `advanced_mode: Default` with 4 checks per host where the
web interface had sent 5. So the values that a preset decides are not held against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nessus_sched.core.asked import Asked, Setting, plain_mode
from nessus_sched.core.text import number
from nessus_sched.results import portrange
from nessus_sched.results.doubt import (
    NARROW_PORT_RANGE,
    NO_PING,
    NO_PORT_SCANNER,
    Doubt,
)
from nessus_sched.results.ran import NETWORK, Ran
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
"""A range with fewer TCP ports is narrow; `default` has about 4,790."""
_NAMED: Final = 5
"""Plugin families named in a warning; the rest is counted."""
_MODES: Final = {
    "portscancommonports": "portscancommon",
    "portscanallports": "portscanall",
    "hostenumerationincludefragilehosts": "hostenumerationfragile",
}
"""Names of modes against their ids in reports, where these differ in more than spelling."""
_NEVER_ON: Final = frozenset({"Policy Compliance", "Port scanners", "Settings", "Tenable.ot"})
"""Families that real reports show as disabled or mixed after an ordinary basic scan."""
_CUSTOM: Final = ("", "custom")


def proof(asked: Asked | None, ran: Ran, *, unscanned: int) -> Iterator[Doubt]:
    """Where the scan did something else than `asked`; and where that is not known, or nothing
    was said, what it did too little of. `unscanned` hosts had no port scanner by their own
    scan information."""
    wanted = asked or Asked()
    yield from _template(wanted, ran)
    yield from _mode(wanted, ran)
    yield from _ping(wanted, ran)
    yield from _port_scanners(wanted, ran, unscanned)
    yield from _port_range(wanted, ran)
    yield from _families(wanted, ran)
    yield from _fewer_checks(wanted, ran)
    yield from _safe_checks(wanted, ran)
    yield from _ntlm(wanted, ran)
    yield from _speed(wanted, ran)


def _differs(setting: Setting, message: str, advice: str, code: str = "") -> Doubt:
    return Doubt(
        code=code or f"{setting.value}_differs", message=message, advice=advice, differs=setting
    )


def _template(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    if None not in (asked.template_uuid, ran.template_uuid) and (
        asked.template_uuid != ran.template_uuid
    ):
        yield _differs(
            Setting.TEMPLATE,
            f"The scan ran from another template than {asked.template}.",
            "It may have looked for other things; see the scan on the scanner.",
        )


def _mode(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    """A scanner that calls a mode custom shows its values, which are compared by themselves."""
    wanted, did = _mode_id(asked.discovery_mode), _mode_id(ran.discovery_mode)
    if wanted and did and did not in (wanted, *_CUSTOM):
        yield _differs(
            Setting.DISCOVERY_MODE,
            f"The discovery mode was {clean_line(ran.discovery_mode or '', 60)}, not "
            f"{clean_line(asked.discovery_mode or '', 60)}.",
            "Hosts and ports were looked for in another way than was asked.",
        )


def _ping(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    if ran.agent or ran.ping is None or asked.ping is ran.ping:
        return
    if not ran.ping:
        yield Doubt(
            code=NO_PING,
            message="The targets were not pinged" + (", although it was asked." if asked.ping
                                                     else "."),
            advice="Every address counts as a host: one with nothing found may not exist.",
            differs=Setting.PING if asked.ping else None,
        )  # fmt: skip
    elif asked.ping is False and not _preset(asked.discovery_mode):
        yield _differs(
            Setting.PING,
            "The targets were pinged, although it was turned off.",
            "Hosts that do not answer pings were skipped and not tested.",
        )


def _port_scanners(asked: Asked, ran: Ran, unscanned: int) -> Iterator[Doubt]:
    wanted, on = asked.port_scanners, [word for word in NETWORK if ran.port_scanners.get(word)]
    if wanted == ():
        if on:
            yield _differs(
                Setting.PORT_SCANNERS,
                f"Ports were scanned ({_scanners(on)}), although it was turned off.",
                "Nothing was missed; the scan sent more to its targets than was asked.",
            )
        return
    if unscanned or (ran.no_port_scanner and not ran.agent):
        yield _no_port_scanner(asked, unscanned)
    elif missing := _missing(asked, ran):
        yield _differs(
            Setting.PORT_SCANNERS,
            f"Port scanners that were asked for did not run: {_scanners(missing)}.",
            "Open ports can be missing, and with them whatever listens there.",
        )


def _no_port_scanner(asked: Asked, unscanned: int) -> Doubt:
    hosts = f" for {number(unscanned, 'host')}" if unscanned else ""
    wanted = asked.port_scanners
    although = f", although {_scanners(wanted)} was asked for" if wanted else ""
    # All that the scanner's template has was sent, and no port scanner is in it.
    has_none = asked.settings > 0 and wanted is None
    return Doubt(
        code=NO_PORT_SCANNER,
        message=f"No port scanner ran{hosts}{although}.",
        advice="Only a few usual ports were looked at: nothing found on others means nothing. "
        + (
            f"The template {asked.template} has none; use another kind of scan for open ports."
            if has_none
            else "Scan again with a port scanner."
        ),
        differs=Setting.PORT_SCANNERS if wanted else None,
    )


def _missing(asked: Asked, ran: Ran) -> list[str]:
    """The port scanners that were asked for and known to be off; a preset has its own."""
    off = [word for word in asked.port_scanners or () if ran.port_scanners.get(word) is False]
    if not _preset(asked.discovery_mode):
        return off
    network = [word for word in off if word in NETWORK]
    return [] if any(map(ran.port_scanners.get, NETWORK)) else network


def _port_range(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    did, wanted = ran.port_range, asked.port_range
    if did is None or ran.agent or asked.port_scanners == ():
        return
    shown = clean_line(did, 60)
    if wanted is None:
        count = portrange.tcp_ports(did)
        if count is not None and count < _NARROW:
            yield Doubt(
                code=NARROW_PORT_RANGE,
                message=f"The port range was only {number(count, 'TCP port')}: {shown}.",
                advice="Services on other ports were not looked for.",
            )
    elif portrange.covers(did, wanted) is False:
        yield _differs(
            Setting.PORT_RANGE,
            f"The port range was {shown}, not {clean_line(wanted, 60)}.",
            "Services on ports that were left out were not looked for.",
        )
    elif portrange.covers(wanted, did) is False:
        yield _differs(
            Setting.PORT_RANGE,
            f"The port range was {shown}, more than {clean_line(wanted, 60)}.",
            "Nothing was missed; the scan took longer and sent more to its targets.",
        )


def _families(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    if asked.families_off is None:
        return
    left_out = sorted(ran.families_off - {*asked.families_off} - _NEVER_ON)
    if left_out:
        yield _differs(
            Setting.FAMILIES,
            f"Plugin families were off that should have run: {_several(left_out)}.",
            "Their weaknesses were not looked for.",
        )
    too_many = sorted(ran.families_on & {*asked.families_off})
    if too_many:
        yield _differs(
            Setting.FAMILIES,
            f"Plugin families ran that were turned off: {_several(too_many)}.",
            "Nothing was missed; the scan did more to its targets than was asked.",
            code="more_families",
        )


_FEWER: Final = (
    (
        Setting.TLS,
        "Services were not tried for TLS",
        "Weak ciphers and bad certificates were not looked for.",
    ),
    (
        Setting.WEB_TESTS,
        "Web applications were not tested",
        "Weaknesses of web applications were not looked for.",
    ),
    (
        Setting.THOROUGH,
        "Thorough tests were not done",
        "What only thorough tests find went unseen.",
    ),
)


def _fewer_checks(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    for setting, message, advice in _FEWER:
        if getattr(asked, setting.value) and getattr(ran, setting.value) is False:
            yield _differs(setting, f"{message}, although it was asked.", advice)


def _safe_checks(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    if None in (asked.safe_checks, ran.safe_checks) or asked.safe_checks is ran.safe_checks:
        return
    if ran.safe_checks:
        yield _differs(
            Setting.SAFE_CHECKS,
            "Only safe checks ran, although the others were asked for.",
            "Weaknesses that only such checks find went unseen.",
        )
    else:
        yield _differs(
            Setting.SAFE_CHECKS,
            "Checks ran that can disturb services, although only safe ones were asked for.",
            "Nothing was missed; see that the targets still work.",
        )


def _ntlm(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    if asked.ntlmv1_off and ran.ntlmv1_off is False:
        yield _differs(
            Setting.NTLM,
            "NTLMv1 was allowed, although it was turned off.",
            "Nothing was missed; a hostile target may have learned the scan's Windows password.",
        )


def _speed(asked: Asked, ran: Ran) -> Iterator[Doubt]:
    """Only more is a difference. Fewer takes longer, and a scanner has limits of its own."""
    if _preset(asked.speed_mode) and _mode_id(ran.speed_mode) == _mode_id(asked.speed_mode):
        return
    for what, wanted, did in (
        ("hosts at once", asked.max_hosts, ran.max_hosts),
        ("checks per host", asked.max_checks, ran.max_checks),
    ):
        if wanted is not None and did is not None and did > wanted:
            yield _differs(
                Setting.SPEED,
                f"Up to {did} {what} ran, not {wanted}.",
                "Nothing was missed unless targets or network were overloaded.",
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
