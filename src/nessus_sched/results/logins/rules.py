"""The table of plugins and tags that say something about logins.

Titles and meanings are those of the plugins. Plugins that look like proof of a login but also
fire without one (10394, 14272, 21643, 26917, 51192, 66334, 97833, 149334) are left out on
purpose, and so is the tag `local-checks-proto`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Flag, StrEnum, auto
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.results.untrusted import clean_line

_DETAIL: Final = 160
_READ: Final = 20_000
"""Characters of an output that are searched."""


class SignMeaning(Flag):
    """What a sign means for the login on its host."""

    NOTHING = 0
    """Nothing by itself, but useful next to other signs."""
    LOGIN = auto()
    """A credential worked."""
    LOCAL = auto()
    """Checks ran on the host, which implies a login."""
    FAILED = auto()
    """A credential was tried and did not work."""
    NOT_GIVEN = auto()
    """A service that accepts logins was seen but no credential was supplied."""
    WEAK = auto()
    """A login together with this sign was not a full one."""
    PRIVILEGED = auto()
    UNPRIVILEGED = auto()
    """Some checks lacked rights; counts only together with a login."""
    HIGHEST = auto()
    """The account has the highest privilege, even if other signs report missing rights."""
    DEAD = auto()
    """The host did not answer."""


class Cause(StrEnum):
    """Why a login failed, as far as the scanner's text says."""

    UNREACHABLE = "unreachable"
    KEY = "key"
    PROTOCOL = "protocol"
    RATE = "rate"
    REFUSED = "refused"


@attrs.frozen
class Rule:
    """The meaning of a plugin. `when` must match its output, if given; `reason`: the output
    contains the reason."""

    says: str
    means: SignMeaning
    when: re.Pattern[str] | None = None
    reason: bool = False


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_LOCAL_CHECKS: Final = (
    Rule(
        "local checks have been enabled",
        SignMeaning.LOCAL,
        # 12634 and 97993 fire after failures, too; "have NOT been enabled" does not match.
        _words(r"local (?:security )?checks have been enabled"),
    ),
)
_INSIDE: Final = _words(
    r"package list|unable to (?:retrieve|read|parse|determine|identify)|uname|not supported"
    r"|unsupported|unrecognized|not recognized"
)
"""Assessments that failed after a login."""
_OUTSIDE: Final = _words(
    r"log ?(?:ged )?in|authenticat|credential|password|logon|socket|connect|access (?:is )?denied"
)
"""Assessments that failed at the login; takes precedence if both match."""

PLUGINS: Final[Mapping[int, tuple[Rule, ...]]] = MappingProxyType(
    {
        141118: (Rule("valid credentials provided", SignMeaning.LOGIN),),
        110095: (
            Rule("login without privilege problems", SignMeaning.LOGIN | SignMeaning.PRIVILEGED),
        ),
        110385: (
            Rule(
                "login, but with insufficient privilege",
                SignMeaning.LOGIN | SignMeaning.WEAK | SignMeaning.UNPRIVILEGED,
            ),
        ),
        150799: (
            Rule(
                "permission problems although the account has the highest privilege",
                SignMeaning.LOGIN | SignMeaning.WEAK | SignMeaning.PRIVILEGED | SignMeaning.HIGHEST,
            ),
        ),
        117885: (
            Rule(
                "login worked, then failed at least once",
                SignMeaning.LOGIN | SignMeaning.WEAK,
                reason=True,
            ),
        ),
        110695: (
            Rule(
                "login, but checks do not support the device", SignMeaning.LOGIN | SignMeaning.WEAK
            ),
        ),
        117887: (Rule("local patch assessment available", SignMeaning.LOCAL),),
        12634: _LOCAL_CHECKS,
        97993: _LOCAL_CHECKS,
        104410: (Rule("provided credentials failed", SignMeaning.FAILED, reason=True),),
        21745: (
            Rule(
                "local patch assessment failed",
                SignMeaning.FAILED | SignMeaning.WEAK,
                _OUTSIDE,
                reason=True,
            ),
            Rule(
                "login, but local patch assessment failed",
                SignMeaning.LOGIN | SignMeaning.WEAK,
                _INSIDE,
                reason=True,
            ),
            Rule(
                "local patch assessment failed", SignMeaning.FAILED | SignMeaning.WEAK, reason=True
            ),
        ),
        110723: (Rule("no credentials provided", SignMeaning.NOT_GIVEN, reason=True),),
        117886: (Rule("local patch assessment not available", SignMeaning.NOTHING, reason=True),),
        102094: (
            Rule("commands need privilege escalation", SignMeaning.WEAK | SignMeaning.UNPRIVILEGED),
        ),
        102095: (Rule("commands ran with privilege escalation", SignMeaning.PRIVILEGED),),
        24786: (
            Rule(
                "not performed with administrator privileges",
                SignMeaning.WEAK | SignMeaning.UNPRIVILEGED,
            ),
        ),
        10428: (Rule("registry not fully accessible", SignMeaning.NOTHING, reason=True),),
        122501: (Rule("the device limits the rate of SSH logins", SignMeaning.NOTHING),),
        91822: (Rule("database login failed", SignMeaning.NOTHING, reason=True),),
        122503: (
            Rule("login to a credential or patch manager failed", SignMeaning.NOTHING, reason=True),
        ),
    }
)
"""The first rule of a plugin whose `when` matches applies."""

PING: Final = 10180
RATE_LIMITED: Final = 122501
_DEAD: Final = _words(r"considered as dead|is dead|host is not alive")


def rule_for(plugin_id: int | None, output: str) -> Rule | None:
    """What a finding says about the login, or None."""
    if plugin_id == PING:
        return (
            Rule("considered dead, not scanned", SignMeaning.DEAD) if _DEAD.search(output) else None
        )
    for rule in PLUGINS.get(plugin_id or 0, ()):
        if rule.when is None or rule.when.search(_reasons_in(output)):
            return rule
    return None


_MESSAGE: Final = re.compile(r"Message[ \t]*:\s*([^\n]+)")
_LABEL: Final = re.compile(r"\s*(?:-\s*)?(?:Plugin(?: ID| Name)?|Protocol|Port|User|Failure details"
                           r"|Account|Method)\s*:", re.IGNORECASE)  # fmt: skip
_HEADING: Final = re.compile(r"[^\n]*:\s*\Z")


def _reasons_in(output: str) -> str:
    """The output without plugin names, which mention logins in any case."""
    lines = output[:_READ].splitlines()
    return "\n".join(line for line in lines if not _LABEL.match(line))


def reason(output: str) -> str | None:
    """The reason in the scanner's own words, at most 160 characters: its messages, otherwise
    any text that is neither a heading nor a label."""
    found = dict.fromkeys(text.strip() for text in _MESSAGE.findall(output[:_READ]))
    if not found:
        found = dict.fromkeys(_sentences(output[:_READ]))
    return clean_line("; ".join(found), _DETAIL) or None


def _sentences(output: str) -> Iterator[str]:
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*- )", output)
    for paragraph in paragraphs:
        lines = [line for line in paragraph.splitlines() if not _LABEL.match(line)]
        text = " ".join(" ".join(lines).split()).removeprefix("- ")
        if text and not _HEADING.fullmatch(text):
            yield text


_CAUSES: Final = (
    (Cause.UNREACHABLE, _words(r"create a socket|connect|timed? ?out|unreachable|reset by peer")),
    (Cause.KEY, _words(r"parse the given key|invalid key|private key|passphrase")),
    (Cause.PROTOCOL, _words(r"negotiat|algorithm|cipher|key exchange|protocol failed|SMBv1")),
    (Cause.RATE, _words(r"rate limit|too many")),
)


def cause_of(words: str) -> Cause:
    """Why a login failed; `REFUSED` (user, password, key or rights) unless another is named."""
    return next((cause for cause, pattern in _CAUSES if pattern.search(words)), Cause.REFUSED)
