"""Puts messages together (pure): what happened, what changed, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from nessus_sched.core.coverage import counts_text
from nessus_sched.core.delivery.happenings import FINDINGS, Happening
from nessus_sched.core.delivery.message import MAX_BYTES, Message, MessageKind
from nessus_sched.core.masking import Masker
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import Task
from nessus_sched.core.text import pluralize
from nessus_sched.delivery.happened import Event
from nessus_sched.results.ledger.news import News, NewsGroup
from nessus_sched.results.model import SEVERITIES
from nessus_sched.results.untrusted import clean_line

TARGETS: Final = 20
TASKS: Final = 50
EVENTS: Final = 100
_TEXT: Final = 500


@attrs.frozen(kw_only=True)
class Ended:
    """The end of a task as its journal row has it; `outcome` is what routes know it by."""

    task: Task
    outcome: Happening
    at: float

    @property
    def not_reached(self) -> int:
        return int(((self.task.summary or {}).get("coverage") or {}).get("not_reached", 0))

    @property
    def failed_logins(self) -> int:
        verdict = (self.task.summary or {}).get("verdict") or {}
        return int((verdict.get("counts") or {}).get("failed", 0))

    def happenings(self) -> Iterator[Happening]:
        """What there is to report of it, besides its findings."""
        yield self.outcome
        if self.not_reached:
            yield Happening.NOT_REACHED
        if self.failed_logins:
            yield Happening.LOGIN_FAILED


@attrs.frozen(kw_only=True)
class Report:
    """What one message reports. `ended_left_out` and `events_left_out` count what is not
    listed."""

    ended: Sequence[Ended] = ()
    ended_left_out: int = 0
    events: Sequence[Event] = ()
    events_left_out: int = 0
    news: News = attrs.field(factory=News)
    period: tuple[float, float] | None = None
    """Of a digest, in epoch seconds."""

    @property
    def is_empty(self) -> bool:
        return not (self.ended or self.events or not self.news.is_empty)


def compose(report: Report, *, message_id: str, route: str, at: float, mask: Masker) -> Message:
    document = _bounded(_document(report))
    about = report.ended[0].task.task_id if len(report.ended) == 1 else None
    if about is None and len(report.events) == 1:
        about = report.events[0].task_id
    kind = MessageKind.EVENT if report.period is None else MessageKind.DIGEST
    return Message(
        message_id=message_id,
        route=route,
        kind=kind,
        at=at,
        title=mask(title(report)),
        document=mask.masked(document),
        task_id=about,
    )


def title(report: Report) -> str:
    """One line, most important first."""
    if report.is_empty:
        return "Nothing has changed"
    found = [
        f"{sum(counts.values())} {change}{_worst(counts)}"
        for change in FINDINGS
        if (counts := report.news.counts.get(change.value)) and sum(counts.values())
    ]
    found += [
        f"{pluralize(report.news.checks[change.value], 'compliance check')} {change}"
        for change in FINDINGS
        if report.news.checks.get(change.value)
    ]
    if not found and report.news.baseline_hosts:
        found = [f"first scan of {pluralize(report.news.baseline_hosts, 'host')}"]
    if len(report.events) + report.events_left_out == 1 and not found and not report.ended:
        return clean_line(_capital(report.events[0].text), 150)
    count, where = len(report.events) + report.events_left_out, _where(report)
    said = f"{', '.join(found)}: {where}" if found and where else ", ".join(found) or where
    events = pluralize(count, "event") if count else ""
    return clean_line(_capital(", ".join(filter(None, (said, events)))), 150)


def _where(report: Report) -> str:
    count = len(report.ended) + report.ended_left_out
    if count == 1:
        ended = report.ended[0]
        said = [] if ended.outcome is Happening.COMPLETED else [_OUTCOMES[ended.outcome]]
        if ended.not_reached:
            said.append(f"{ended.not_reached} not reached")
        if ended.failed_logins:
            said.append(f"logins failed on {pluralize(ended.failed_logins, 'host')}")
        return _name(ended.task) + (f" ({', '.join(said)})" if said else "")
    return f"{pluralize(count, 'task')} to look at" if count else ""


_OUTCOMES: Final = {Happening.FAILED: "did not complete", Happening.DEAD: "failed"}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name(task: Task) -> str:
    return task.request.name or (task.schedule.name if task.schedule else "") or task.task_id


def _worst(counts: Mapping[str, int]) -> str:
    """` (2 critical, 1 high)`."""
    parts = [f"{counts[name]} {name}" for name in reversed(SEVERITIES) if counts.get(name)]
    return f" ({', '.join(parts[:2])})" if parts else ""


def _document(report: Report) -> dict[str, Any]:
    news = report.news
    found = {
        "period": None
        if report.period is None
        else {"from": _time(report.period[0]), "to": _time(report.period[1])},
        "tasks": [_task(each) for each in report.ended],
        "tasks_left_out": report.ended_left_out,
        "events": [_event(each) for each in report.events],
        "events_left_out": report.events_left_out,
        "changes": {name: dict(counts) for name, counts in news.counts.items() if counts},
        "compliance_changes": dict(news.checks),
        "groups": [_group(each) for each in news.groups],
        "groups_left_out": news.left_out,
        "baseline": {
            "hosts": news.baseline_hosts,
            "severity_counts": dict(news.baseline_counts),
        }
        if news.baseline_hosts
        else None,
    }
    return {key: value for key, value in found.items() if value}


def _task(ended: Ended) -> dict[str, Any]:
    task, summary = ended.task, ended.task.summary or {}
    error, coverage = task.last_error, summary.get("coverage")
    failed = ended.outcome is not Happening.COMPLETED
    found = {
        "task_id": task.task_id,
        "trace_id": task.trace_id,
        "outcome": ended.outcome.value,
        "ended": _time(ended.at),
        "kind": task.request.kind.value,
        "name": clean_line(task.request.name),
        "schedule": None if task.schedule is None else task.schedule.name,
        "targets": list(task.request.targets[:TARGETS]),
        "target_count": size_of(task.request.targets),
        "scanner_instance": task.scanner_instance,
        "submitted_by": task.actor,
        "severity_counts": summary.get("severity_counts"),
        "compliance_counts": summary.get("compliance_counts") or None,
        "credentialed": (summary.get("verdict") or {}).get("credentialed"),
        "failed_logins": ended.failed_logins,
        "coverage": None if coverage is None else counts_text(coverage),
        "not_reached": ended.not_reached,
        "partial": None if task.partial is None else clean_line(task.partial, _TEXT),
        "error": {"code": error.kind, "message": clean_line(error.message, _TEXT)}
        if failed and error is not None
        else None,
    }
    return {key: value for key, value in found.items() if value not in (None, 0, "")}


def _event(event: Event) -> dict[str, Any]:
    found = {
        "event": event.happening.value,
        "at": _time(event.at),
        "text": clean_line(event.text, _TEXT),
        "schedule": event.schedule,
        "scanner_instance": event.scanner,
        "task_id": event.task_id,
    }
    return {key: value for key, value in found.items() if value is not None}


def _group(group: NewsGroup) -> dict[str, Any]:
    check = {} if group.check is None else {"compliance_check_name": clean_line(group.check)}
    return {
        "change": group.change.value,
        "severity": group.severity,
        "plugin_id": group.plugin_id,
        "plugin_name": clean_line(group.name or ""),
        **check,
        "solution": clean_line(group.solution or "", _TEXT),
        "cisa_kev": group.exploited,
        "hosts": group.host_count,
        "where": [clean_line(each) for each in group.hosts],
        "first_seen": _time(group.first_seen),
    }


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """Without the last groups if it is too large; everything else has few and short texts."""
    groups = list(document.get("groups", ()))
    left_out = document.get("groups_left_out", 0)
    while groups and len(json.dumps(document, ensure_ascii=False).encode()) > MAX_BYTES:
        keep = len(groups) // 2
        left_out, groups = left_out + len(groups) - keep, groups[:keep]
        document = {**document, "groups": groups, "groups_left_out": left_out}
    return document


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
