"""How well scans have reached targets over time: each address or name has one status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import attrs

from nessus_sched.core.coverage import Stretch
from nessus_sched.core.targets.ranges import (
    Ranges,
    difference,
    intersection,
    merged,
    overlap,
)
from nessus_sched.core.targets.targets import TargetSet


class Reach(StrEnum):
    """The first that holds counts."""

    NEVER_SCANNED = "never_scanned"
    """No scan has finished with it."""
    NOT_LATELY = "not_lately"
    """No scan has finished with it lately."""
    NEVER_ANSWERED = "never_answered"
    """It was scanned lately, and has never answered a scan."""
    NO_LONGER_ANSWERS = "no_longer_answers"
    """It answered earlier scans, but not the latest."""
    UNFINISHED = "unfinished"
    """It answered, but no scan finished it lately."""
    WITHOUT_LOGIN = "without_login"
    """It was scanned lately, but without a login."""
    COVERED = "covered"
    """It was scanned to the end lately, and with a login."""


@attrs.frozen(kw_only=True)
class Tries:
    """Targets that scans have finished with, whether they answered or not: ever, and lately."""

    ever: TargetSet
    lately: TargetSet


@attrs.frozen(kw_only=True)
class Reached:
    """When a host was scanned; times are epoch seconds. `target` is its address as a number of
    `core.targets.ranges`, or the name by which it was scanned."""

    target: int | str
    tried_at: int
    answered_at: int | None
    whole_at: int | None
    login_at: int | None
    login: str | None
    scanner: str | None

    def status(self, since: float, *, tried: bool) -> Reach:
        """`since`: what is older does not count as lately. `tried`: some scan has finished with it
        lately, perhaps a narrow one that it did not answer."""
        if self.tried_at < since and not tried:
            return Reach.NOT_LATELY
        if self.answered_at is None:
            return Reach.NEVER_ANSWERED
        if self.answered_at < max(self.tried_at, since):
            return Reach.NO_LONGER_ANSWERS
        if self.whole_at is None or self.whole_at < since:
            return Reach.UNFINISHED
        if self.login_at is None or self.login_at < since:
            return Reach.WITHOUT_LOGIN
        return Reach.COVERED


@attrs.frozen
class ReachedStretch(Stretch):
    """One host that a scan has reported, or targets that none has."""

    status: Reach
    host: Reached | None = None


def stretches(
    asked: TargetSet, tries: Tries, hosts: Iterable[Reached], since: float
) -> Sequence[ReachedStretch]:
    """Every target that was asked for, exactly once: addresses in their order, then names. A host
    that is scanned by name is no target because of its address."""
    at = _latest_by_target(hosts)
    known = merged((target, target) for target in at if isinstance(target, int))
    lately = tries.lately.ranges
    found = []
    for target, host in at.items():
        if isinstance(target, int) and overlap(asked.ranges, ((target, target),)):
            status = host.status(since, tried=overlap(lately, ((target, target),)))
            found.append(ReachedStretch((target, target), status, host))
    for status, ranges in _by_tries(difference(asked.ranges, known), tries):
        found += [ReachedStretch(each, status) for each in ranges]
    found.sort(key=lambda each: each.target)
    return [*found, *(_named(name, at.get(name), tries, since) for name in sorted(asked.names))]


def _latest_by_target(hosts: Iterable[Reached]) -> dict[int | str, Reached]:
    """Several machines may have had an address: the one that answered last has it now."""
    found: dict[int | str, Reached] = {}
    for host in hosts:
        other = found.get(host.target)
        if other is None or _newest(host) > _newest(other):
            found[host.target] = host
    return found


def _newest(host: Reached) -> tuple[int, int]:
    return host.answered_at or 0, host.tried_at


def _by_tries(ranges: Ranges, tries: Tries) -> Iterator[tuple[Reach, Ranges]]:
    lately, ever = tries.lately.ranges, tries.ever.ranges
    yield Reach.NEVER_ANSWERED, intersection(ranges, lately)
    yield Reach.NOT_LATELY, difference(intersection(ranges, ever), lately)
    yield Reach.NEVER_SCANNED, difference(ranges, merged((*ever, *lately)))


def _named(name: str, host: Reached | None, tries: Tries, since: float) -> ReachedStretch:
    tried = name in tries.lately.names
    if host is not None:
        return ReachedStretch(name, host.status(since, tried=tried), host)
    if tried:
        return ReachedStretch(name, Reach.NEVER_ANSWERED)
    return ReachedStretch(
        name, Reach.NOT_LATELY if name in tries.ever.names else Reach.NEVER_SCANNED
    )
