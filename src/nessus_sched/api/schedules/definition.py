"""The definition of a schedule as `create_schedule` takes it, so that it can be exported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from nessus_sched.core.calendar.schedule import Missed, Overlap, Schedule
from nessus_sched.core.calendar.zones import zone_of
from nessus_sched.core.task import DEFAULT_POOL, ScanKind, ScanRequest

MINUTE = 60.0
_AS_NAMED = (
    "description", "scanner_instance", "priority", "template", "policy", "audit", "discovery",
    "profile", "between", "deadline", "split", "partial_ok", "on_early_end",
)  # fmt: skip


def definition_of(schedule: Schedule) -> dict[str, Any]:
    """What is left out has its default."""
    recurrence, rule = schedule.recurrence, schedule.retry_absent
    moments = {"at": recurrence.at, "until": schedule.until}
    zone = zone_of(recurrence.zone if schedule.zone_known else "UTC")
    given: dict[str, Any] = {
        "name": schedule.name,
        "kind": str(schedule.request.kind),
        "scan": _scan(schedule.request, schedule.name),
        "cron": recurrence.cron,
        "every_minutes": _minutes(recurrence.every),
        "time_zone": recurrence.zone,
        **{
            name: None if at is None else datetime.fromtimestamp(at, zone).isoformat()
            for name, at in moments.items()
        },
        "max_tasks": schedule.max_firings,
        "missed": None if schedule.missed is Missed.ONCE else str(schedule.missed),
        "catch_up_minutes": None if schedule.catch_up % MINUTE else _minutes(schedule.catch_up),
        "overlap": None if schedule.overlap is Overlap.SKIP else str(schedule.overlap),
        "jitter_minutes": _minutes(schedule.jitter) or None,
        "retry_absent": None if rule is None else rule.times,
        "retry_after_minutes": None if rule is None else _minutes(rule.after),
    }
    return {name: value for name, value in given.items() if value is not None}


def _scan(request: ScanRequest, name: str) -> dict[str, Any]:
    usual = ScanRequest(kind=ScanKind.BASIC, targets=())
    given: dict[str, Any] = {
        "targets": list(request.targets),
        "exclude": list(request.exclude),
        "credential": list(request.credentials),
        "settings": dict(request.settings),
        "max_runtime_minutes": _minutes(request.max_runtime),
    }
    if request.scanner_instance is None and request.pool != DEFAULT_POOL:
        given["pool"] = request.pool
    for attribute in attrs.fields(ScanRequest):
        value = getattr(request, attribute.name)
        if attribute.name in _AS_NAMED and value != getattr(usual, attribute.name):
            given[attribute.name] = value if isinstance(value, bool) else str(value)
    found = {name: value for name, value in given.items() if value}
    return found if request.name == name else {"name": request.name, **found}


def _minutes(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds / MINUTE)
