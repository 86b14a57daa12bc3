"""`nessus-sched plan`: what will run in the coming hours, and what will not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.formatting import duration_within
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import (
    console,
    is_terminal,
    print_json,
    print_line,
    print_note,
    print_table,
)
from nessus_sched.cli.schedules.timeline import timeline_lines

_HOUR: Final = 3600.0
_LONGEST: Final = 31 * 24 * _HOUR


@click.command("plan")
@click.option(
    "--for", "within", type=duration_within(0.0, _LONGEST), default="24h", show_default=True,
    metavar="DURATION", help="How far ahead: 12h, 7d.",
)  # fmt: skip
@daemon_option
@json_option
def plan_command(within: float, config: Path | None, as_json: bool) -> None:
    """Forecast the coming hours: when waiting tasks and firings of schedules should start and end,
    by measured durations, windows and blackouts, and what will not fit.

    Intervals hold in about four out of five cases. Tasks submitted later, failures and changes of
    priority are not foreseen. On a terminal, the coming hours of each scanner are drawn.
    """
    drawn = is_terminal() and not as_json
    with daemon(config) as connection:
        hours = max(1, math.ceil(within / _HOUR))
        found = connection.call("get_plan", hours=hours, timeline=drawn)
    if as_json:
        print_json(found)
        return
    zone = f"{_local(found['begin']):%Z}"
    print_line(f"{_time(found['begin'])} to {_time(found['until'])} ({zone})")
    for line in timeline_lines(found, console().width):
        print_line(line)
    print_table(
        ("name", "due", "starts", "ends", "fits", "scanners", "remark"),
        [
            (
                each["name"],
                _time(each["due"]),
                _interval(each, "start"),
                _interval(each, "end"),
                each["fits"],
                each["scanners"],
                each["remark"],
            )
            for each in found["scans"]
        ],
        nothing="no scan waits, and no schedule fires in this time",
    )
    late = sum(each["fits"] is False for each in found["scans"])
    if late:
        print_note(f"{late} of {len(found['scans'])} will probably not end in time.")
    if found["accuracy"]:
        print_note(found["accuracy"])
    if found["left_out"]:
        print_note(f"{found['left_out']} more are not in the plan.")


def _interval(each: Mapping[str, Any], what: str) -> str | None:
    if each[what] is None:
        return None
    low, high = (_clock(each[f"{what}_{end}"]) for end in ("low", "high"))
    middle = _time(each[what])
    return middle if low == high else f"{middle} ({low}-{high})"


def _clock(at: str | None) -> str:
    return "?" if at is None else f"{_local(at):%H:%M}"


def _time(at: str | None) -> str | None:
    return None if at is None else f"{_local(at):%a %d %H:%M}"


def _local(at: str) -> datetime:
    return datetime.fromisoformat(at).astimezone()
