"""The kinds of errors, and what is known about each: see `core.faults` for the table."""

from __future__ import annotations

from enum import StrEnum

import attrs


class ErrorKind(StrEnum):
    """A stable code, as stored with tasks and shown to clients."""

    SCANNER_ERROR = "scanner_error"
    SCANNER_TROUBLE = "scanner_trouble"
    SCANNER_UNREACHABLE = "scanner_unreachable"
    SCANNER_NOT_READY = "scanner_not_ready"
    SCANNER_FULL = "scanner_full"
    SCANNER_REMOVED = "scanner_removed"
    SCANNER_REFUSED = "scanner_refused"
    SCANNER_DISK_FULL = "scanner_disk_full"
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    LOGIN_REFUSED = "login_refused"
    PERMISSION_DENIED = "permission_denied"
    LICENSE_REFUSES_API = "license_refuses_api"
    LICENSE_LIMIT = "license_limit"
    LICENSE_EXPIRED = "license_expired"
    TEMPLATE_NOT_LICENSED = "template_not_licensed"
    NO_TEMPLATES = "no_templates"
    NO_PLUGINS = "no_plugins"
    LAUNCH_REFUSED = "launch_refused"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NOT_FOUND = "not_found"
    NOT_OURS = "not_ours"
    BAD_ORDER = "bad_order"
    NAME_NOT_RESOLVED = "name_not_resolved"
    NAME_SERVERS_SILENT = "name_servers_silent"
    TARGETS_REFUSED = "targets_refused"
    NOT_PERMITTED = "not_permitted"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    UNKNOWN_AUDIT = "unknown_audit"
    UNKNOWN_PROFILE = "unknown_profile"
    NOT_TOGETHER = "not_together"
    SETTINGS_REFUSED = "settings_refused"
    SCAN_PENDING = "scan_pending"
    LOGINS_FAIL = "logins_fail"
    SCAN_NOT_STARTED = "scan_not_started"
    SCAN_ABORTED = "scan_aborted"
    WINDOW_CLOSED = "window_closed"
    SCAN_VANISHED = "scan_vanished"
    VANISHED_AT_LAUNCH = "vanished_at_launch"
    LAUNCH_IN_DOUBT = "launch_in_doubt"
    STOPPED_ON_SCANNER = "stopped_on_scanner"
    NOT_STOPPED = "not_stopped"
    MAX_RUNTIME = "max_runtime"
    DEADLINE = "deadline"
    BAD_EXPORT = "bad_export"
    EXPORT_NOT_ALLOWED = "export_not_allowed"
    REPORT_TOO_LARGE = "report_too_large"
    REPORT_UNREADABLE = "report_unreadable"
    USERS_UNAVAILABLE = "users_unavailable"
    DISK_TROUBLE = "disk_trouble"
    INTERNAL_ERROR = "internal_error"


class Blame(StrEnum):
    """Whose fault it is: who has to change something before it works."""

    SCANNER = "scanner"
    TASK = "task"
    TARGET = "target"
    PERSON = "person"
    """Someone who changed the scan on the scanner."""
    OURS = "ours"
    UNCLEAR = "unclear"
    """The task's, or the scanner's if it happens to several tasks in a row."""


class Response(StrEnum):
    """What follows for the task."""

    REPEAT = "repeat"
    """The same step is repeated; the task stays where it is."""
    REQUEUE = "requeue"
    """It returns to its old place in the queue."""
    SUSPEND = "suspend"
    """It returns to its old place in the queue, and the scanner is suspended."""
    REROUTE = "reroute"
    """It goes to another scanner; when none is left, it becomes a dead letter."""
    POSTPONE = "postpone"
    """Nothing was tried: it gives up its slot and comes back after a delay."""
    RETRY = "retry"
    """The attempt has failed; the next one follows after a delay, up to `max_attempts`."""
    BURY = "bury"
    """It becomes a dead letter."""
    END = "end"
    """It ends as partial, canceled or timed out."""


@attrs.frozen
class Fault:
    """`passes`: it may go away without anybody doing anything; `advice` is written for a
    client of the tools, `remedy` for the operator, where that differs."""

    blame: Blame
    response: Response
    passes: bool
    advice: str
    remedy: str = ""

    @property
    def counts(self) -> bool:
        """It uses up one of the task's attempts."""
        return self.response in {Response.RETRY, Response.BURY}

    @property
    def final(self) -> bool:
        """The task does not continue by itself."""
        return self.response in {Response.BURY, Response.END}
