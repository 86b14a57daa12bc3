"""News: what the scans of some tasks have changed, grouped by what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.scope import Rules
from nessus_sched.results.ledger.questions import Change


@attrs.frozen(kw_only=True)
class NewsQuery:
    """`region` limits the hosts by address or name, and `labelled` by their labels; both apply.
    `least_severity` (0 to 4) counts after exceptions, which count until `now` (epoch seconds).
    At most `groups` groups, each with at most `hosts` hosts."""

    task_ids: tuple[str, ...]
    changes: tuple[Change, ...] = tuple(Change)
    least_severity: int = 1
    region: Rules | None = None
    labelled: Labelled | None = None
    groups: int = 50
    hosts: int = 20
    now: float = 0.0


@attrs.frozen(kw_only=True)
class NewsGroup:
    """What changed about one plugin, or one `check` of an audit. `severity` is the word for the
    highest after exceptions, `first_seen` the earliest of its findings (epoch seconds);
    `host_count` counts also the hosts that are not listed."""

    change: Change
    plugin_id: int
    name: str | None
    check: str | None
    severity: str
    solution: str | None
    exploited: bool
    hosts: tuple[str, ...]
    host_count: int
    first_seen: float


@attrs.frozen(kw_only=True)
class News:
    """What the scans changed, all together: a finding that came and went is not counted.

    `counts` has the number of findings by change and severity, `checks` that of compliance checks
    by change, which have no severity. `groups` are in the order in which to look at them: new and
    resurfaced, then unverified, then fixed, each worst first. Findings that an exception accepts or
    calls false are only counted, in `excepted`. The first scan of a host changes nothing: it is
    counted in `baseline_hosts`, and what it found in `baseline_counts` by severity."""

    counts: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    groups: tuple[NewsGroup, ...] = ()
    left_out: int = 0
    """Number of groups that are not listed."""
    baseline_hosts: int = 0
    baseline_counts: Mapping[str, int] = attrs.field(factory=dict)
    excepted: int = 0
    checks: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def is_empty(self) -> bool:
        found = any(sum(each.values()) for each in self.counts.values())
        return not (self.baseline_hosts or found or self.checks)
