"""The status page: one HTML document without scripts, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final, NamedTuple

import attrs

from nessus_sched.core.calendar.schedule import FiringOutcome, Schedule
from nessus_sched.core.calendar.zones import local_text
from nessus_sched.core.pool.slots import SlotStatistics
from nessus_sched.core.pool.statistics import PoolStatistics
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.text import pluralize
from nessus_sched.http import timeline
from nessus_sched.results.audits import checks_text
from nessus_sched.results.markup import template
from nessus_sched.results.untrusted import clean_line
from nessus_sched.scheduler.plan import Plan
from nessus_sched.scheduler.views import ScannerView, TaskView
from nessus_sched.telemetry.health import Health, Status

REFRESH: Final = 10
"""Seconds after which a browser reloads the page."""
UNKNOWN: Final = "\N{EN DASH}"
"""In a cell with nothing to show."""
_TEMPLATES: Final = files("nessus_sched.http").joinpath("templates")
_HASH: Final = base64.b64encode(
    hashlib.sha256(_TEMPLATES.joinpath("status.css").read_bytes().rstrip(b"\n")).digest()
).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Only the page's own style sheet is allowed; the template leaves out its last line break."""
_BOXES: Final = 16
"""Slots that are drawn one by one; more are only counted."""
_PLANNED: Final = 12
"""Scans of the plan that are listed; the timeline has all."""
_SEVERITIES: Final = ("critical", "high", "medium", "low", "info", "unknown")
_HEALTH: Final = {Status.OK: "good", Status.DEGRADED: "warn", Status.FAILED: "bad"}
_FIRINGS: Final = {
    FiringOutcome.SUBMITTED: "good",
    FiringOutcome.SKIPPED: "warn",
    FiringOutcome.FAILED: "bad",
}
_OUTCOMES: Final = {
    TaskState.COMPLETED: "good",
    TaskState.PARTIAL: "warn",
    TaskState.CANCELED: "dim",
    TaskState.TIMED_OUT: "warn",
    TaskState.DEAD: "bad",
}


@attrs.frozen(kw_only=True)
class Overview:
    """What the page shows: a snapshot that the daemon takes. `at` is now (epoch seconds);
    `waiting` are the first in the order of acceptance, `ended` the latest, newest first."""

    at: float
    version: str
    health: Health
    pool: PoolStatistics
    scanners: Sequence[ScannerView]
    active: Sequence[TaskView]
    waiting: Sequence[TaskView]
    ended: Sequence[Task]
    dead_letters: int
    clients: int
    schedules: Sequence[Schedule] = ()
    """Those that fire next, in order of time."""
    plan: Plan | None = None
    """Of the coming hours, perhaps a minute old."""


def render(overview: Overview) -> str:
    """The whole document. Takes milliseconds, the first time a tenth of a second: call it in a
    thread."""
    plan = overview.plan if overview.plan is not None and overview.plan.worth_showing else None
    page = template("nessus_sched.http", "status.html", _shown, _FILTERS)
    return page.render(
        page=overview,
        problems=[
            (name, component)
            for name, component in overview.health.components.items()
            if component.status is not Status.OK
        ],
        refresh=REFRESH,
        unknown=UNKNOWN,
        severities=_SEVERITIES,
        completed=TaskState.COMPLETED,
        plan=plan,
        drawn=None if plan is None else timeline.drawing(plan.timeline),
        top=timeline.TOP,
        gap=timeline.GAP,
        rows=_PLANNED,
    )


def _shown(text: str) -> str:
    return clean_line(text, 300)


class ScannerState(NamedTuple):
    word: str
    tone: str
    reason: str | None = None


def scanner_state(view: ScannerView) -> ScannerState:
    statistics = view.statistics
    if not statistics.enabled:
        return ScannerState("disabled", "dim")
    if view.trouble is not None:
        return ScannerState("unusable", "bad", view.trouble)
    if statistics.draining:
        return ScannerState("draining", "warn")
    if statistics.obstacle is None:
        return ScannerState("ready", "good")
    if statistics.suspension is not None:
        return ScannerState("suspended", "bad", statistics.obstacle.text)
    return ScannerState("held", "warn", statistics.obstacle.text)


def slot_boxes(slots: SlotStatistics) -> tuple[str, str] | None:
    """Used and free slots as boxes; None when they are too many to draw."""
    used, total = len(slots.active), max(slots.capacity, len(slots.active))
    return ("■" * used, "■" * (total - used)) if total <= _BOXES else None


def parts_done(parts: Mapping[TaskState, int]) -> str:
    """Of a split task, in place of a scanner."""
    done = sum(count for state, count in parts.items() if state in SETTLED)
    return f"{pluralize(sum(parts.values()) - done, 'part')}, {done} done"


def shows_progress(view: TaskView) -> bool:
    return view.task.state is not TaskState.EXPORTING and view.progress is not None


def running_since(task: Task) -> float:
    return task.launched_at or task.entered.get(task.state, task.created_at)


def running_tone(state: TaskState) -> str:
    return "warn" if state is TaskState.PAUSED else "busy"


def due(schedule: Schedule) -> str:
    """When it fires next, in its own time zone."""
    assert schedule.next_due is not None
    return local_text(schedule.next_due, schedule.recurrence.zone)


def firing_tone(outcome: FiringOutcome) -> str:
    return _FIRINGS[outcome]


def outcome_tone(state: TaskState) -> str:
    return _OUTCOMES[state]


def health_tone(status: Status) -> str:
    return _HEALTH[status]


def state_words(state: TaskState) -> str:
    return state.value.replace("_", " ")


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """Such as `5 s`, `12 min`, `3 h`, `9 d`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} d"


_FILTERS: Final = (
    scanner_state, slot_boxes, parts_done, shows_progress, running_since, running_tone,
    outcome_tone, firing_tone, due, health_tone, state_words, clock, span,
    timeline.local_clock, timeline.interval, checks_text,
)  # fmt: skip
