"""Advice for a login that is not full, based on the evidence in the report."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from nessus_sched.results.evidence import HostEvidence, Sign
from nessus_sched.results.logins.rules import RATE_LIMITED, Cause, SignMeaning, cause_of

_OUTSIDE: Final = "Only checks from outside ran."
_UNSEEN: Final = "Missing patches may not have been found."
_BY_CAUSE: Final = {
    Cause.UNREACHABLE: (
        "The scanner could not connect to the login service: check that it runs and that "
        "firewalls let the scanner in. The credential itself was not tried."
    ),
    Cause.KEY: "The scanner could not read the private key: check its format and passphrase.",
    Cause.PROTOCOL: (
        "Scanner and host could not agree on a protocol: check the versions and algorithms "
        "that both allow."
    ),
    Cause.RATE: "The device limits SSH logins: lower the number of concurrent checks.",
    Cause.REFUSED: (
        "Check user, password or key of the credential and that the account may log in from "
        "the scanner."
    ),
}
_NAMES: Final = {"SMB": "Windows", "SSH": "SSH"}


def failed(evidence: HostEvidence) -> str:
    """For a host where every login failed."""
    words = [sign.detail or "" for sign in evidence.signs if SignMeaning.FAILED in sign.means]
    causes = dict.fromkeys(map(cause_of, words))
    if len(causes) > 1 and not all(words):
        causes.pop(Cause.REFUSED, None)  # signs without a reason say nothing
    if _rate_limited(evidence):
        causes[Cause.RATE] = None
    return " ".join([*(_BY_CAUSE[cause] for cause in causes), _OUTSIDE])


def partial(evidence: HostEvidence) -> str:
    if SignMeaning.HIGHEST in evidence.means:
        said = "The account needs no more rights; plugin 102094 names the commands that failed."
    elif SignMeaning.UNPRIVILEGED in evidence.means:
        said = "Give the account the rights that the checks need (sudo or administrator)."
    else:
        said = "See the reasons."
    limited = [_BY_CAUSE[Cause.RATE]] if _rate_limited(evidence) else []
    return " ".join([said, *limited, _UNSEEN])


def not_provided(evidence: HostEvidence) -> str:
    """For a host that accepts logins but got none that fits; the scan may have had logins of
    another kind."""
    asked = dict.fromkeys(
        service
        for sign in evidence.signs
        if SignMeaning.NOT_GIVEN in sign.means
        for service in _services_of(sign)
    )
    kinds = _kinds(asked or evidence.services)
    return f"No {kinds}login was given for this host: scan it with a {kinds}credential."


def none(evidence: HostEvidence) -> str:
    """For a host without a login or an attempt at one."""
    kinds = _kinds(evidence.services)
    if not kinds:
        return f"{_OUTSIDE} Use a credential for more."
    return f"No {kinds}login was tried on this host. {_OUTSIDE}"


def unknown(evidence: HostEvidence) -> str:
    """For a host whose report says nothing about logins."""
    if evidence.has_scan_info:
        return "The scan information (plugin 19506) says nothing about logins, as in old versions."
    return (
        "The report has no scan information (plugin 19506) for this host; export the whole scan "
        "to know."
    )


def _kinds(services: Collection[str]) -> str:
    """Text such as `Windows or SSH `; empty if no service is known."""
    found = [name for service, name in _NAMES.items() if service in services]
    return f"{' or '.join(found)} " if found else ""


def _services_of(sign: Sign) -> Iterator[str]:
    """The services that a sign refers to."""
    words = f"{sign.where or ''} {sign.detail or ''}".upper()
    for service, also in (("SMB", "CIFS"), ("SSH", "SSH")):
        if service in words or also in words:
            yield service


def _rate_limited(evidence: HostEvidence) -> bool:
    return any(sign.source == f"plugin {RATE_LIMITED}" for sign in evidence.signs)
