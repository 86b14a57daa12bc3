"""The catalog of log events, with their meaning and fields.

`task_id`, `trace_id`, `scanner_instance` and `connection` are bound as context and may appear on
any line; the fields listed here are the event's own.
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


STARTED: Final = Event("started", "The daemon is ready.", "version", "state_directory", "seconds")
STOPPING: Final = Event("stopping", "The daemon is shutting down.", "reason")
STOPPED: Final = Event("stopped", "The daemon has shut down.")
CRASHED: Final = Event("crashed", "The daemon exits because of a bug.")
WAITING: Final = Event(
    "waiting",
    "Another daemon leads; this one is on standby and takes over when that one is gone.",
    "leader", "since",
)  # fmt: skip
NOT_LEADING: Final = Event("not_leading", "Why a standby cannot take over at the moment.", "reason")
LEADING: Final = Event("leading", "A standby takes over.", "before")
TAKEN_OVER: Final = Event(
    "taken_over",
    "Another daemon leads now; this one exits, and is on standby once it is restarted.",
    "reason",
)
DIED_BEFORE: Final = Event(
    "died_before",
    "The previous daemon did not shut down cleanly: it was killed, or the machine went down.",
    "pid",
)
CONFIG_LOADED: Final = Event("config_loaded", "A configuration was loaded.", "file", "changes")
CONFIG_REJECTED: Final = Event(
    "config_rejected",
    "A reload was refused; the old configuration stays in effect.",
    "file",
    "problems",
)
CONFIG_WARNING: Final = Event(
    "config_warning", "A setting that is allowed but not recommended.", "warning"
)

SCANNER_UP: Final = Event("scanner_up", "A scanner answers again.", "after")
SCANNER_DOWN: Final = Event("scanner_down", "A scanner cannot be used.", "reason", "kind")
SCANNER_LOADING: Final = Event(
    "scanner_loading", "A scanner answers but is not ready yet.", "reason"
)
SCANNER_READY: Final = Event(
    "scanner_ready",
    "A scanner can be used; the fields are what it reports about itself.",
    "after", "edition", "version", "scan_api", "max_scans", "plugin_set",
)  # fmt: skip
SCANNER_SUSPENDED: Final = Event(
    "scanner_suspended", "A scanner answers but refuses to scan.", "kind", "reason"
)
SCANNER_RESUMED: Final = Event(
    "scanner_resumed", "A suspended scanner accepted a scan again.", "kind"
)
SCANNER_CERTIFIED: Final = Event(
    "scanner_certified",
    "An operator certified a scanner; `differs` and `failed` count checks.",
    "differs", "failed", "edition", "version",
)  # fmt: skip
CERTIFICATION_LEFT: Final = Event(
    "certification_left",
    "Certification scans are still on a scanner; deleting them is retried.",
    "reason",
)
BREAKER_OPEN: Final = Event(
    "breaker_open",
    "A scanner failed repeatedly and is not contacted for a while.",
    "before",
    "reason",
    "openings",
)
BREAKER_HALF_OPEN: Final = Event(
    "breaker_half_open", "The scanner is being probed (debug).", "before"
)
BREAKER_CLOSED: Final = Event("breaker_closed", "The scanner is used normally again.", "before")
WINDOW_OVERRUN: Final = Event(
    "window_overrun",
    "A scan ran past the end of its window or into a blackout; `seconds` says for how long.",
    "task_id", "seconds", "reason",
)  # fmt: skip
LOGINS_FAIL: Final = Event(
    "logins_fail",
    "Logins of a running scan fail on the first hosts although the credential worked before.",
    "task_id", "reason",
)  # fmt: skip
SCHEDULE_CHANGED: Final = Event(
    "schedule_changed",
    "A schedule was created, changed or deleted; `change` says which.",
    "schedule", "change", "actor",
)  # fmt: skip
SCHEDULE_FIRED: Final = Event(
    "schedule_fired",
    "A schedule submitted a task; `reason` says why that was late.",
    "schedule", "nominal", "reason",
)  # fmt: skip
SCHEDULE_TRIED_AGAIN: Final = Event(
    "schedule_tried_again",
    "A schedule submitted a task for hosts that were absent when it fired; `number` says which try "
    "of how many, `reason` why it was refused.",
    "schedule", "nominal", "number", "reason",
)  # fmt: skip
SCHEDULE_SKIPPED: Final = Event(
    "schedule_skipped",
    "A firing of a schedule was skipped; `in_row` counts those skipped in a row because the "
    "previous task had not ended.",
    "schedule", "nominal", "reason", "in_row",
)  # fmt: skip
SCHEDULE_FAILED: Final = Event(
    "schedule_failed",
    "A schedule's request was refused when it was due; nothing is scanned.",
    "schedule", "nominal", "kind", "reason",
)  # fmt: skip
DEADLINE_DELAYED: Final = Event(
    "deadline_delayed",
    "A task cannot be canceled at its deadline at the moment; this is retried.",
    "task_id", "reason",
)  # fmt: skip
SCHEDULE_DELAYED: Final = Event(
    "schedule_delayed",
    "A firing cannot take place at the moment; it is retried.",
    "schedule", "nominal", "reason",
)  # fmt: skip
EXCEPTION_CHANGED: Final = Event(
    "exception_changed",
    "An exception for findings was proposed, approved, rejected, revoked or extended, has expired "
    "or lapsed; `change` says which.",
    "exception", "change", "actor", "reason",
)  # fmt: skip
EXCEPTION_EXPIRING: Final = Event(
    "exception_expiring",
    "An exception for findings ends in `seconds`: extend it, or fix the findings.",
    "exception", "owner", "seconds",
)  # fmt: skip
DRIVER_FAILED: Final = Event(
    "driver_failed",
    "A bug stopped the driver of one scanner: please report it. The driver restarts "
    "automatically, its tasks are resumed, and other scanners are not affected.",
    "failures", "restart_in",
)  # fmt: skip
SCANNER_REQUEST: Final = Event(
    "scanner_request",
    "One request to a scanner (debug).",
    "method", "route", "outcome", "seconds",
)  # fmt: skip
SETTINGS_NOTE: Final = Event(
    "settings_note",
    "A scan was created with settings other than intended; `note` says why.",
    "note",
)
SCAN_LEFT_BEHIND: Final = Event(
    "scan_left_behind", "A scan could not be deleted from its scanner.", "scan_id", "reason"
)
SCAN_REMOVED: Final = Event(
    "scan_removed", "One of our finished scans was deleted from its scanner.", "scan_id"
)
SCAN_NOT_FOLLOWED: Final = Event(
    "scan_not_followed", "The scan's status cannot be read at the moment.", "reason"
)
CLEANUP_DELAYED: Final = Event(
    "cleanup_delayed", "An abandoned scan cannot be cleaned up yet.", "task_id", "reason"
)
PROGRESS_UNKNOWN: Final = Event(
    "progress_unknown", "The scan's progress could not be read (debug).", "reason"
)
SCAN_PROGRESS: Final = Event(
    "scan_progress", "The scan made progress (each new quarter; otherwise debug).", "percent"
)
EXPORTED: Final = Event("exported", "A report was saved to disk.", "bytes")
PARSED: Final = Event("parsed", "A report was parsed.", "findings", "hosts", "complete", "seconds")
REPORT_GONE: Final = Event(
    "report_gone",
    "A report that was kept is no longer among the exports; its results are left out.",
    "file",
)
SETTINGS_DIFFER: Final = Event(
    "settings_differ",
    "According to its report, a scan ran with settings other than those sent.",
    "settings", "template",
)  # fmt: skip
AUTH_VERDICT: Final = Event(
    "auth_verdict",
    "Whether the scan's logins worked, and the number of hosts by login result.",
    "credentialed", "credential", "hosts",
)  # fmt: skip

TASK_FIELDS: Final = (
    "scan_type", "state", "attempt", "scanner_instance", "scan_id", "actor", "cause", "error",
    "queue", "delay", "bytes", "findings", "hosts",
)  # fmt: skip
TASK_EVENTS: Final[Mapping[str, str]] = {
    "submitted": "A submission was accepted and its task put into `queue`.",
    "imported": "A report was imported as a completed task.",
    "taken": "The task was assigned a slot on a scanner.",
    "requeued": "The scanner had no room after all; the task is queued again.",
    "scan_created": "Its scan was created on the scanner.",
    "launch_resumed": "Launching continues after a restart while the scan was being created.",
    "scan_found": "Its scan was found on the scanner by its marker.",
    "scan_vanished": "Its scan no longer exists on the scanner.",
    "scan_withdrawn": "Its scan was deleted and will be recreated because its launch was in doubt.",
    "scan_not_followed": "The scanner answers, but the scan's status cannot be read.",
    "logins_fail": "Logins fail on the first hosts, although a credential worked before.",
    "scan_pending": "Its scan was launched and is waiting on the scanner.",
    "scan_disowned": "Someone renamed or moved its scan on the scanner.",
    "launched": "Its scan was launched.",
    "launch_delayed": "Its scan cannot be launched now; the launch is retried.",
    "adopted": "Its running scan was found after a restart and is tracked again.",
    "pause_requested": "A pause was requested.",
    "run_requested": "A resume was requested.",
    "cancel_requested": "A cancel was requested.",
    "paused": "Its scan is paused.",
    "paused_on_scanner": "Someone paused its scan on the scanner.",
    "resumed": "Its scan resumed.",
    "resumed_on_scanner": "Someone resumed its scan on the scanner.",
    "stopped_on_scanner": "Someone stopped its scan on the scanner.",
    "scan_finished": "Its scan has ended; its report is being fetched.",
    "scan_ended_early": "Its scan ended early; its partial report is being fetched.",
    "partial_results_kept": "The findings of an abandoned scan were stored.",
    "partial_results_lost": "The findings of an abandoned scan cannot be fetched.",
    "owed_scan_gone": "An abandoned scan no longer exists on the scanner.",
    "owed_scan_left_alone": "Someone renamed or moved an abandoned scan.",
    "owed_scan_removed": "An abandoned scan was deleted from its scanner.",
    "export_resumed": "Fetching its report was interrupted by a restart and starts again.",
    "export_delayed": "Its report cannot be fetched now; fetching is retried.",
    "completed": "The task is complete and its findings are stored.",
    "canceled": "The task was canceled.",
    "timed_out": "The task exceeded its maximum runtime.",
    "partial": "The task has ended with results for only some of its targets.",
    "parts_cut": "New parts of the task were created.",
    "closed": "A window ends or a blackout starts: its scan is paused.",
    "opened": "Scanning is allowed again: its scan is resumed unless someone paused it.",
    "stopped_by_calendar": "Its scan is stopped until scanning is allowed again.",
    "straggler_stopped": "This part is stopped so that idle slots can scan the rest of it.",
    "straggler_kept": "The scan of this part could not be stopped and continues.",
    "rest_returned": "The remaining targets of stopped parts can be cut again.",
    "cut": "This part of a task was created.",
    "parts_waiting": "All parts of the task wait.",
    "parts_running": "A part of the task is running.",
    "parts_ended": "All parts of the task have ended; their results are being merged.",
    "retry_scheduled": "An attempt failed; another one will follow.",
    "retry_due": "The task is queued for its next attempt.",
    "released": "An operator declared its lost scan dead; its targets are free.",
    "retried_by_operator": "An operator retried a dead letter.",
    "dead": "The task failed permanently and needs a person.",
}
"""Journal events of a task; in the log each is called `task_EVENT` and has the
`TASK_FIELDS` that are known."""

HOUSEKEEPING: Final = Event(
    "housekeeping", "Expired data was deleted; `deleted` has the counts.", "deleted"
)
HOUSEKEEPING_INTERRUPTED: Final = Event(
    "housekeeping_interrupted", "Housekeeping stopped early; the next run does the rest.", "reason"
)
LEDGER_APPLIED: Final = Event(
    "ledger_applied",
    "A scan was entered in the ledger; the counts leave out informational findings.",
    "task_id", "hosts", "late", "undated", "new", "resurfaced", "fixed", "unverified", "seconds",
)  # fmt: skip
LEDGER_BEHIND: Final = Event(
    "ledger_behind",
    "Scans cannot be entered in the ledger now; this is retried.",
    "reason",
    "waiting",
)
LEDGER_NOT_COPIED: Final = Event(
    "ledger_not_copied",
    "The ledger cannot be copied to the database now; this is retried.",
    "reason",
)
FINDINGS_NOT_READ: Final = Event(
    "findings_not_read",
    "Missing findings cannot be read from reports now; this is retried.",
    "reason",
)
REPORT_UNREADABLE: Final = Event(
    "report_unreadable", "A stored report is damaged; its findings are not read.", "reason"
)
STORE_UNAVAILABLE: Final = Event("store_unavailable", "The store is not writable.", "reason")
OPERATOR_ACTION: Final = Event(
    "operator_action", "An operator changed something.", "action", "actor", "running"
)
NOTIFIED: Final = Event("notified", "A message was delivered.", "route", "message", "tries")
REPORT_NOT_WRITTEN: Final = Event(
    "report_not_written", "The report of a digest could not be written.", "route", "error"
)
NOTIFICATION_FAILED: Final = Event(
    "notification_failed",
    "A message could not be delivered and is retried.",
    "route",
    "message",
    "tries",
    "error",
)
NOTIFICATION_LOST: Final = Event(
    "notification_lost",
    "A message could not be delivered and is a dead letter.",
    "route",
    "message",
    "error",
)

CLIENT_CONNECTED: Final = Event("client_connected", "An MCP client connected.", "uid", "gid")
CLIENT_GONE: Final = Event("client_gone", "An MCP client disconnected.", "seconds", "error")
CLIENT_REFUSED: Final = Event(
    "client_refused", "A client was refused or disconnected.", "uid", "reason"
)
ACCEPT_FAILING: Final = Event(
    "accept_failing",
    "The system refuses new connections, usually for lack of file descriptors.",
    "listener",
    "error",
)
ACCEPT_RECOVERED: Final = Event(
    "accept_recovered",
    "New connections are accepted again, after `failures` failed attempts.",
    "listener",
    "failures",
    "seconds",
)
TOOL_CALLED: Final = Event(
    "tool_called", "A tool was called (debug if it only reads).", "tool", "status", "seconds"
)
TOOL_CRASHED: Final = Event(
    "tool_crashed",
    "A bug made a tool fail; the client was given the id `incident`.",
    "tool",
    "incident",
)
LIBRARY: Final = Event("library", "A log message from a library.", "logger", "message")

CATALOG: Final[Mapping[str, Event]] = {
    **{event: event for event in list(globals().values()) if isinstance(event, Event)},
    **{
        f"task_{name}": Event(f"task_{name}", meaning, *TASK_FIELDS)
        for name, meaning in TASK_EVENTS.items()
    },
}
"""All events by name."""
