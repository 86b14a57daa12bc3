"""The configuration of exceptions for findings."""

from __future__ import annotations

import attrs

from nessus_sched.config.types import DAY, Seconds
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class ExceptionSettings:
    """Accepted risks, false positives and changed severities. They are proposed and approved by
    command or by tool, not here."""

    max_term: Seconds = field(
        "Longest term of an exception.",
        default=365 * DAY,
        minimum=DAY,
        maximum=3650 * DAY,
    )
    notice: Seconds = field(
        "How long in advance the log announces the end of an exception, but at most half its term.",
        default=14 * DAY,
        minimum=0,
    )
    second_person: bool = field(
        "Whether an exception must be approved and extended by someone other than the user who "
        "proposed it.",
        default=False,
    )
    max_exceptions: int = field(
        "Maximum number of exceptions that are proposed or in force. The same number of "
        "exceptions that have ended is kept, the latest ones.",
        default=1000,
        minimum=1,
        maximum=10_000,
    )
