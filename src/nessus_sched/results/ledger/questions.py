"""What the ledger answers: hosts with their findings, and changes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.scope import Rules
from nessus_sched.core.text import pluralize
from nessus_sched.results.absence import Reason
from nessus_sched.results.ledger.states import Life

MOST_CVES: Final = 4


class Shown(StrEnum):
    """Which findings of a host to list."""

    OPEN = "open"
    FIXED = "fixed"
    ALL = "all"


class Change(StrEnum):
    """What happened to a finding."""

    NEW = "new"
    RESURFACED = "resurfaced"
    FIXED = "fixed"
    UNVERIFIED = "unverified"


@attrs.frozen(kw_only=True)
class Excepted:
    """The exception that counts for a finding; `severity` is that of the kind severity."""

    exception_id: str
    kind: ExceptionKind
    severity: int | None


@attrs.frozen(kw_only=True)
class Entry:
    """A finding in the ledger. `first_scan`: the first scan of its host showed it; otherwise
    `unseen_before` is why the scan before would not have shown it, None if it would have.
    `first_task_id` and `last_task_id` are the scans that first and last decided about it."""

    host: str
    ip: str | None
    plugin_id: int
    name: str | None
    severity: int
    first_severity: int
    port: int
    protocol: str
    check: str | None
    life: Life
    first_scan: bool
    unseen_before: Reason | None
    cves: tuple[str, ...]
    exploited: bool
    published: str | None
    solution: str | None
    first_task_id: str
    last_task_id: str
    fqdn: str | None = None
    cvss: float | None = None
    exception: Excepted | None = None

    @property
    def effective_severity(self) -> int:
        """The severity after exceptions, as a number like that of the scanner."""
        changed = None if self.exception is None else self.exception.severity
        return self.severity if changed is None else changed


@attrs.frozen(kw_only=True)
class Spot:
    """Where a task's scan showed a finding; `host` is `model.host_key` of the name that was
    scanned."""

    task_id: str
    host: str
    plugin_id: int
    port: int
    protocol: str
    check: str | None = None


@attrs.frozen(kw_only=True)
class Host:
    """A host in the ledger; times are epoch seconds. `tried_at` is the latest scan that it was a
    target of, `reported_at` the latest that reported it, `whole_at` the latest that scanned it to
    its end, `login_at` the latest with a login. `open` counts its open findings by severity,
    without compliance checks that did not pass: these are `failed_checks`."""

    name: str
    ip: str | None
    fqdn: str | None
    netbios: str | None
    first_seen: int | None
    tried_at: int
    reported_at: int
    answered_at: int | None
    whole_at: int | None
    login_at: int | None
    login: str | None
    logins: tuple[str, ...]
    scanner: str | None
    open: Mapping[str, int]
    failed_checks: int = 0


@attrs.frozen(kw_only=True)
class HostPage:
    """`total` is the number of findings that match. `excepted` counts, by severity, how many of
    the open findings of the host have an exception."""

    host: Host
    entries: tuple[Entry, ...]
    total: int
    unverified: int
    excepted: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ChangeQuery:
    """`since` is in epoch seconds; changes of scans after it are listed. `ranges` limits the
    hosts to addresses (numbers of `core.targets.ranges`), `region` by address or name, and
    `labelled` by their labels; None for all. Exceptions count until `now` (epoch seconds)."""

    since: int
    changes: tuple[Change, ...] = tuple(Change)
    least_severity: int = 1
    ranges: tuple[tuple[int, int], ...] | None = None
    region: Rules | None = None
    labelled: Labelled | None = None
    limit: int = 50
    after: tuple[int, ...] | None = None
    now: float = 0.0


@attrs.frozen(kw_only=True)
class ChangePage:
    """`counts` has, for each change, the number of findings by severity, over all pages, and
    `excepted` how many of them have an exception; `checks` that of compliance checks, which are
    in no other number. `after` continues, None at the end.
    `first_scans` is how many of the new ones come from the first scan of their host."""

    entries: tuple[tuple[Change, Entry], ...]
    counts: Mapping[Change, Mapping[str, int]]
    first_scans: int
    reasons: Mapping[Reason, int]
    scans: int
    after: tuple[int, ...] | None
    excepted: Mapping[Change, int] = attrs.field(factory=dict)
    checks: Mapping[Change, int] = attrs.field(factory=dict)


class Clean(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def is_clean(host: Host, *, now: float, recent: float) -> tuple[Clean, str]:
    """Whether a host is clean, and why: yes only if its latest scan was whole, with a full login,
    in the last `recent` seconds, and nothing above info is open."""
    found = {name: count for name, count in host.open.items() if count and name != "info"}
    if found:
        listed = ", ".join(f"{count} {name}" for name, count in found.items())
        return Clean.NO, f"open findings: {listed}"
    doubts = []
    if host.whole_at is None:
        doubts.append("it was never scanned to the end")
    elif host.whole_at < host.tried_at:
        doubts.append("its latest scan did not reach it or did not finish")
    elif now - host.whole_at > recent:
        doubts.append(f"its latest scan was {int((now - host.whole_at) // 86400)} days ago")
    if host.login_at is None:
        doubts.append("it was never scanned with a login")
    elif host.login_at < host.reported_at or host.login != "full":
        doubts.append("its latest scan did not log in fully")
    if doubts:
        return Clean.UNKNOWN, f"nothing above info is open, but {'; '.join(doubts)}"
    failed = pluralize(host.failed_checks, "compliance check")
    return (
        Clean.YES,
        "its latest scan was whole, recent and logged in, and nothing above info is open"
        + (f", but {failed} did not pass" if host.failed_checks else ""),
    )
