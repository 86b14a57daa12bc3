"""What a client should do next, in a sentence, by state of the task."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import RequestedState
from nessus_sched.scheduler.views import TaskView

BY_STATE: Final = {
    TaskState.COMPLETED: "Use get_scan_summary for a summary, get_scan_results for findings.",
    TaskState.PARTIAL: "Some of its targets have no results, see `partial`: get_scan_summary shows "
    "what was found. rescan with hosts=not_reached scans the rest, or an operator can have it "
    "scanned with `nessus-sched dlq retry`.",
    TaskState.DEAD: "It failed permanently: tell the user the error. An operator can then retry "
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
    "absent is not clean. rescan with hosts=not_reached scans the rest."
)
_VERIFIED: Final = "verify_fix with this task_id says which findings are fixed."
_RUNNING: Final = "wait_for_scan waits up to 25 s; large scans take hours, so tell the user."
_CANCELING: Final = (
    "It is being canceled, and ends when its scanner has stopped the scan; wait_for_scan waits up "
    "to 25 s for that."
)
_PAUSING: Final = "It is being paused; resume_scan continues it."
_PAUSED_BEFORE: Final = "It does not start until it is resumed with resume_scan."
_BLOCKED: Final = (
    "It does not start until someone changes what wait_reason says: tell the user. cancel_scan "
    "cancels it."
)
_NOT_BY_ITSELF: Final = frozenset(
    {
        WaitCode.PAUSED_ALL,
        WaitCode.SCANNER_DRAINING,
        WaitCode.SCANNER_DISABLED,
        WaitCode.SCANNER_REMOVED,
        WaitCode.SCANNER_SUSPENDED,
        WaitCode.NO_SCANNER,
        WaitCode.UNREACHABLE,
        WaitCode.LICENSE_LIMIT,
        WaitCode.REFUSED,
    }
)
"""Reasons to wait that do not go away without someone's help, as a rule."""
_NONE_USABLE: Final = (
    "It starts automatically when a scanner can be used again; if wait_reason says that someone "
    "has to change something, tell the user."
)


def advice(view: TaskView) -> str:
    """The next step for a client."""
    task = view.task
    if task.state in SETTLED:
        if task.request.verify is not None and task.summary is not None:
            return _VERIFIED
        return _PARTIAL if task.partial is not None else BY_STATE[task.state]
    if task.desired is RequestedState.CANCEL:
        return _CANCELING
    if task.desired is RequestedState.PAUSE and task.state is not TaskState.PAUSED:
        return _PAUSED_BEFORE if task.state is TaskState.QUEUED else _PAUSING
    reason = view.standing.wait_reason
    if task.state is TaskState.QUEUED and reason is not None:
        if reason.code in _NOT_BY_ITSELF:
            return _BLOCKED
        if reason.code is WaitCode.NO_SCANNER_USABLE:
            return _NONE_USABLE
    return BY_STATE.get(task.state, _RUNNING)
