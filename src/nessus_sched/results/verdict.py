"""Whether a scan could log in: per host, then for the scan, with evidence and advice.

Two axes: did a login work, and did its rights suffice. The scanner's own answer knows only
yes and no, and for some devices not even that; so the verdict names what it rests on and a person
can overrule it. A scan never gets a plain "authenticated": counts per verdict stand next
to the word for the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.results.evidence import HostEvidence, Means, Sign


class Login(StrEnum):
    """How far a login got; on one host, and on all hosts of a scan."""

    FULL = "full"
    """Logged in, and local checks ran."""
    PARTIAL = "partial"
    """Logged in, but not everywhere, not always, or not with all rights."""
    FAILED = "failed"
    """Credentials were tried and none worked."""
    NOT_PROVIDED = "not_provided"
    """There was something to log in to and no credential."""
    NONE = "none"
    """No login, and no sign that one was tried."""
    UNKNOWN = "unknown"
    """The report does not tell (web application scans, filtered reports)."""


class Privilege(StrEnum):
    SUFFICIENT = "sufficient"
    INSUFFICIENT = "insufficient"
    UNKNOWN = "unknown"


class Credentialed(StrEnum):
    """The whole scan in a word."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    NOT_TRIED = "not tried"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class HostVerdict:
    """The judgement of one host. `reasons` say why a partial login is not a full one."""

    host: str
    login: Login
    privilege: Privilege
    alive: bool = True
    reasons: tuple[str, ...] = ()
    evidence: tuple[Sign, ...] = ()
    advice: str | None = None


@attrs.frozen(kw_only=True)
class ScanVerdict:
    """The judgement of a scan; `counts` of hosts by the word for their login."""

    credentialed: Credentialed
    login: Login
    counts: Mapping[str, int]
    privilege_counts: Mapping[str, int]
    advice: tuple[str, ...] = ()


_ADVICE: Final[Mapping[Login, str | None]] = {
    Login.FULL: None,
    Login.PARTIAL: (
        "Give the account the rights the checks need (sudo or administrator), or look at "
        "the reasons; missing patches may have gone unseen."
    ),
    Login.FAILED: (
        "Check user, password or key of the credential and that the account may log in "
        "from the scanner; only what can be seen from outside was tested."
    ),
    Login.NOT_PROVIDED: "Submit a trusted or privileged scan with a credential for this host.",
    Login.NONE: "Only what can be seen from outside was tested; use a credential for more.",
    Login.UNKNOWN: (
        "The report has no scan information (plugin 19506) for this host; export the whole "
        "scan to know."
    ),
}
_RATE_LIMITED: Final = "The device limits SSH logins: lower the number of concurrent checks."


def judge(host: str, evidence: HostEvidence) -> HostVerdict:
    """The verdict on one host from all its evidence."""
    login, reasons = _login(evidence)
    advice = _ADVICE[login]
    if advice is not None and any(sign.source == "plugin 122501" for sign in evidence.signs):
        advice = f"{advice} {_RATE_LIMITED}"
    return HostVerdict(
        host=host,
        login=login,
        privilege=_privilege(evidence, login),
        alive=Means.DEAD not in evidence.means,
        reasons=reasons,
        evidence=tuple(evidence.signs),
        advice=advice,
    )


def _login(evidence: HostEvidence) -> tuple[Login, tuple[str, ...]]:
    means = evidence.means
    if means & (Means.LOGIN | Means.LOCAL):
        reasons = [sign.says for sign in evidence.signs if Means.WEAK in sign.means]
        if Means.LOCAL not in means:
            reasons.append("nothing confirms that local checks ran")
        if reasons:
            return Login.PARTIAL, tuple(dict.fromkeys(reasons))
        return Login.FULL, ()
    if Means.FAILED in means:
        return Login.FAILED, ()
    if Means.NOT_GIVEN in means:
        return Login.NOT_PROVIDED, ()
    if evidence.said or evidence.tagged is not None:
        return Login.NONE, ()
    return Login.UNKNOWN, ()


def _privilege(evidence: HostEvidence, login: Login) -> Privilege:
    if login not in (Login.FULL, Login.PARTIAL):
        return Privilege.UNKNOWN
    if Means.UNPRIVILEGED in evidence.means:
        return Privilege.INSUFFICIENT
    if Means.PRIVILEGED in evidence.means:
        return Privilege.SUFFICIENT
    return Privilege.UNKNOWN


def judge_scan(logins: Mapping[Login, int], privileges: Mapping[Privilege, int]) -> ScanVerdict:
    """The verdict on a scan from the number of living hosts per verdict.

    A yes takes a full login on every host: one of which nothing is known makes it a partly.
    """
    login = _overall(Counter(logins))
    return ScanVerdict(
        credentialed=_WORD[login],
        login=login,
        counts={word.value: logins.get(word, 0) for word in Login},
        privilege_counts={word.value: privileges.get(word, 0) for word in Privilege},
        advice=tuple(_scan_advice(logins)),
    )


_WORD: Final = {
    Login.FULL: Credentialed.YES,
    Login.PARTIAL: Credentialed.PARTLY,
    Login.FAILED: Credentialed.NO,
    Login.NOT_PROVIDED: Credentialed.NOT_TRIED,
    Login.NONE: Credentialed.NOT_TRIED,
    Login.UNKNOWN: Credentialed.UNKNOWN,
}


def _overall(logins: Counter[Login]) -> Login:
    if logins[Login.FULL] and logins[Login.FULL] == logins.total():
        return Login.FULL
    if logins[Login.FULL] or logins[Login.PARTIAL]:
        return Login.PARTIAL
    for word in (Login.FAILED, Login.NOT_PROVIDED, Login.NONE):
        if logins[word]:
            return word
    return Login.UNKNOWN


def _scan_advice(logins: Mapping[Login, int]) -> Iterable[str]:
    for word in (Login.FAILED, Login.PARTIAL, Login.NOT_PROVIDED):
        if count := logins.get(word, 0):
            yield f"{count} host(s) {word.value.replace('_', ' ')}: {_ADVICE[word]}"
