"""What a scan could see: facts from its report that can prove a finding gone.

Stored per scan and host, so that later comparisons do not need the report. Absent facts mean
"unknown", which proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.asked import SentLogin
from nessus_sched.results.evidence import HostEvidence
from nessus_sched.results.logins.rules import PING, PLUGINS, SignMeaning
from nessus_sched.results.logins.used import sentence
from nessus_sched.results.logins.verdict import (
    Login,
    Privilege,
    judge,
    login_of_both,
    privilege_of_both,
)
from nessus_sched.results.model import Finding, HostEnd, HostReport
from nessus_sched.results.parser.problems import ParseReport
from nessus_sched.results.scaninfo import PLUGIN as SCAN_INFORMATION
from nessus_sched.results.scaninfo import credentialed_word, key_value_lines, read_scan_info

_ENUMERATORS: Final = frozenset({14272, 14274, 34220})
"""Plugins that list open ports from inside the host: netstat over SSH and WMI, SNMP."""
_SIGNS_OF_LIFE: Final = frozenset({PING, 10114, 10287, 86420, 35716})
"""Ping, ICMP timestamp, traceroute and network card: they need an answer from the host."""
_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{1,9}(?![0-9])")
_WORDS: Final = {
    "no": 0, "disabled": 0, "none": 0, "normal": 1, "yes": 1, "enabled": 1, "paranoid": 2,
}  # fmt: skip
_SETTINGS: Final[Mapping[str, str]] = {
    "thorough tests": "thorough",
    "paranoia level": "paranoia",
    "experimental tests": "experimental",
    "cgi scanning": "cgi",
    "web application tests": "web_applications",
    "display superseded patches": "superseded",
    "scan for unpatched vulnerabilities": "unpatched",
}
"""Lines of plugin 19506 where a higher value makes a scan see more."""
_SAFE_CHECKS: Final = "safe checks"


@attrs.frozen(kw_only=True)
class ScanCoverage:
    """A scan as a whole. `whole`: the report was read completely. `plugins` are the ids of
    the active plugins, None if the report does not list them; `targets` is the policy's target
    list. `scanners` has, for each run of hosts that one scanner scanned, the index of its first
    host and the scanner's id."""

    whole: bool
    targets: str | None = None
    plugins: frozenset[int] | None = None
    scanners: tuple[tuple[int, str], ...] = ()


@attrs.frozen(kw_only=True)
class HostCoverage:
    """One host of a scan.

    `whole`: read completely, including the scan information that every unfiltered report has.
    `weak` names what made a login less than full. `ports` is the port range in the scanner's
    syntax, `scanners` are the port scanners that ran, `enumerated`: the host itself listed its
    ports. `reasons` say why a login failed or is not full, `logins`
    which ones worked; neither is stored with the coverage. `settings` are levels; a higher one
    sees more.
    """

    whole: bool
    answered: bool
    ended: bool
    login: Login = Login.UNKNOWN
    privilege: Privilege = Privilege.UNKNOWN
    reasons: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    weak: frozenset[str] = frozenset()
    via: frozenset[str] = frozenset()
    ports: str | None = None
    scanners: frozenset[str] | None = None
    enumerated: bool = False
    settings: Mapping[str, int] = attrs.field(factory=dict)


def scan_coverage(report: ParseReport, scanners: Iterable[tuple[int, str]] = ()) -> ScanCoverage:
    """The coverage of the whole scan; call after reading the report."""
    listed = frozenset(map(int, _NUMBER.findall(report.plugin_set or "")))
    return ScanCoverage(
        whole=report.complete,
        targets=report.requested,
        plugins=listed or None,
        scanners=tuple(scanners),
    )


def of_both(one: HostCoverage, other: HostCoverage) -> HostCoverage:
    """Of a host that is in a report twice: what both support."""
    scanners = None
    if one.scanners is not None and other.scanners is not None:
        scanners = one.scanners & other.scanners
    login = login_of_both(one.login, other.login)
    weak = one.weak | other.weak
    return HostCoverage(
        whole=one.whole and other.whole,
        answered=one.answered or other.answered,
        ended=one.ended and other.ended,
        login=login,
        privilege=privilege_of_both(one.privilege, other.privilege),
        reasons=tuple(dict.fromkeys((*one.reasons, *other.reasons))),
        logins=tuple(dict.fromkeys((*one.logins, *other.logins))),
        weak=weak if one.login is other.login else weak | {"with and without login"},
        via=one.via & other.via,
        ports=_same((one.ports, other.ports)),
        scanners=scanners,
        enumerated=one.enumerated and other.enumerated,
        settings=dict(one.settings.items() & other.settings.items()),
    )


class CoverageBuilder:
    """Consumes the events of one host after another and returns the coverage of each. `sent` are
    the credentials of the scan, to name those that worked."""

    def __init__(self, sent: Sequence[SentLogin] = ()) -> None:
        self._sent = sent
        self._begin()

    def _begin(self) -> None:
        self._evidence = HostEvidence()
        self._infos: list[str] = []
        self._readable = True
        self._alive = False
        self._enumerated = False

    def add(self, event: HostReport | Finding | HostEnd) -> HostCoverage | None:
        """The coverage of the host that ends with this event."""
        if isinstance(event, Finding):
            self._add_finding(event)
            return None
        if isinstance(event, HostReport):
            self._begin()
            return None
        built = self._build(event)
        self._begin()
        return built

    def _add_finding(self, finding: Finding) -> None:
        plugin_id = finding.plugin.plugin_id
        # A finding with an unreadable id may be any of the missing ones.
        self._readable = self._readable and None not in (plugin_id, finding.port)
        self._alive = self._alive or bool(finding.port)
        if plugin_id in PLUGINS or plugin_id in (PING, SCAN_INFORMATION):
            self._evidence.add_finding(finding)
        if plugin_id in _SIGNS_OF_LIFE:
            self._alive = True
        elif plugin_id in _ENUMERATORS:
            self._enumerated = True
        elif plugin_id == SCAN_INFORMATION:
            self._infos.append(finding.output_text)

    def _build(self, end: HostEnd) -> HostCoverage:
        host = end.host
        self._evidence.add_host(host)
        verdict = judge(host.name, self._evidence)
        logged_in = verdict.login in (Login.FULL, Login.PARTIAL)
        infos = [read_scan_info(output) for output in self._infos]
        scanners = [
            frozenset(info.port_scanners or ())
            for info in infos
            if info.port_scanners is not None or info.no_port_scanner
        ]
        known = len(scanners) == len(infos) and bool(infos)
        within = frozenset.intersection(*scanners) if known else None
        listed = any("netstat" in name or "snmp" in name for name in within or ())
        return HostCoverage(
            whole=end.complete and self._readable and bool(self._infos),
            answered=verdict.alive and (self._alive or logged_in),
            ended=host.ended_at is not None or "HOST_END" in host.properties,
            login=verdict.login,
            privilege=verdict.privilege,
            reasons=verdict.reasons,
            logins=tuple(sentence(login, self._sent) for login in verdict.logins),
            weak=_weak(self._evidence, self._infos),
            via=frozenset().union(*map(_via, self._infos)),
            ports=_same(info.port_range for info in infos),
            scanners=within,
            enumerated=listed or self._enumerated,
            settings=_settings(self._infos),
        )


def _weak(evidence: HostEvidence, infos: Iterable[str]) -> frozenset[str]:
    weak = {sign.source for sign in evidence.signs if SignMeaning.WEAK in sign.means}
    if SignMeaning.LOCAL not in evidence.means:
        weak.add("local checks not confirmed")
    if {credentialed_word(output) for output in infos} >= {"yes", "no"}:
        weak.add("with and without login")
    return frozenset(weak)


def _via(output: str) -> frozenset[str]:
    """`ssh` from "Credentialed checks : yes, as 'user' via ssh"."""
    said = key_value_lines(output).get("credentialed checks", "")
    return frozenset(re.findall(r"\bvia ([A-Za-z0-9]+)", said.lower()))


def _same(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _settings(infos: Iterable[str]) -> dict[str, int]:
    """Levels on which all of the host's scan information agrees."""
    every = [_levels(key_value_lines(output)) for output in infos]
    if not every:
        return {}
    return {
        name: level
        for name, level in every[0].items()
        if all(other.get(name) == level for other in every)
    }


def _levels(said: Mapping[str, str]) -> dict[str, int]:
    found = {name: _level(said[line]) for line, name in _SETTINGS.items() if line in said}
    if _SAFE_CHECKS in said:
        safe = _level(said[_SAFE_CHECKS])
        found["unsafe"] = None if safe is None else 1 - min(safe, 1)
    return {name: level for name, level in found.items() if level is not None}


def _level(text: str) -> int | None:
    word = _first_word(text)
    return int(word) if word.isdecimal() and len(word) < 4 else _WORDS.get(word)


def _first_word(text: str) -> str:
    found = re.match(r"[A-Za-z0-9]+", text.strip())
    return found[0].lower() if found else ""


# -- as data, to be stored


_APART: Final = frozenset({"reasons", "logins"})
"""Stored with the host itself."""


def to_data(host: HostCoverage) -> dict[str, Any]:
    """JSON-compatible data, identical for equal coverages."""
    data = attrs.asdict(host, filter=lambda attribute, _: attribute.name not in _APART)
    for name in ("weak", "via", "scanners"):
        data[name] = None if data[name] is None else sorted(data[name])
    return data


def from_data(data: Mapping[str, Any]) -> HostCoverage:
    """The inverse of `to_data`; unknown facts are ignored."""
    known = {field.name for field in attrs.fields(HostCoverage)}
    given = {name: value for name, value in data.items() if name in known}
    for name in ("weak", "via", "scanners"):
        if given.get(name) is not None:
            given[name] = frozenset(given[name])
    given["login"] = Login(given["login"])
    given["privilege"] = Privilege(given["privilege"])
    return HostCoverage(**given)
