"""Collects the signs of a host's login from plugins and tags (`login_rules`)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Final

import attrs

from nessus_sched.results import scaninfo
from nessus_sched.results.logins.rules import SignMeaning, reason, rule_for
from nessus_sched.results.logins.used import LoginUsed, logins_in
from nessus_sched.results.model import Finding, HostReport
from nessus_sched.results.untrusted import clean_line

_MOST_SIGNS: Final = 24
_LOGIN_TAGS: Final = ("ssh-login-used", "smb-login-used")
_SERVICES: Final = {
    22: "SSH", 139: "SMB", 445: "SMB", "ssh": "SSH", "cifs": "SMB", "smb": "SMB",
    "microsoft-ds": "SMB", "netbios-ssn": "SMB",
}  # fmt: skip
"""Services that accept logins, by port and by name."""
_LONGEST_SCAN: Final = 86400.0
"""Seconds; allows for the unknown time zone of the scanner's clock."""


@attrs.frozen(kw_only=True)
class Sign:
    """One piece of evidence: a plugin or tag, its location, and its text."""

    source: str
    """`plugin 104410`, `tag Credentialed_Scan`."""
    says: str
    where: str | None = None
    """`22/tcp ssh`; None for the host as a whole."""
    detail: str | None = None
    """The reason in the scanner's words."""
    means: SignMeaning

    @property
    def sentence(self) -> str:
        return f"{self.says}: {self.detail}" if self.detail else self.says


@attrs.define
class HostEvidence:
    """Collects the first 24 signs of one host; `more` counts the others. `answers` are those of
    plugin 19506, which a host may have several times; `has_scan_info`: it has at least one.
    `tagged` is the scanner's own tag, or None. `services` are those seen that accept logins
    (SSH, SMB). `logins` are those reported as working."""

    signs: list[Sign] = attrs.field(factory=list)
    more: int = 0
    means: SignMeaning = SignMeaning.NOTHING
    answers: set[str] = attrs.field(factory=set)
    has_scan_info: bool = False
    tagged: bool | None = None
    services: set[str] = attrs.field(factory=set)
    logins: list[LoginUsed] = attrs.field(factory=list)

    def add_finding(self, finding: Finding) -> None:
        plugin_id = finding.plugin.plugin_id
        service = _SERVICES.get(finding.port or 0) or _SERVICES.get(finding.svc_name or "")
        if service is not None:
            self.services.add(service)
        output = finding.output_text
        self.logins += islice(logins_in(plugin_id, output), _MOST_SIGNS - len(self.logins))
        if plugin_id == scaninfo.PLUGIN:
            self._add_scan_info(output)
            return
        rule = rule_for(plugin_id, output)
        if rule is not None:
            self._add(
                Sign(
                    source=f"plugin {plugin_id}",
                    says=rule.says,
                    where=_where(finding),
                    detail=reason(output) if rule.reason else None,
                    means=rule.means,
                )
            )

    def add_host(self, host: HostReport) -> None:
        """The host's tags; call once, when they are complete."""
        self.tagged = host.credentialed
        if any("windows" in name.lower() for name in host.os):
            self.services.add("SMB")
        if host.credentialed:
            says = "the scanner calls the scan credentialed"
            self._add(Sign(source="tag Credentialed_Scan", says=says, means=SignMeaning.LOCAL))
        for tag in _LOGIN_TAGS:
            if host.properties.get(tag, "").strip():
                says = "a login was used"
                self._add(Sign(source=f"tag {tag}", says=says, means=SignMeaning.LOGIN))
        self._add_last_results(host)

    def _add_last_results(self, host: HostReport) -> None:
        """The tag says when results were last obtained with a login, which may have been
        in an earlier scan."""
        at = _epoch(host.properties.get("LastAuthenticatedResults"))
        without = _epoch(host.properties.get("LastUnauthenticatedResults")) or 0.0
        if at is None or at < without or host.credentialed is False:
            return
        began = host.started_at or _scanner_clock(host.local_start)
        recent = began is not None and at >= began - _LONGEST_SCAN
        self._add(
            Sign(
                source="tag LastAuthenticatedResults",
                says=f"authenticated results of {datetime.fromtimestamp(at, UTC):%Y-%m-%d}",
                means=SignMeaning.LOCAL if recent else SignMeaning.LOGIN,
            )
        )

    def _add_scan_info(self, output: str) -> None:
        self.has_scan_info = self.has_scan_info or bool(output)
        word = scaninfo.credentialed_word(output)
        if word is None:
            return
        self.answers.add(word)
        way = scaninfo.credentialed_way(output)
        self._add(
            Sign(
                source=f"plugin {scaninfo.PLUGIN}",
                says=f"credentialed checks: {clean_line(word, 20)}{f' ({way})' if way else ''}",
                means=SignMeaning.LOCAL if word == "yes" else SignMeaning.NOTHING,
            )
        )

    def _add(self, sign: Sign) -> None:
        self.means |= sign.means
        if len(self.signs) < _MOST_SIGNS:
            self.signs.append(sign)
        else:
            self.more += 1


def _where(finding: Finding) -> str | None:
    if not finding.port:
        return None
    return clean_line(f"{finding.port}/{finding.protocol} {finding.svc_name or ''}", 60)


def _epoch(text: str | None) -> float | None:
    word = (text or "").strip()
    return float(word) if word.isdecimal() and 0 < len(word) <= 10 and int(word) else None


def _scanner_clock(moment: str | None) -> float | None:
    return (
        None if moment is None else datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    )
