"""What a report shows about logins on a host: which plugins and tags mean what.

Titles and meanings from the plugins themselves. Plugins that look like proof of a login and are
none (10394, 12634, 14272, 21643, 26917, 51192, 66334, 97833, 149334: they fire on hosts
nobody logged in to) are left out on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Flag, auto
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.results import scaninfo
from nessus_sched.results.model import Finding, HostReport
from nessus_sched.results.untrusted import clean_line

_MOST_SIGNS: Final = 24
_DETAIL: Final = 160


class Means(Flag):
    """What a sign says about the login on its host."""

    NOTHING = 0
    """By itself; worth telling next to other signs."""
    LOGIN = auto()
    """A credential worked."""
    LOCAL = auto()
    """Checks ran within the host, which implies a login."""
    FAILED = auto()
    """A credential was tried and did not work."""
    NOT_GIVEN = auto()
    """A service to log in to was seen and no credential supplied."""
    WEAK = auto()
    """A login next to this sign was not a full one."""
    PRIVILEGED = auto()
    UNPRIVILEGED = auto()
    """Some checks lacked rights; counts next to a login only."""
    DEAD = auto()
    """The host did not answer."""


@attrs.frozen(kw_only=True)
class Sign:
    """One piece of evidence: a plugin or a tag, where, and in its own words."""

    source: str
    """`plugin 104410`, `tag Credentialed_Scan`."""
    says: str
    where: str | None = None
    """`22/tcp ssh`; None for the host as a whole."""
    detail: str | None = None
    means: Means


PLUGINS: Final[Mapping[int, tuple[str, Means]]] = MappingProxyType(
    {
        141118: ("valid credentials provided", Means.LOGIN),
        110095: ("login without privilege problems", Means.LOGIN | Means.PRIVILEGED),
        110385: (
            "login, but with insufficient privilege",
            Means.LOGIN | Means.WEAK | Means.UNPRIVILEGED,
        ),
        117885: ("login worked, then failed at least once", Means.LOGIN | Means.WEAK),
        110695: ("login, but checks do not support the device", Means.LOGIN | Means.WEAK),
        117887: ("local patch assessment available", Means.LOCAL),
        104410: ("provided credentials failed", Means.FAILED),
        21745: ("local patch assessment failed", Means.FAILED | Means.WEAK),
        110723: ("no credentials provided", Means.NOT_GIVEN),
        117886: ("local patch assessment not available", Means.NOTHING),
        102094: ("commands need privilege escalation", Means.WEAK | Means.UNPRIVILEGED),
        102095: ("commands ran with privilege escalation", Means.PRIVILEGED),
        24786: ("not performed with administrator privileges", Means.WEAK | Means.UNPRIVILEGED),
        10428: ("registry not fully accessible", Means.NOTHING),
        122501: ("the device limits the rate of SSH logins", Means.NOTHING),
        91822: ("database login failed", Means.NOTHING),
        122503: ("login to a credential or patch manager failed", Means.NOTHING),
    }
)
PING: Final = 10180
_DEAD: Final = re.compile(r"considered as dead|is dead|host is not alive", re.IGNORECASE)
_TAGS: Final = ("ssh-login-used", "smb-login-used")
_MESSAGE: Final = re.compile(r"Message[ \t]*:\s*([^\n]+)")


@attrs.define
class HostEvidence:
    """Collects the signs of one host. `said` holds the answers of plugin 19506, of which a
    host may have several; `tagged` is the scanner's own tag, None without one."""

    signs: list[Sign] = attrs.field(factory=list)
    means: Means = Means.NOTHING
    said: set[str] = attrs.field(factory=set)
    tagged: bool | None = None

    def add_finding(self, finding: Finding) -> None:
        plugin_id = finding.plugin.plugin_id
        if plugin_id == scaninfo.PLUGIN:
            self._hear(finding.plugin_output or "")
        elif plugin_id == PING:
            if _DEAD.search(finding.plugin_output or ""):
                self._add(_sign(finding, "considered dead, not scanned", Means.DEAD))
        elif plugin_id is not None and plugin_id in PLUGINS:
            self._add(_sign(finding, *PLUGINS[plugin_id]))

    def add_host(self, host: HostReport) -> None:
        """The host's tags; call once, when they are complete."""
        self.tagged = host.credentialed
        if host.credentialed:
            says = "the scanner calls the scan credentialed"
            self._add(Sign(source="tag Credentialed_Scan", says=says, means=Means.LOCAL))
        for tag in _TAGS:
            if host.properties.get(tag, "").strip():
                says = "a login was used"
                self._add(Sign(source=f"tag {tag}", says=says, means=Means.LOGIN))

    def _hear(self, output: str) -> None:
        word = scaninfo.credentialed_word(output)
        if word is None:
            return
        self.said.add(word)
        self._add(
            Sign(
                source=f"plugin {scaninfo.PLUGIN}",
                says=f"credentialed checks: {clean_line(word, 20)}",
                means=Means.LOCAL if word == "yes" else Means.NOTHING,
            )
        )

    def _add(self, sign: Sign) -> None:
        self.means |= sign.means
        if len(self.signs) < _MOST_SIGNS:
            self.signs.append(sign)


def _sign(finding: Finding, says: str, means: Means) -> Sign:
    where = None
    if finding.port:
        where = clean_line(f"{finding.port}/{finding.protocol} {finding.svc_name or ''}", 60)
    messages = dict.fromkeys(_MESSAGE.findall((finding.plugin_output or "")[:20_000]))
    detail = clean_line("; ".join(messages), _DETAIL) if messages else None
    return Sign(
        source=f"plugin {finding.plugin.plugin_id}",
        says=says,
        where=where,
        detail=detail,
        means=means,
    )
