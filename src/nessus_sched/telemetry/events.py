"""The catalogue of log events: each is named here once, with its meaning and its fields.

`task_id`, `trace_id`, `scanner` and `connection` are bound as context and may stand on
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


STARTED: Final = Event("started", "The daemon is up.", "version", "state_directory", "socket")
STOPPING: Final = Event("stopping", "The daemon ends, and why.", "reason")
STOPPED: Final = Event("stopped", "Everything is closed.", "seconds")
CRASHED: Final = Event("crashed", "The daemon ends by an error of its own.")
CONFIG_LOADED: Final = Event("config_loaded", "A configuration is in force.", "file", "changes")
CONFIG_REJECTED: Final = Event(
    "config_rejected", "A reload was refused; the old configuration stays.", "file", "problems"
)
CONFIG_WARNING: Final = Event("config_warning", "Allowed, but not wise.", "warning")

SCANNER_UP: Final = Event("scanner_up", "A scanner answers.", "url", "version")
SCANNER_READY: Final = Event("scanner_ready", "A scanner takes scans.", "plugin_set")
SCANNER_DOWN: Final = Event("scanner_down", "A scanner does not answer.", "reason")
SCANNER_CHANGED: Final = Event(
    "scanner_changed", "An operator changed a scanner's state.", "change", "actor"
)
BREAKER_CHANGED: Final = Event(
    "breaker_changed", "A scanner's breaker opened, half-opened or closed.", "before", "after"
)
API_REQUEST: Final = Event(
    "api_request", "One request to a scanner (debug).", "method", "path", "status", "seconds"
)

TASK_CREATED: Final = Event("task_created", "A submission was accepted.", "scan_type", "actor")
TASK_REFUSED: Final = Event("task_refused", "A submission was refused.", "code", "actor")
TASK_QUEUED: Final = Event("task_queued", "A task stands in a queue.", "queue", "position")
TASK_ROUTED: Final = Event("task_routed", "A task was taken by a scanner.", "waited")
TASK_LAUNCHED: Final = Event(
    "task_launched", "A scan runs on the scanner.", "attempt", "scan_id", "scan_uuid"
)
TASK_ADOPTED: Final = Event(
    "task_adopted", "A running scan was found again by its marker.", "attempt", "scan_id"
)
TASK_PROGRESS: Final = Event("task_progress", "A scan's progress (debug).", "progress")
TASK_PAUSED: Final = Event("task_paused", "A scan was paused.")
TASK_RESUMED: Final = Event("task_resumed", "A scan goes on.")
TASK_EXPORTED: Final = Event("task_exported", "The export is on disk.", "bytes", "seconds")
TASK_PARSED: Final = Event(
    "task_parsed", "The findings are stored.", "hosts", "findings", "problems"
)
AUTH_VERDICT: Final = Event("auth_verdict", "Whether the credentials worked.", "verdict")
TASK_COMPLETED: Final = Event("task_completed", "A task is done.", "seconds")
TASK_FAILED: Final = Event("task_failed", "An attempt failed.", "kind", "transient", "error")
TASK_RETRIED: Final = Event("task_retried", "A further attempt is due.", "attempt", "after")
TASK_CANCELED: Final = Event("task_canceled", "A task was canceled.", "actor")
TASK_TIMED_OUT: Final = Event("task_timed_out", "A task used up its own maximum runtime.")
TASK_DEAD: Final = Event("task_dead", "A task waits for a person.", "kind", "error")

HOUSEKEEPING: Final = Event("housekeeping", "What was cleaned up.", "deleted", "seconds")
STORE_TROUBLE: Final = Event("store_trouble", "The store cannot write.", "error")
STORE_RECOVERED: Final = Event("store_recovered", "The store can write again.")
OPERATOR_ACTION: Final = Event("operator_action", "An operator did something.", "action", "actor")
NOTIFIED: Final = Event("notified", "A webhook took a notification.", "about", "tries")
NOTIFICATION_LOST: Final = Event("notification_lost", "A webhook did not.", "about", "error")

CLIENT_CONNECTED: Final = Event("client_connected", "An MCP client is there.", "uid", "gid")
CLIENT_GONE: Final = Event("client_gone", "An MCP client is gone.", "seconds", "error")
CLIENT_REFUSED: Final = Event("client_refused", "Too many connections.", "uid")
TOOL_CALLED: Final = Event("tool_called", "One call (debug).", "tool", "status", "seconds")
TOOL_CRASHED: Final = Event(
    "tool_crashed", "A tool failed by an error of ours; the client saw the id.", "tool", "incident"
)
HTTP_FAILED: Final = Event("http_failed", "A page failed by an error of ours.", "path")

CATALOGUE: Final[Mapping[str, Event]] = {
    event: event for event in list(globals().values()) if isinstance(event, Event)
}
"""All events by name."""
