"""A message as events with the field names of the Elastic Common Schema (pure).

`vulnerability`, `host`, `rule`, `event`, `observer`, `trace`, `related` and `labels` are field sets
of the schema; `nessus_sched` holds what it has no name for. A message gives the same events at
every attempt, with the same `event.id`.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from nessus_sched import __version__
from nessus_sched.core.delivery.message import Message
from nessus_sched.results.model import SEVERITIES
from nessus_sched.results.untrusted import clean_line

ECS_VERSION: Final = "8.11.0"
LINES: Final = 2_000
"""Events of one message; the last one says how many findings are left out."""
LONGEST: Final = 7_500
"""Bytes of an event as JSON: the usual syslog servers accept 8 KiB by default."""
_TEXT: Final = 300
_GOOD: Final = frozenset({"completed", "scanner_up", "fixed"})
_SEVERITY: Final[Mapping[str, int]] = {name: number for number, name in enumerate(SEVERITIES)}
_SERIOUS: Final[Mapping[str, int]] = {
    "failed": 2,
    "dead": 3,
    "firing_failed": 2,
    "login_failed": 2,
    "scanner_down": 3,
    "exception_expiring": 1,
}
"""What happened, by severity, on the scale of findings: 0 (info) to 4 (critical)."""


@attrs.frozen
class EcsEvent:
    """`dataset` is what it is about: summary, task, event or finding; `severity` is 0 to 4."""

    dataset: str
    severity: int
    fields: Mapping[str, Any]

    @property
    def json(self) -> bytes:
        """One line in ASCII without its end, of at most `LONGEST` bytes."""
        line = json.dumps(self.fields, separators=(",", ":")).encode()
        if len(line) <= LONGEST:
            return line
        short = {
            key: value
            for key, value in self.fields.items()
            if key not in ("nessus_sched", "related", "rule")
        }
        short["message"] = str(short["message"])[:100]
        return json.dumps(short, separators=(",", ":")).encode()


def events_of(message: Message) -> Iterator[EcsEvent]:
    """A summary, then an event per task, other event, and host of each finding."""
    document = message.document
    yield _summary(message)
    number = 1
    left_out = 0
    for made in _rest(document):
        if number < LINES - 1:
            yield _event(message, number, **made)
            number += 1
        else:
            left_out += 1
    if left_out:
        yield _event(
            message,
            number,
            dataset="summary",
            action="left_out",
            severity=0,
            text=f"{left_out} more are left out",
            own={"left_out": left_out},
        )


def _rest(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for task in document.get("tasks", ()):
        yield _task(task)
    for event in document.get("events", ()):
        yield _other(event)
    for group in document.get("groups", ()):
        where = group.get("where", ())
        for host in where:
            yield _finding(group, str(host))
        more = int(group.get("hosts", 0)) - len(where)
        if more > 0:
            yield _finding(group, None, more)


def _summary(message: Message) -> EcsEvent:
    kept = (
        "period", "changes", "compliance_changes", "baseline", "tasks_left_out", "events_left_out",
        "groups_left_out",
    )  # fmt: skip
    own = {key: message.document[key] for key in kept if key in message.document}
    return _event(
        message,
        0,
        dataset="summary",
        action=message.kind.value,
        severity=0,
        text=message.title,
        own=own,
    )


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    outcome = str(task.get("outcome", ""))
    name = task.get("name") or task.get("schedule") or task.get("task_id")
    why = task.get("partial") or (task.get("error") or {}).get("message")
    kept = (
        "task_id", "name", "schedule", "kind", "targets", "target_count", "submitted_by",
        "severity_counts", "compliance_counts", "credentialed", "failed_logins", "coverage",
        "not_reached",
    )  # fmt: skip
    return {
        "dataset": "task",
        "action": outcome,
        "severity": _SERIOUS.get(outcome, 0),
        "at": task.get("ended"),
        "text": f"Task {name}: {outcome}" + (f": {why}" if why else ""),
        "own": {"task": {key: task[key] for key in kept if key in task}},
        "reason": why,
        "error": task.get("error"),
        "trace_id": task.get("trace_id"),
        "observer": task.get("scanner_instance"),
        "report_id": task.get("task_id"),
    }


def _other(event: Mapping[str, Any]) -> dict[str, Any]:
    name = str(event.get("event", ""))
    kept = {key: event[key] for key in ("schedule", "task_id") if key in event}
    return {
        "dataset": "event",
        "action": name,
        "severity": _SERIOUS.get(name, 0),
        "at": event.get("at"),
        "text": str(event.get("text", "")),
        "own": kept,
        "observer": event.get("scanner_instance"),
    }


def _finding(group: Mapping[str, Any], host: str | None, more: int = 0) -> dict[str, Any]:
    change, severity = str(group.get("change", "")), str(group.get("severity", ""))
    name = _name(group) or f"plugin {group.get('plugin_id')}"
    where = f"{more} more hosts" if host is None else host
    own = {
        "change": change,
        "solution": group.get("solution"),
        "cisa_kev": group.get("cisa_kev"),
        "plugin_name": group.get("plugin_name"),
        "compliance_check_name": group.get("compliance_check_name"),
        "more_hosts": more or None,
    }
    return {
        "dataset": "finding",
        "action": change,
        "severity": 0 if change in _GOOD else _SEVERITY.get(severity, 0),
        "text": f"{change}: {name} ({severity}) on {where}",
        "own": own,
        "host": host,
        "finding": group,
        "start": group.get("first_seen"),
    }


def _event(  # each argument is a field
    message: Message,
    number: int,
    *,
    dataset: str,
    action: str,
    severity: int,
    text: str,
    own: Mapping[str, Any],
    at: str | None = None,
    reason: str | None = None,
    error: Mapping[str, Any] | None = None,
    trace_id: str | None = None,
    observer: str | None = None,
    report_id: str | None = None,
    host: str | None = None,
    finding: Mapping[str, Any] | None = None,
    start: str | None = None,
) -> EcsEvent:
    fields = {
        "@timestamp": at or _time(message.at),
        "ecs": {"version": ECS_VERSION},
        "message": text,
        "event": {
            "id": f"{message.message_id}.{number}",
            "kind": "state" if finding else "event",
            **({"category": ["vulnerability"], "type": ["info"]} if finding else {}),
            "action": action,
            "module": "nessus_sched",
            "dataset": f"nessus_sched.{dataset}",
            "provider": "nessus-sched",
            "severity": severity,
            "start": start,
            "outcome": _outcome(dataset, action),
            "reason": reason,
        },
        "error": None if not error else {key: error.get(key) for key in ("code", "message")},
        "trace": {"id": trace_id},
        "host": None if host is None else _host(host),
        "related": None if host is None else _related(host),
        "rule": None if finding is None else _rule(finding),
        "vulnerability": _vulnerability(finding, report_id or message.task_id),
        "observer": {"vendor": "Tenable", "product": "Nessus", "name": observer},
        "labels": {"route": message.route, "message_id": message.message_id},
        "nessus_sched": {"version": __version__, **own},
    }
    return EcsEvent(dataset, severity, _without_empty(fields))


def _name(group: Mapping[str, Any]) -> str | None:
    return group.get("compliance_check_name") or group.get("plugin_name")


def _rule(group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(group.get("plugin_id")),
        "name": _name(group),
        "ruleset": "Nessus",
    }


def _vulnerability(group: Mapping[str, Any] | None, report_id: str | None) -> dict[str, Any]:
    if group is None:
        return {"report_id": report_id}
    return {
        "severity": str(group.get("severity", "")).capitalize(),
        "description": _name(group),
        "scanner": {"vendor": "Tenable"},
        "report_id": report_id,
    }


def _outcome(dataset: str, action: str) -> str | None:
    if dataset != "task":
        return None
    return "success" if action in _GOOD else "failure"


def _host(host: str) -> dict[str, Any]:
    return {"name": host, **({"ip": [host]} if _is_address(host) else {})}


def _related(host: str) -> dict[str, Any]:
    return {"ip": [host]} if _is_address(host) else {"hosts": [clean_line(host, _TEXT)]}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known, and with bounded texts."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        kept = _without_empty(value) if isinstance(value, Mapping) else value
        if isinstance(kept, str):
            kept = clean_line(kept, _TEXT)
        if kept not in (None, "", {}):
            found[key] = kept
    return found


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
