"""Times and counts as people write and read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from nessus_sched.core.clock import system_now
from nessus_sched.core.coverage import counts_text
from nessus_sched.core.text import TIME_UNITS, duration

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_COMMANDS: Final = {
    "list_scanners": "scanners list",
    "list_scan_templates": "scanners templates",
    "list_credentials": "credentials",
    "list_tasks": "tasks",
    "list_exceptions": "exceptions list",
    "list_schedules": "schedules list",
    "get_scan_status": "status",
    "get_coverage": "coverage",
    "get_host": "hosts",
    "get_changes": "changes",
    "get_plan": "plan",
    "get_queue_status": "queue",
    "verify_fix": "verify",
    "submit_trusted_scan": "submit --kind trusted",
}
"""The commands that correspond to the tools named in error messages."""
_OPTIONS: Final = {
    "`split: never`": "--split never",
    "partial_ok": "--partial-ok",
    "out scanner_instance": "out --scanner",
}
"""The options that correspond to arguments named in advice."""
_TOOL: Final = re.compile(rf"\b(?:{'|'.join(_COMMANDS)})\b")


def with_command_names(advice: str) -> str:
    """Advice written for models, with commands and options in place of tools and arguments."""
    for argument, option in _OPTIONS.items():
        advice = advice.replace(argument, option)
    return _TOOL.sub(lambda found: f"'nessus-sched {_COMMANDS[found[0]]}'", advice)


def ago(at: str | None, now: float) -> str:
    """How long ago an ISO 8601 time was; `in ...` for the future."""
    seconds = epoch(at)
    if seconds is None:
        return "-"
    if seconds > now + 1:
        return f"in {duration(seconds - now)}"
    return f"{duration(now - seconds)} ago"


def when(at: str | None, now: float) -> str | None:
    """An ISO 8601 time in the local zone, and how long ago it was."""
    seconds = epoch(at)
    if seconds is None:
        return None
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    return f"{local.isoformat(sep=' ', timespec='seconds')} ({ago(at, now)})"


def epoch(at: str | None) -> float | None:
    return None if not at else datetime.fromisoformat(at).timestamp()


def counts(by_severity: dict[str, int] | None) -> str:
    """`2 critical, 5 high`: the severities that were found."""
    if by_severity is None:
        return "-"
    return ", ".join(f"{count} {name}" for name, count in by_severity.items() if count) or "none"


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `2h` or `7d`; for use as an option's type."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration; for example 90s, 15m, 2h or 7d")
    seconds = float(found[1]) * dict(TIME_UNITS)[found[2] or "s"]
    if not math.isfinite(seconds):
        raise click.BadParameter("that is too long")
    return seconds


def duration_within(least: float, most: float) -> Callable[[str], float]:
    """A parser of durations in seconds, within limits; for use as an option's type."""

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if not least <= seconds <= most:
            raise click.BadParameter(
                f"{text!r} is not between {duration(least)} and {duration(most)}"
            )
        return seconds

    return parse


def parse_time(text: str) -> str:
    """An ISO 8601 time with offset, from one (local if it has none) or from an age such as `2h`;
    for use as an option's type."""
    try:
        if (found := _DURATION.fullmatch(text)) and found[2]:
            return datetime.fromtimestamp(system_now() - parse_duration(text), UTC).isoformat()
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):  # the last two for years that do not exist
        message = f"{text!r} is not a time; for example 2026-01-31, 2026-01-31T08:00 or 2h"
        raise click.BadParameter(message) from None


def coverage_text(coverage: Mapping[str, Any] | None) -> str | None:
    """`8 of 32 answered, 24 silent, 0 not reached`, and which were not."""
    if coverage is None:
        return None
    listed = " ".join(coverage["not_reached_targets"])
    more = coverage["not_reached_left_out"]
    named = f": {listed}{f' and {more} more' if more else ''}" if listed else ""
    return f"{counts_text(coverage)}{named}"


def fingerprint_text(digits: str) -> str:
    """Hex digits as openssl and browsers show them: A5:BC:..."""
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2)).upper()
