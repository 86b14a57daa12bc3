"""Findings grouped by what to do about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.results.ledger.sla import limit_of
from nessus_sched.results.model import NO_SEVERITY, SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.reports.period import Period
from nessus_sched.results.untrusted import clean_line

NO_SOLUTION: Final = "No solution is known."
NAME: Final = 160
MOST_CHECKS: Final = 25
"""Compliance checks that a page lists."""
CHECK_HOSTS: Final = 3
"""Hosts that are named for one of them."""
SOLUTION: Final = 300
HOST: Final = 80
_RISING: Final = (SEVERITIES[0], UNKNOWN_SEVERITY, *SEVERITIES[1:])


def rank(severity: str) -> int:
    """Greater is worse; an unknown severity comes between info and low."""
    return _RISING.index(severity)


@attrs.frozen(kw_only=True)
class Found:
    """A finding as a report shows it; times are epoch seconds. `check` is the check of an audit
    that it is a result of, `note` is why it is listed or doubted."""

    host: str
    port: int
    protocol: str
    plugin_id: int
    name: str
    severity: str
    solution: str
    exploited: bool
    since: float | None
    due: float | None = None
    note: str | None = None
    check: str | None = None

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}/{self.protocol}" if self.port else self.host


def found_of(
    *,
    host: str,
    port: int,
    protocol: str | None,
    plugin_id: int,
    name: str | None,
    severity: str,
    solution: str | None,
    exploited: bool,
    since: float | None,
    note: str | None = None,
    sla: SlaSettings | None = None,
    check: str | None = None,
) -> Found:
    """With its texts made safe to show. `sla` gives it a day on which it is due."""
    number = SEVERITIES.index(severity) if severity in SEVERITIES else NO_SEVERITY
    limit = None if sla is None else limit_of(sla, number, exploited=exploited)
    return Found(
        host=clean_line(host, HOST),
        port=port,
        protocol=clean_line(protocol or "", 10),
        plugin_id=plugin_id,
        name=clean_line(name or f"Plugin {plugin_id}", NAME),
        severity=severity,
        solution=clean_line(solution or NO_SOLUTION, SOLUTION),
        exploited=exploited,
        since=since,
        due=None if limit is None or since is None else since + limit,
        note=note,
        check=None if check is None else clean_line(check, NAME),
    )


def by_solution(found: Iterable[Found]) -> list[tuple[str, list[Found]]]:
    """Solutions with their findings, the worst solution first."""
    groups: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        groups[each.solution].append(each)
    return sorted(groups.items(), key=lambda group: _rank(*group))


def _rank(solution: str, found: Sequence[Found]) -> tuple[Any, ...]:
    worst = max(rank(each.severity) for each in found)
    urgent = any(each.exploited for each in found)
    return -worst, not urgent, -len({each.host for each in found}), solution


def row(found: Found, period: Period) -> dict[str, Any]:
    """A finding for a table."""
    return {
        "solution": found.solution,
        "host": found.host,
        "port": found.port,
        "protocol": found.protocol,
        "plugin_id": found.plugin_id,
        "plugin_name": found.name,
        "severity": found.severity,
        "cisa_kev": found.exploited,
        "first_seen": None if found.since is None else period.day(found.since),
        "compliance_check_name": found.check,
    }


def summary(solution: str, found: Sequence[Found], period: Period) -> dict[str, Any]:
    """A group for a page."""
    since = [each.since for each in found if each.since is not None]
    names = dict.fromkeys(each.name for each in sorted(found, key=lambda f: -rank(f.severity)))
    return {
        "solution": solution,
        "severity": max((each.severity for each in found), key=rank),
        "exploited": any(each.exploited for each in found),
        "names": list(names),
        "plugins": len({each.plugin_id for each in found}),
        "findings": len(found),
        "hosts": len({each.host for each in found}),
        "since": min(map(period.day, since)) if since else None,
    }


def checks(found: Sequence[Found], period: Period) -> dict[str, Any] | None:
    """Compliance checks for a page, those on the most hosts first; None without any. They have no
    severity and no time limit, and their solution is that of the whole audit."""
    if not found:
        return None
    groups: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        groups[each.check or each.name].append(each)
    rows = [_check(*group, period) for group in groups.items()]
    rows.sort(key=lambda row: (-row["hosts"], row["check"]))
    return {
        "total": len(found),
        "hosts": len({each.host for each in found}),
        "rows": rows[:MOST_CHECKS],
        "left_out": max(len(rows) - MOST_CHECKS, 0),
    }


def _check(check: str, found: Sequence[Found], period: Period) -> dict[str, Any]:
    hosts = list(dict.fromkeys(each.host for each in found))
    since = [each.since for each in found if each.since is not None]
    return {
        "check": check,
        "hosts": len(hosts),
        "hosts_listed": hosts[:CHECK_HOSTS],
        "hosts_left_out": max(len(hosts) - CHECK_HOSTS, 0),
        "since": period.day(min(since)) if since else None,
    }
