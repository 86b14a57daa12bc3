"""The catalog of log events: each is named here once, with its meaning and its fields.

`task_id`, `trace_id`, `scanner_instance` and `connection` are bound as context and may stand on
any line; the fields named here are the event's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


class Event(str):
    """The name of an event; loggers take it as their message."""

    meaning: str
    fields: tuple[str, ...]

    def __new__(cls, name: str, meaning: str, *fields: str) -> Event:
        event = super().__new__(cls, name)
        event.meaning = meaning
        event.fields = fields
        return event


STARTED: Final = Event("started", "The daemon is up.", "version", "state_directory", "seconds")
STOPPING: Final = Event("stopping", "The daemon ends, and why.", "reason")
STOPPED: Final = Event("stopped", "Everything is closed.")
CRASHED: Final = Event("crashed", "The daemon ends by an error of its own.")
DIED_BEFORE: Final = Event(
    "died_before",
    "The last daemon here ended without a word: killed, or the machine went down.",
    "pid",
)
CONFIG_LOADED: Final = Event("config_loaded", "A configuration is in force.", "file", "changes")
CONFIG_REJECTED: Final = Event(
    "config_rejected", "A reload was refused; the old configuration stays.", "file", "problems"
)
CONFIG_WARNING: Final = Event("config_warning", "Allowed, but not wise.", "warning")

SCANNER_UP: Final = Event("scanner_up", "A scanner answers again.", "after")
SCANNER_DOWN: Final = Event("scanner_down", "A scanner cannot be used.", "reason", "kind")
SCANNER_LOADING: Final = Event("scanner_loading", "It answers, and is not ready yet.", "reason")
SCANNER_READY: Final = Event(
    "scanner_ready",
    "A scanner can be used, and what it says of itself.",
    "after", "edition", "version", "scan_api", "max_scans", "plugin_set",
)  # fmt: skip
SCANNER_SUSPENDED: Final = Event(
    "scanner_suspended", "It answers but refuses to scan.", "kind", "reason"
)
SCANNER_RESUMED: Final = Event("scanner_resumed", "It has accepted a scan again.", "kind")
SCANNER_CERTIFIED: Final = Event(
    "scanner_certified",
    "An operator had a scanner examined: how many checks showed something else than expected.",
    "differs", "failed", "edition", "version",
)  # fmt: skip
CERTIFICATION_LEFT: Final = Event(
    "certification_left",
    "Scans of a certification are still on a scanner, and are removed when it allows that.",
    "reason",
)
BREAKER_OPEN: Final = Event(
    "breaker_open", "A scanner is left alone for a while.", "before", "reason", "openings"
)
BREAKER_HALF_OPEN: Final = Event("breaker_half_open", "It is probed (debug).", "before")
BREAKER_CLOSED: Final = Event("breaker_closed", "A scanner is used as usual again.", "before")
DRIVER_FAILED: Final = Event(
    "driver_failed",
    "What drives a scanner failed by an error of ours: please report it. It starts again by "
    "itself, its tasks are resumed, and other scanners are not affected.",
    "failures", "restart_in",
)  # fmt: skip
SCANNER_REQUEST: Final = Event(
    "scanner_request",
    "One request to a scanner (debug).",
    "method", "route", "outcome", "seconds",
)  # fmt: skip
SETTINGS_NOTE: Final = Event(
    "settings_note",
    "A scan was created with other settings than it should have, and why.",
    "note",
)
SCAN_LEFT_BEHIND: Final = Event(
    "scan_left_behind", "The scanner does not let us delete a scan.", "scan_id", "reason"
)
SCAN_REMOVED: Final = Event(
    "scan_removed", "A finished scan of ours was deleted on its scanner.", "scan_id"
)
SCAN_NOT_FOLLOWED: Final = Event(
    "scan_not_followed", "A scan cannot be followed for the moment.", "reason"
)
CLEANUP_DELAYED: Final = Event(
    "cleanup_delayed", "A scan that was given up cannot be cleaned up yet.", "task_id", "reason"
)
PROGRESS_UNKNOWN: Final = Event("progress_unknown", "No progress was told (debug).", "reason")
SCAN_PROGRESS: Final = Event(
    "scan_progress", "A scan has got further (a new quarter; debug otherwise).", "percent"
)
EXPORTED: Final = Event("exported", "A report is on disk.", "bytes")
PARSED: Final = Event("parsed", "A report was read.", "findings", "hosts", "complete", "seconds")
SETTINGS_DIFFER: Final = Event(
    "settings_differ",
    "By its report, a scan ran with other settings than it was sent.",
    "settings", "template",
)  # fmt: skip
AUTH_VERDICT: Final = Event(
    "auth_verdict",
    "Whether a scan's logins worked: the word for the scan, and hosts by how far they got.",
    "credentialed", "credential", "hosts",
)  # fmt: skip

TASK_FIELDS: Final = (
    "scan_type", "state", "attempt", "scanner_instance", "scan_id", "actor", "cause", "error",
    "queue", "delay", "bytes", "findings", "hosts",
)  # fmt: skip
TASK_EVENTS: Final[Mapping[str, str]] = {
    "submitted": "A submission was accepted, created and put into `queue`.",
    "imported": "A report from elsewhere became a completed task.",
    "taken": "It was routed: a scanner's slot was taken for it.",
    "requeued": "The scanner had no room after all.",
    "scan_created": "Its scan was created on the scanner.",
    "launch_resumed": "The daemon was restarted while its scan was being created.",
    "scan_found": "Its scan was found on the scanner by its marker.",
    "scan_vanished": "Its scan is not on the scanner any more.",
    "scan_withdrawn": "Its scan was deleted and will be recreated: its launch was in doubt.",
    "scan_not_followed": "The scanner answers, and does not tell how its scan is doing.",
    "scan_pending": "Its scan was launched and waits on the scanner.",
    "scan_disowned": "Somebody renamed or moved its scan on the scanner.",
    "launched": "Its scan was launched.",
    "launch_delayed": "It cannot be launched now and is tried again.",
    "adopted": "Its running scan was found again, and is followed.",
    "pause_requested": "Its submitter wants it paused.",
    "run_requested": "Its submitter resumed it.",
    "cancel_requested": "Its submitter wants it canceled.",
    "paused": "Its scan is paused.",
    "paused_on_scanner": "Somebody paused its scan on the scanner.",
    "resumed": "Its scan resumed.",
    "resumed_on_scanner": "Somebody resumed its scan on the scanner.",
    "stopped_on_scanner": "Somebody stopped its scan on the scanner.",
    "scan_finished": "Its scan has ended; the report is fetched.",
    "scan_ended_early": "Its scan ended early; what it found is fetched.",
    "partial_results_kept": "What an abandoned scan found is kept.",
    "partial_results_lost": "What an abandoned scan found cannot be fetched.",
    "owed_scan_gone": "An abandoned scan is not on the scanner any more.",
    "owed_scan_left_alone": "Somebody renamed or moved an abandoned scan.",
    "owed_scan_removed": "An abandoned scan was deleted on its scanner.",
    "export_resumed": "We ended while its report was fetched; it is fetched again.",
    "export_delayed": "Its report cannot be fetched now and is tried again.",
    "completed": "It is done and its findings are stored.",
    "canceled": "It was canceled.",
    "timed_out": "It used up its maximum runtime.",
    "retry_scheduled": "An attempt failed; another one follows.",
    "retry_due": "It stands in a queue again.",
    "retried_by_operator": "An operator gave a dead letter another chance.",
    "dead": "It failed for good and waits for a person.",
}
"""The events of a task's journal; in the log each is called `task_EVENT` and has
`TASK_FIELDS` as far as they are known."""

HOUSEKEEPING: Final = Event("housekeeping", "What was deleted for its age.", "deleted")
HOUSEKEEPING_INTERRUPTED: Final = Event(
    "housekeeping_interrupted", "The rest is done in the next round.", "reason"
)
STORE_UNAVAILABLE: Final = Event("store_unavailable", "The store cannot write.", "reason")
OPERATOR_ACTION: Final = Event(
    "operator_action", "An operator did something.", "action", "actor", "running"
)
NOTIFIED: Final = Event("notified", "A webhook took a notification.", "about", "tries")
NOTIFICATION_LOST: Final = Event("notification_lost", "A webhook did not.", "about", "error")

CLIENT_CONNECTED: Final = Event("client_connected", "An MCP client is there.", "uid", "gid")
CLIENT_GONE: Final = Event("client_gone", "An MCP client is gone.", "seconds", "error")
CLIENT_REFUSED: Final = Event(
    "client_refused", "A client was turned away or cut off.", "uid", "reason"
)
TOOL_CALLED: Final = Event(
    "tool_called", "A tool was called (one that only reads: debug).", "tool", "status", "seconds"
)
TOOL_CRASHED: Final = Event(
    "tool_crashed", "A tool failed by an error of ours; the client saw the id.", "tool", "incident"
)
LIBRARY: Final = Event("library", "What a library had to say.", "logger", "message")

CATALOG: Final[Mapping[str, Event]] = {
    **{event: event for event in list(globals().values()) if isinstance(event, Event)},
    **{
        f"task_{name}": Event(f"task_{name}", meaning, *TASK_FIELDS)
        for name, meaning in TASK_EVENTS.items()
    },
}
"""All events by name."""
