"""Decides whether a scan could log in, per host and for the whole scan, with evidence and advice.

There are two questions: whether a login worked, and whether its rights sufficed. The scanner's own
answer is only yes or no, and for some devices not even that; so the verdict lists its evidence,
and a person can overrule it. A scan is never just "authenticated": the overall verdict comes with
counts of hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.evidence import HostEvidence, Sign
from nessus_sched.results.logins import advice
from nessus_sched.results.logins.rules import SignMeaning
from nessus_sched.results.logins.used import LoginUsed, distinct


class Login(StrEnum):
    """The result of logging in, on one host or on all hosts of a scan."""

    FULL = "full"
    """Logged in, and local checks ran."""
    PARTIAL = "partial"
    """Logged in, but not everywhere, not always, or without all rights."""
    FAILED = "failed"
    """Credentials were tried, but none worked."""
    NOT_PROVIDED = "not_provided"
    """The host accepts logins, but no credential was provided."""
    NONE = "none"
    """No login, and no sign of an attempt."""
    UNKNOWN = "unknown"
    """The report does not say (web application scans, filtered reports)."""


URGENCY: Final = (
    Login.FAILED,
    Login.PARTIAL,
    Login.NOT_PROVIDED,
    Login.NONE,
    Login.UNKNOWN,
    Login.FULL,
)
"""Logins in the order in which to look at them."""


class Privilege(StrEnum):
    SUFFICIENT = "sufficient"
    INSUFFICIENT = "insufficient"
    UNKNOWN = "unknown"


class Credentialed(StrEnum):
    """The verdict on the whole scan in one word."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    NOT_TRIED = "not tried"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class HostVerdict:
    """The verdict on one host. `logins` are those that worked. `reasons` say why a partial login
    is not a full one or, in the scanner's words, why a login failed. `evidence_left_out` counts
    further signs."""

    host: str
    login: Login
    privilege: Privilege
    alive: bool = True
    logins: tuple[LoginUsed, ...] = ()
    reasons: tuple[str, ...] = ()
    evidence: tuple[Sign, ...] = ()
    evidence_left_out: int = 0
    advice: str | None = None


@attrs.frozen(kw_only=True)
class ScanVerdict:
    """The verdict on a scan; `counts` has the number of hosts by login result."""

    credentialed: Credentialed
    login: Login
    counts: Mapping[str, int]
    privilege_counts: Mapping[str, int]
    advice: tuple[str, ...] = ()


_ADVICE: Final[Mapping[Login, Callable[[HostEvidence], str]]] = {
    Login.PARTIAL: advice.partial,
    Login.FAILED: advice.failed,
    Login.NOT_PROVIDED: advice.not_provided,
    Login.NONE: advice.none,
    Login.UNKNOWN: advice.unknown,
}


def judge(host: str, evidence: HostEvidence) -> HostVerdict:
    """The verdict on one host from all its evidence."""
    login, reasons = _login(evidence)
    advice = _ADVICE.get(login)
    return HostVerdict(
        host=host,
        login=login,
        privilege=_privilege(evidence, login),
        alive=SignMeaning.DEAD not in evidence.means,
        logins=distinct(evidence.logins) if login in (Login.FULL, Login.PARTIAL) else (),
        reasons=reasons,
        evidence=tuple(evidence.signs),
        evidence_left_out=evidence.more,
        advice=advice(evidence) if advice else None,
    )


def _login(evidence: HostEvidence) -> tuple[Login, tuple[str, ...]]:
    means = evidence.means
    if means & (SignMeaning.LOGIN | SignMeaning.LOCAL):
        reasons = tuple(dict.fromkeys(_weaknesses(evidence)))
        return (Login.PARTIAL if reasons else Login.FULL), reasons
    if SignMeaning.FAILED in means:
        signs = (
            sign for sign in evidence.signs if SignMeaning.FAILED in sign.means and sign.detail
        )
        return Login.FAILED, tuple(dict.fromkeys(sign.sentence for sign in signs))
    if SignMeaning.NOT_GIVEN in means:
        return Login.NOT_PROVIDED, ()
    if evidence.answers or evidence.tagged is not None:
        return Login.NONE, ()
    return Login.UNKNOWN, ()


def _weaknesses(evidence: HostEvidence) -> Iterator[str]:
    """Why a login that worked is not a full one."""
    for sign in evidence.signs:
        excused = SignMeaning.HIGHEST in evidence.means and SignMeaning.HIGHEST not in sign.means
        if SignMeaning.WEAK in sign.means and not (
            excused and SignMeaning.UNPRIVILEGED in sign.means
        ):
            yield sign.sentence
    if evidence.answers >= {"yes", "no"}:
        yield "the scanner reports for this host both that it had a login and that it had none"
    if SignMeaning.LOCAL not in evidence.means:
        yield "nothing confirms that local checks ran"


def _privilege(evidence: HostEvidence, login: Login) -> Privilege:
    if login not in (Login.FULL, Login.PARTIAL):
        return Privilege.UNKNOWN
    if SignMeaning.HIGHEST in evidence.means:
        return Privilege.SUFFICIENT
    if SignMeaning.UNPRIVILEGED in evidence.means:
        return Privilege.INSUFFICIENT
    if SignMeaning.PRIVILEGED in evidence.means:
        return Privilege.SUFFICIENT
    return Privilege.UNKNOWN


def login_of_both(one: Login, other: Login) -> Login:
    """Of a host that is in a report twice: a full login once and another result once is a
    partial one; where one says nothing, the other counts."""
    if one is other or other is Login.UNKNOWN:
        return one
    if one is Login.UNKNOWN:
        return other
    if {one, other} & {Login.FULL, Login.PARTIAL}:
        return Login.PARTIAL
    return min(one, other, key=URGENCY.index)


def privilege_of_both(one: Privilege, other: Privilege) -> Privilege:
    if one is other or other is Privilege.UNKNOWN:
        return one
    return other if one is Privilege.UNKNOWN else Privilege.INSUFFICIENT


NOT_TRIED: Final = frozenset({Login.NOT_PROVIDED, Login.NONE})
"""Where a scan that was to log in nowhere needs no advice."""


def judge_scan(
    logins: Mapping[Login, int],
    privileges: Mapping[Privilege, int],
    advice: Mapping[tuple[Login, str], int] | None = None,
) -> ScanVerdict:
    """The verdict on a scan, from the number of live hosts per verdict and per advice.

    It is yes only with a full login on every host: a single unknown host makes it partly.
    """
    login = _overall(Counter(logins))
    return ScanVerdict(
        credentialed=_WORD[login],
        login=login,
        counts={word.value: logins.get(word, 0) for word in Login},
        privilege_counts={word.value: privileges.get(word, 0) for word in Privilege},
        advice=tuple(_scan_advice(advice or {})),
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


def _scan_advice(advice: Mapping[tuple[Login, str], int]) -> Iterable[str]:
    for word in (Login.FAILED, Login.PARTIAL, Login.NOT_PROVIDED):
        given = [(count, text) for (login, text), count in advice.items() if login is word]
        for count, text in sorted(given, reverse=True):
            yield f"{pluralize(count, 'host')} {word.value.replace('_', ' ')}: {text}"
