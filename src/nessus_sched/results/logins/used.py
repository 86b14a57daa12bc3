"""Which logins worked on a host, and which of the scan's credentials they were.

Reports name protocol and user, never the credential: two credentials of the same kind and user
cannot be told apart. The texts are those of plugin 19506 (`yes, as 'user' via ssh`, on Windows
also `'HOST\\user' via SMB`), and of the plugins that describe valid credentials with lines such
as `User: 'user'`, `Port: 22` and `Proto: SSH`, or `Account : user` and `Protocol : SSH`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.asked import SentLogin
from nessus_sched.core.text import pluralize
from nessus_sched.results.untrusted import clean_line

_TYPES: Final[Mapping[str, str]] = {"ssh": "SSH", "smb": "Windows", "snmp": "SNMPv3"}
"""The credential type of each protocol."""
_SAME: Final[Mapping[str, str]] = {"cifs": "smb", "wmi": "smb", "snmpv3": "snmp"}
_DESCRIBING: Final = frozenset({141118, 110095, 110385, 117885, 117887, 150799})
"""Plugins of `rules` that report a login that worked."""
SCAN_INFORMATION: Final = 19506
_SAID: Final = re.compile(
    r"Credentialed checks[ \t]*:[ \t]*yes,(?: as '(?P<user>[^\n]{0,256})')?"
    r" via (?P<protocol>[A-Za-z0-9]+)",
    re.IGNORECASE,
)
_LINE: Final = re.compile(
    r"^[ \t-]*(?P<name>User|Account|Proto|Protocol)[ \t]*:(?P<value>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_READ: Final = 20_000
_MOST: Final = 10
"""Logins of a host that are kept."""


@attrs.frozen
class LoginUsed:
    """A login that worked: the protocol (`ssh`, `smb` ...), and the user, None if the report does
    not say."""

    protocol: str
    user: str | None = None

    def __str__(self) -> str:
        return f"{self.protocol} as {self.user}" if self.user else self.protocol


def logins_in(plugin_id: int | None, output: str) -> Iterator[LoginUsed]:
    """The logins that an output reports as working."""
    if plugin_id == SCAN_INFORMATION:
        found = _SAID.search(output[:_READ])
        if found is not None:
            yield _login(found["protocol"], found["user"])
    elif plugin_id in _DESCRIBING:
        yield from _described(output[:_READ])


def _described(output: str) -> Iterator[LoginUsed]:
    """From blocks of lines, in which the user precedes its protocol."""
    user = None
    for line in _LINE.finditer(output):
        if line["name"].lower() in ("user", "account"):
            user = line["value"]
        else:
            yield _login(line["value"], user)
            user = None


def _login(protocol: str, user: str | None) -> LoginUsed:
    word = clean_line(protocol.strip(), 20).lower()
    plain = clean_line((user or "").strip().strip("'"), 64)
    return LoginUsed(_SAME.get(word, word), plain or None)


def distinct(logins: Iterable[LoginUsed]) -> tuple[LoginUsed, ...]:
    """Each login once, without those of unknown user where the protocol has a known one, and
    without those that ran on the scanner's own machine, which needs no login."""
    found = [each for each in dict.fromkeys(logins) if each.protocol not in ("local", "localhost")]
    named = {each.protocol for each in found if each.user}
    return tuple(each for each in found if each.user or each.protocol not in named)[:_MOST]


def credentials_of(login: LoginUsed, sent: Sequence[SentLogin]) -> tuple[str, ...]:
    """The names of the credentials that may have been used: one if it is certain, none if no
    credential that was sent fits, several if they cannot be told apart."""
    fit = [each for each in sent if each.type == _TYPES.get(login.protocol)]
    if login.user is not None:
        user = login.user
        fit = [each for each in fit if _user(each.type, each.username) == _user(each.type, user)]
    return tuple(each.name for each in fit)


def _user(kind: str, name: str) -> str:
    """A user for comparison. On Windows the domain or host may be added, and case is ignored."""
    if kind != "Windows":
        return name
    return name.rpartition("\\")[2].partition("@")[0].lower()


def sentence(login: LoginUsed, sent: Sequence[SentLogin]) -> str:
    """`linux-prod (ssh as audit)`, or only what is known."""
    names = credentials_of(login, sent)
    return f"{' or '.join(names)} ({login})" if names else str(login)


def login_document(login: LoginUsed, sent: Sequence[SentLogin]) -> dict[str, Any]:
    """`credential` is None if it is not known; `one_of` then names those that it may be."""
    names = credentials_of(login, sent)
    return {
        "credential": names[0] if len(names) == 1 else None,
        "one_of": list(names) if len(names) > 1 else [],
        "protocol": login.protocol,
        "user": login.user,
    }


def tally(counts: Mapping[LoginUsed, int], sent: Sequence[SentLogin]) -> list[dict[str, Any]]:
    """The logins with the number of `hosts` on which each worked, most first; then the credentials
    whose login no host shows."""
    used = sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))
    rows = [{**login_document(login, sent), "hosts": hosts} for login, hosts in used if hosts]
    seen = {name for login, hosts in used if hosts for name in credentials_of(login, sent)}
    unused: dict[str, Any] = {"one_of": [], "protocol": None, "user": None, "hosts": 0}
    rows += [{"credential": each.name, **unused} for each in sent if each.name not in seen]
    return rows


def logins_text(verdict: Mapping[str, Any]) -> str | None:
    """The `logins` of a stored verdict on one line, such as `linux-prod (ssh as audit) on 12 hosts,
    windows-prod on none`; None for older ones, which have none."""
    texts = []
    for each in verdict.get("logins", ()):
        name = each["credential"] or " or ".join(each["one_of"])
        via = f"{each['protocol']} as {each['user']}" if each["user"] else each["protocol"]
        shown = f"{name} ({via})" if name and via else name or via
        texts.append(f"{shown} on {pluralize(each['hosts'], 'host') if each['hosts'] else 'none'}")
    return clean_line(", ".join(texts), 2000) or None
