"""What a client should do next, in a sentence: by state of the task and by kind of error."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.views import TaskView

_OPERATOR: Final = "An operator can then retry it with `nessus-sched dlq retry`."
_AGAIN: Final = "It is tried again by itself; list_scanners shows how the scanner is."

BY_ERROR: Final = {
    "scanner_unreachable": _AGAIN,
    "scanner_not_ready": _AGAIN,
    "scanner_full": _AGAIN,
    "scanner_trouble": _AGAIN,
    "outcome_unknown": "The scanner is looked at before anything is done again; just wait.",
    "bad_export": "The report came back damaged and is fetched again by itself.",
    "certificate_mismatch": "Tell the operator, who must find out why before trusting it. "
    f"{_OPERATOR}",
    "login_refused": f"Tell the operator, who must correct it in the configuration. {_OPERATOR}",
    "license_refuses_api": "Name another scanner, or tell the operator.",
    "license_limit": "Scan fewer hosts at once (find the live ones with submit_quick_scan), or "
    "name another scanner.",
    "not_found": "The scanner does not have what was named: see list_scan_templates, then submit "
    "a corrected request.",
    "scanner_refused": "The scanner says no to this very request: correct it by the message and "
    "submit it anew, or name another scanner.",
    "not_ours": "The scan on the scanner is somebody else's and is left alone; tell the operator.",
    "targets_refused": "The targets have left the configured scope since: tell the user; do not "
    "look for ways around it.",
    "unknown_credential": "The credential has left the configuration: see list_credentials and "
    "submit it anew with another.",
    "unknown_audit": "The audit has left the configuration: see list_credentials and submit it "
    "anew with another.",
    "settings_refused": "The operator no longer allows these settings: submit it anew without.",
    "scan_aborted": _AGAIN,
    "scan_vanished": "Somebody deleted the scan on the scanner: submit it anew if it is still "
    "wanted.",
    "stopped_on_scanner": "Somebody stopped the scan on the scanner: ask before submitting it "
    "anew.",
    "max_runtime": "Submit it with fewer targets or a larger max_runtime_minutes.",
    "scanner_removed": "Its scanner has left the configuration: submit it anew without "
    "scanner_instance.",
}
"""By the kind of a task's last error."""

BY_STATE: Final = {
    TaskState.COMPLETED: "get_scan_summary for the essence, get_scan_results for findings.",
    TaskState.DEAD: f"It has failed for good: tell the user the error. {_OPERATOR}",
    TaskState.CANCELED: "It has ended without results; submit it again if it is still wanted.",
    TaskState.TIMED_OUT: "It used up its maximum runtime and has no results: submit it with fewer "
    "targets or a larger max_runtime_minutes.",
    TaskState.PAUSED: "resume_scan lets it go on; it keeps its slot meanwhile.",
    TaskState.QUEUED: "It starts by itself; come back with get_scan_status or wait_for_scan.",
    TaskState.RETRY_WAIT: "It is tried again by itself at retry_at; cancel_scan ends it.",
    TaskState.EXPORTING: "Its report is being fetched; wait_for_scan waits up to 25 s.",
}
_RUNNING: Final = "wait_for_scan waits up to 25 s; large scans take hours, so tell the user."


def advice(view: TaskView) -> str:
    """What to do about the task now."""
    return BY_STATE.get(view.task.state, _RUNNING)


def error_advice(kind: str, *, transient: bool) -> str:
    """What to do about an error of that kind."""
    if kind in BY_ERROR:
        return BY_ERROR[kind]
    return _AGAIN if transient else f"Tell the operator. {_OPERATOR}"
