"""Exceptions: findings that someone answers for, for a reason and until a day.

An exception never deletes or hides a finding. It is proposed by a person or a model, and a
person approves it. No text of a scanned host takes part in this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.core.calendar.zones import BadCalendar, parse_moment, zone_of
from nessus_sched.core.exceptions.rule import BadException, BadField, ExceptionKind, Rule
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import Submitter
from nessus_sched.core.text import lasting

DAY: Final = 86400.0


class ExceptionStatus(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"
    LAPSED = "lapsed"
    """It ended because the finding is no longer what it was approved for."""


OPEN: Final = frozenset({ExceptionStatus.PROPOSED, ExceptionStatus.APPROVED})


class Decision(StrEnum):
    """What a person may decide about an exception."""

    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    EXTEND = "extend"


@attrs.frozen(kw_only=True)
class PluginFacts:
    """What is known of a plugin's findings: the highest severity (0 to 4), whether they are
    exploited in the wild, and the version of the check if it is known."""

    severity: int
    exploited: bool = False
    version: str | None = None


@attrs.frozen(kw_only=True)
class FindingException:
    """`actor` and `submitter` proposed it. `decided_by` and `decider` approved, rejected or
    revoked it, or extended it last; `decided_at` is when. `cause` says why it ended. Moments are
    epoch seconds.
    """

    exception_id: str
    rule: Rule
    reason: str
    owner: str
    actor: str
    submitter: Submitter | None = None
    proposed_at: float
    expires: float
    status: ExceptionStatus = ExceptionStatus.PROPOSED
    approved_at: float | None = None
    """Never changed again: one that was never approved can not be extended."""
    decided_by: str = ""
    decider: Submitter | None = None
    decided_at: float | None = None
    cause: str = ""
    ended_at: float | None = None
    announced: bool = False
    """Its end was announced."""
    known: Mapping[int, PluginFacts] = attrs.field(factory=dict)
    """Its plugins as they were when it was approved, or when it first covered a finding of one."""

    @property
    def open(self) -> bool:
        return self.status in OPEN

    def in_force(self, now: float) -> bool:
        return self.status is ExceptionStatus.APPROVED and now < self.expires

    def may_be(self, decision: Decision) -> bool:
        """Whether that can be decided in its status. One that has expired can be extended, because
        the same person could approve a new one like it."""
        if decision is Decision.EXTEND and self.approved_at is None:
            return False
        return self.status in _DECIDED_IN[decision]

    def notice_at(self, notice: float) -> float | None:
        """When its end is announced: `notice` seconds before, but not in the first half of its
        term. None if it was announced or does not count."""
        if self.status is not ExceptionStatus.APPROVED or self.announced:
            return None
        begin = self.proposed_at if self.decided_at is None else self.decided_at
        return self.expires - min(notice, max(self.expires - begin, 0.0) / 2)

    def lapse(self, plugin_id: int, now: PluginFacts) -> str | None:
        """Why it has to be looked at again, given what the latest scan says about the plugin;
        None if it does not."""
        then = self.known.get(plugin_id)
        if then is None:
            return None
        if now.severity > then.severity:
            return f"the severity of plugin {plugin_id} has risen"
        if now.exploited and not then.exploited:
            return f"what plugin {plugin_id} finds is now exploited in the wild"
        both = None not in (then.version, now.version)
        if self.rule.kind is ExceptionKind.FALSE_POSITIVE and both and now.version != then.version:
            return f"plugin {plugin_id} has changed"
        return None

    def learned(self, plugin_id: int, now: PluginFacts) -> FindingException:
        """With the facts about a plugin of which it did not know them."""
        then = self.known.get(plugin_id)
        if then is None:
            then = now
        elif then.version is None:
            then = attrs.evolve(then, version=now.version)
        if self.known.get(plugin_id) == then:
            return self
        return attrs.evolve(self, known={**self.known, plugin_id: then})


_DECIDED_IN: Final[Mapping[Decision, frozenset[ExceptionStatus]]] = MappingProxyType(
    {
        Decision.APPROVE: frozenset({ExceptionStatus.PROPOSED}),
        Decision.REJECT: frozenset({ExceptionStatus.PROPOSED}),
        Decision.REVOKE: frozenset({ExceptionStatus.APPROVED}),
        Decision.EXTEND: frozenset({ExceptionStatus.APPROVED, ExceptionStatus.EXPIRED}),
    }
)

_LENIENCE: Final[Mapping[ExceptionKind, int]] = MappingProxyType(
    {
        ExceptionKind.SEVERITY: 0,
        ExceptionKind.ACCEPTED: 1,
        ExceptionKind.FALSE_POSITIVE: 2,
    }
)


def rank(exception: FindingException) -> tuple[tuple[bool, int, bool, bool, int], int, int, str]:
    """Orders exceptions by which counts for a finding that several cover: the narrowest first, and
    of equally narrow ones the strictest, which shows the most."""
    rule = exception.rule
    return rule.width, _LENIENCE[rule.kind], -(rule.severity or 0), exception.exception_id


def chosen(exceptions: Iterable[FindingException]) -> FindingException | None:
    """The one that counts of several that cover a finding."""
    return min(exceptions, key=rank, default=None)


def parse_end(text: str, *, zone: str, now: float) -> float:
    """Epoch seconds, a whole number, of an end such as `2026-12-31` (that day included), `90d` or
    a date and time; local times are those of the zone. Raises `BadException`."""
    given = text.strip()
    days = given.removesuffix("d")
    if days != given and days.isascii() and days.isdigit() and len(days) <= 5:
        return math.ceil(now) + int(days) * DAY
    try:
        moment = parse_moment(given, zone)
        if _is_date(given):
            moment = parse_moment((date.fromisoformat(given) + timedelta(days=1)).isoformat(), zone)
    except BadCalendar as error:
        wanted = "write a date such as 2026-12-31, or 90d"
        unreadable = f"{printable(text)!r} is not an end; {wanted}" if given else wanted
        message = unreadable if "is not a time" in str(error) else str(error)
        raise BadException([BadField("until", message)]) from None
    return float(math.ceil(moment))


def check_end(end: float, *, zone: str, now: float, max_term: float) -> None:
    """Raises `BadException` for an end that is in the past, or later than the end of the day until
    which the longest term takes."""
    if end <= now:
        raise BadException([BadField("until", "is in the past")])
    last = datetime.fromtimestamp(now + max_term, zone_of(zone)).date() + timedelta(days=1)
    if end > parse_moment(last.isoformat(), zone):
        longest = f"is more than {lasting(max_term)} away, the longest term (exceptions.max_term)"
        raise BadException([BadField("until", longest)])


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
