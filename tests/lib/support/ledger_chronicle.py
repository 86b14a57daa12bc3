"""Follows a ledger by comparing what it has after each scan, and answers for the past from that.

Shares nothing with the history that the ledger keeps itself: it reads the present only.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

Key = tuple[str, int, int, int]
"""Host, plugin, service, compliance check."""
WORDS: Final = {-1: "unknown", 0: "info", 1: "low", 2: "medium", 3: "high", 4: "critical"}


@attrs.frozen(kw_only=True)
class Now:
    """A finding as the ledger has it. `state` is 1 (open), 2 (resurfaced) or 3 (fixed)."""

    state: int
    reason: int
    severity: int
    since: int
    unverified_since: int | None
    resurfaced: int
    last_seen: int = attrs.field(eq=False)

    @property
    def is_open(self) -> bool:
        return self.state < 3

    def differs(self, other: Now) -> bool:
        return (self.state, self.reason, self.severity) != (
            other.state, other.reason, other.severity,
        )  # fmt: skip


@attrs.frozen
class Change:
    task_id: str
    at: int
    before: Now
    after: Now


@attrs.define
class Finding:
    task_id: str
    first_seen: int
    severity: int
    baseline: bool
    """The task that first saw it was the first that saw its host."""
    first_scan: bool
    """Likewise, but the first scan of a task that scanned the host several times."""
    now: Now
    changes: list[Change] = attrs.field(factory=list)

    def at(self, time: int) -> Now | None:
        if self.first_seen > time:
            return None
        return next((each.before for each in self.changes if each.at > time), self.now)

    def by(self, tasks: Collection[str]) -> tuple[Now, Now] | None:
        """Before and after what these tasks changed."""
        mine = [each for each in self.changes if each.task_id in tasks]
        return (mine[0].before, mine[-1].after) if mine else None


@attrs.define
class Chronicle:
    ledger: sqlite3.Connection
    findings: dict[Key, Finding] = attrs.field(factory=dict)
    first_tasks: dict[str, str] = attrs.field(factory=dict)
    answers: dict[str, set[int]] = attrs.field(factory=dict)

    def note(self, task_id: str, at: int) -> None:
        """After the scan of a task, all of whose hosts were scanned at one time."""
        rows = self.ledger.execute("SELECT identity, last_answered FROM machines").fetchall()
        known_hosts = set(self.first_tasks)
        for host, answered in rows:
            self.first_tasks.setdefault(host, task_id)
            if answered is not None:
                self.answers.setdefault(host, set()).add(answered)
        for key, first_seen, first_severity, now in _present(self.ledger):
            known = self.findings.get(key)
            if known is None:
                baseline = self.first_tasks[key[0]] == task_id
                first_scan = key[0] not in known_hosts
                self.findings[key] = Finding(
                    task_id, first_seen, first_severity, baseline, first_scan, now
                )
                continue
            if now.differs(known.now):
                earlier = known.changes[-1].at if known.changes else 0
                when = max(at, earlier, known.now.last_seen)
                known.changes.append(Change(task_id, when, known.now, now))
            known.now = now

    # -- answers

    def as_of(self, time: int) -> dict[Key, Now]:
        found = {key: finding.at(time) for key, finding in self.findings.items()}
        return {key: now for key, now in found.items() if now is not None}

    def news(
        self, tasks: Collection[str], hosts: Collection[str] | None = None, least: int = 1
    ) -> tuple[dict[str, dict[str, int]], dict[tuple[str, int], set[str]], int, dict[str, int]]:
        """Counts by change and severity, hosts by change and plugin, and of the baseline the
        number of hosts and counts by severity."""
        counts: dict[str, Counter[str]] = {}
        groups: dict[tuple[str, int], set[str]] = {}
        baseline: Counter[str] = Counter()
        for key, finding in self.findings.items():
            if hosts is not None and key[0] not in hosts:
                continue
            born = finding.task_id in tasks
            if born and finding.baseline:
                if finding.now.is_open and _counts(finding.now.severity, least):
                    baseline[WORDS[finding.now.severity]] += 1
                continue
            change, severity = _net(finding, tasks, born=born)
            if change is not None and _counts(severity, least):
                counts.setdefault(change, Counter())[WORDS[severity]] += 1
                groups.setdefault((change, key[1]), set()).add(key[0])
        firsts = [
            host for host, task in self.first_tasks.items()
            if task in tasks and (hosts is None or host in hosts)
        ]  # fmt: skip
        return (
            {change: dict(each) for change, each in counts.items()}, groups, len(firsts),
            dict(baseline),
        )  # fmt: skip

    def trend(
        self, bounds: Sequence[int], hosts: Collection[str] | None = None, least: int = 1
    ) -> list[dict[str, Any]]:
        findings = {
            key: finding for key, finding in self.findings.items()
            if hosts is None or key[0] in hosts
        }  # fmt: skip
        return [
            self._point(findings.values(), since, until, hosts, least)
            for since, until in pairwise(bounds)
        ]

    def _point(
        self,
        findings: Iterable[Finding],
        since: int,
        until: int,
        hosts: Collection[str] | None,
        least: int,
    ) -> dict[str, Any]:
        still: Counter[str] = Counter()
        ages = []
        counts: Counter[str] = Counter()
        for finding in findings:
            then = finding.at(until - 1)
            if then is not None and then.is_open and _counts(then.severity, least):
                still[WORDS[then.severity]] += 1
                ages.append(until - finding.first_seen)
            if since <= finding.first_seen < until and _counts(finding.severity, least):
                counts["baseline" if finding.first_scan else "new"] += 1
            for each in finding.changes:
                if since <= each.at < until and each.before.is_open != each.after.is_open:
                    word = "resurfaced" if each.after.is_open else "fixed"
                    severity = (each.after if each.after.is_open else each.before).severity
                    counts[word] += _counts(severity, least)
        answered = sum(
            any(since <= at < until for at in times)
            for host, times in self.answers.items()
            if hosts is None or host in hosts
        )
        return {
            "since": since, "until": until, "open": dict(still), "hosts": answered,
            "mean_age": sum(ages) / len(ages) if ages else None,
            **{word: counts[word] for word in ("new", "baseline", "fixed", "resurfaced")},
        }  # fmt: skip


def _net(finding: Finding, tasks: Collection[str], *, born: bool) -> tuple[str | None, int]:
    both = finding.by(tasks)
    if born:
        severity = finding.severity if both is None else both[1].severity
        return ("new" if both is None or both[1].is_open else None), severity
    if both is None:
        return None, 0
    before, after = both
    if before.is_open != after.is_open:
        return ("resurfaced" if after.is_open else "fixed"), after.severity
    if after.is_open and not before.reason and after.reason:
        return "unverified", after.severity
    return None, 0


def _counts(severity: int, least: int) -> bool:
    return severity >= least or severity == -1


def _present(
    ledger: sqlite3.Connection,
) -> Iterable[tuple[Key, int, int, Now]]:
    rows = ledger.execute(
        "SELECT identity, plugin, service, audit_check, e.first_seen, first_severity,"
        " max(state, 1), reason, severity, since, unverified_since, resurfaced, last_seen"
        " FROM entries e JOIN machines USING (machine)"
    ).fetchall()
    for host, plugin, service, check, first_seen, first_severity, *rest in rows:
        state, reason, severity, since, unverified_since, resurfaced, last_seen = rest
        yield (host, plugin, service, check), first_seen, first_severity, Now(
            state=state, reason=reason, severity=severity, since=since,
            unverified_since=unverified_since, resurfaced=resurfaced, last_seen=last_seen,
        )  # fmt: skip


def as_text(counts: Mapping[Any, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {str(change): dict(each) for change, each in counts.items() if each}
