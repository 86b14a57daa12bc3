"""What a client should do next, in a sentence, by state of the task."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.scheduler.views import TaskView

BY_STATE: Final = {
    TaskState.COMPLETED: "Use get_scan_summary for a summary, get_scan_results for findings.",
    TaskState.DEAD: "It failed for good: tell the user the error. An operator can then retry "
    "it with `nessus-sched dlq retry`.",
    TaskState.CANCELED: "It ended without results; submit it again if still needed.",
    TaskState.TIMED_OUT: "It used up its maximum runtime and has no results: submit it with fewer "
    "targets or a larger max_runtime_minutes.",
    TaskState.PAUSED: "Use resume_scan to continue it; a started scan keeps its slot until then.",
    TaskState.QUEUED: "It starts automatically; check with get_scan_status or wait_for_scan.",
    TaskState.RETRY_WAIT: "It is retried automatically at retry_at; cancel_scan cancels it.",
    TaskState.EXPORTING: "Its report is being fetched; wait_for_scan waits up to 25 s.",
}
_PARTIAL: Final = (
    "Its scan ended early. get_scan_summary and get_scan_results show what it found by then; "
    "absent is not clean. Submit it again for the rest."
)
_RUNNING: Final = "wait_for_scan waits up to 25 s; large scans take hours, so tell the user."


def advice(view: TaskView) -> str:
    """What to do about the task now."""
    if view.task.partial is not None and view.task.state in SETTLED:
        return _PARTIAL
    return BY_STATE.get(view.task.state, _RUNNING)
