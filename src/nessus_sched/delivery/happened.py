"""Reads from the journal what routes report (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.journal import JournalEntry, JournalRecord
from nessus_sched.core.states import TaskState

SCANNER_DOWN: Final = "scanner_down"
SCANNER_UP: Final = "scanner_up"
LOGINS_FAIL: Final = "logins_fail"

_ENDS: Final[Mapping[TaskState, Happening]] = {
    TaskState.COMPLETED: Happening.COMPLETED,
    TaskState.PARTIAL: Happening.FAILED,
    TaskState.TIMED_OUT: Happening.FAILED,
    TaskState.CANCELED: Happening.FAILED,
    TaskState.DEAD: Happening.DEAD,
}


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened, besides the end of a task. `at` is in epoch seconds, `text` a
    sentence; `schedule`, `scanner`, `hosts` (rules of an exception) and `task_id` say what it is
    about."""

    happening: Happening
    at: float
    text: str
    schedule: str | None = None
    scanner: str | None = None
    hosts: tuple[str, ...] = ()
    task_id: str | None = None


def outcome_of(entry: JournalEntry) -> Happening | None:
    """How a task has ended, if the entry is about that. A part of a split task ends like one."""
    if entry.task_id is None or entry.after is None or entry.after is entry.before:
        return None
    return _ENDS.get(entry.after)


def event_of(record: JournalRecord) -> Event | None:
    """What a row reports, if anything."""
    read = _READERS.get(record.entry.event)
    return None if read is None else read(record.entry)


def _firing(entry: JournalEntry) -> Event:
    name = str(entry.detail.get("schedule", ""))
    failed = entry.event == "schedule_failed"
    what = "could not submit its task" if failed else "skipped a firing"
    return Event(
        happening=Happening.FIRING_FAILED,
        at=entry.at,
        text=_sentence(f"schedule {name} {what}", entry.cause),
        schedule=name,
    )


def _scanner(entry: JournalEntry) -> Event:
    name = str(entry.detail.get("scanner_instance", ""))
    down = entry.event == SCANNER_DOWN
    return Event(
        happening=Happening.SCANNER_DOWN if down else Happening.SCANNER_UP,
        at=entry.at,
        text=_sentence(
            f"scanner {name} cannot be used" if down else f"scanner {name} can be used again",
            entry.cause,
        ),
        scanner=name,
    )


def _exception(entry: JournalEntry) -> Event:
    detail: Mapping[str, Any] = entry.detail
    ends = {
        "exception_expiring": "expires soon",
        "exception_expired": "has expired",
        "exception_lapsed": "has ended",
    }
    owner = detail.get("owner")
    what = f"exception {detail.get('exception_id')}{f' of {owner}' if owner else ''}"
    return Event(
        happening=Happening.EXCEPTION_EXPIRING,
        at=entry.at,
        text=_sentence(f"{what} {ends[entry.event]}", entry.cause),
        hosts=tuple(map(str, detail.get("hosts") or ())),
    )


def _logins(entry: JournalEntry) -> Event:
    return Event(
        happening=Happening.LOGIN_FAILED,
        at=entry.at,
        text=entry.cause,
        task_id=entry.task_id,
    )


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


_READERS: Final[Mapping[str, Callable[[JournalEntry], Event]]] = {
    "schedule_failed": _firing,
    "schedule_skipped": _firing,
    SCANNER_DOWN: _scanner,
    SCANNER_UP: _scanner,
    "exception_expiring": _exception,
    "exception_expired": _exception,
    "exception_lapsed": _exception,
    LOGINS_FAIL: _logins,
}
