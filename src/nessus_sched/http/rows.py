"""The rows of the status page's tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.http.markup import Child, Markup, element, fragment
from nessus_sched.scheduler.views import ScannerView, TaskView

NOTHING: Final = "\N{EN DASH}"
"""In a cell of which nothing is known."""
_BOXES: Final = 16
"""Slots that are drawn one by one; more are only counted."""
_SEVERITIES: Final = ("critical", "high", "medium", "low", "info", "unknown")


def scanner_row(view: ScannerView, now: float) -> list[Child]:
    statistics = view.statistics
    plugins = view.info.plugin_set_at if view.info else None
    return [
        fragment(element("b", view.settings.name), element("small", f"pool {view.settings.pool}")),
        _scanner_state(view),
        _slots(view),
        statistics.queue.length,
        _oldest(statistics.queue, now),
        NOTHING if plugins is None else f"{span(now - plugins)} old",
        " ".join(filter(None, (view.info.edition, view.info.version))) if view.info else NOTHING,
    ]


def _scanner_state(view: ScannerView) -> Markup:
    statistics = view.statistics
    if not statistics.enabled:
        return pill("disabled", "dim")
    if view.trouble is not None:
        return fragment(pill("unusable", "bad"), element("small", view.trouble))
    if statistics.draining:
        return pill("draining", "warn")
    if statistics.suspension is not None and statistics.obstacle is not None:
        return fragment(pill("suspended", "bad"), element("small", statistics.obstacle.text))
    if statistics.obstacle is not None:
        return fragment(pill("held", "warn"), element("small", statistics.obstacle.text))
    return pill("ready", "good")


def _slots(view: ScannerView) -> Markup:
    slots = view.statistics.slots
    used, total = len(slots.active), max(slots.capacity, len(slots.active))
    boxes = None
    if total <= _BOXES:
        boxes = element("span", "■" * used, element("i", "■" * (total - used)), class_="slots")
    count = element("small", f"{used} of {slots.capacity}")
    return element("span", boxes, count, class_="whole")


def running_row(view: TaskView, now: float) -> list[Child]:
    task = view.task
    since = task.launched_at or task.entered.get(task.state, task.created_at)
    return [
        *_task(task),
        task.scanner_instance,
        pill(_words(task.state), "warn" if task.state is TaskState.PAUSED else "busy"),
        _progress(view),
        span(now - since),
    ]


def _progress(view: TaskView) -> Markup:
    if view.task.state is TaskState.EXPORTING or view.progress is None:
        return element("span", NOTHING, class_="dim")
    return fragment(
        element("progress", value=view.progress, max=100),
        element("small", f"{view.progress} %"),
    )


def queued_row(view: TaskView, now: float) -> list[Child]:
    standing, reason = view.standing, view.standing.wait_reason
    return [
        *_task(view.task),
        standing.queue,
        standing.position,
        reason.text if reason else None,
        span(now - view.task.created_at),
    ]


_OUTCOMES: Final = {
    TaskState.COMPLETED: "good",
    TaskState.CANCELED: "dim",
    TaskState.TIMED_OUT: "warn",
    TaskState.DEAD: "bad",
}


def ended_row(task: Task, now: float) -> list[Child]:
    summary, error = task.summary or {}, task.last_error
    failed = error is not None and task.state is not TaskState.COMPLETED
    verdict = summary.get("verdict") or {}
    return [
        *_task(task),
        task.scanner_instance or NOTHING,
        fragment(
            pill(_words(task.state), _OUTCOMES[task.state]),
            element("small", error.message) if failed and error else None,
            element("small", f"partial results: {task.partial}") if task.partial else None,
        ),
        _severities(summary.get("severity_counts") or {}),
        str(verdict.get("credentialed", NOTHING)) if task.request.credential else NOTHING,
        f"{span(now - task.entered.get(task.state, task.created_at))} ago",
    ]


def _severities(counts: dict[str, int]) -> Markup:
    return element(
        "span",
        *(
            element("span", counts[name], class_=f"severity {name}", title=name)
            for name in _SEVERITIES
            if counts.get(name)
        ),
        class_="severities",
    )


def _task(task: Task) -> list[Child]:
    """The columns by which a task is known: name and id, kind, targets."""
    targets = task.request.targets
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    return [
        fragment(
            element("b", task.request.name or task.task_id),
            element("small", task.task_id) if task.request.name else None,
        ),
        task.request.kind,
        f"{targets[0]}{more}",
    ]


def pill(word: str, tone: str) -> Markup:
    return element("span", word, class_=f"pill {tone}")


def _words(state: TaskState) -> str:
    return state.value.replace("_", " ")


def _oldest(queue: QueueStatistics, now: float) -> str:
    return NOTHING if queue.oldest is None else span(now - queue.oldest)


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
