"""Options that say when a schedule fires, for `submit` and `schedules add`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.formatting import parse_duration
from nessus_sched.cli.options import one_of
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.cli.schedules.show import show_schedule
from nessus_sched.core.calendar.schedule import Missed, Overlap

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--cron",
        metavar="EXPR",
        help="Repeatedly, by cron expression: '0 2 * * mon' is Mondays at 02:00.",
    ),
    click.option(
        "--every",
        type=parse_duration,
        metavar="DURATION",
        help="Repeatedly, at an interval: 12h, 7d.",
    ),
    click.option("--at", metavar="TIME", help="Once, at a set time: '2026-03-02 02:00'."),
    click.option(
        "--zone", metavar="ZONE", help="Time zone of these, such as Europe/Berlin. Default: the "
        "configured one.",
    ),
    click.option("--until", metavar="TIME", help="End after this time."),
    click.option("--max-tasks", type=click.IntRange(1), metavar="N", help="End after N tasks."),
    click.option(
        "--missed", type=one_of(Missed), help="Make up once for missed firings, or skip them."
    ),
    click.option(
        "--catch-up", type=parse_duration, metavar="DURATION",
        help="How late a missed firing may still run.",
    ),
    click.option(
        "--overlap", type=one_of(Overlap),
        help="If the previous task has not ended: skip the firing, wait for it, or cancel it.",
    ),
    click.option(
        "--jitter", type=parse_duration, metavar="DURATION",
        help="Fire up to this much later, always by the same amount.",
    ),
    click.option(
        "--retry-absent", type=click.IntRange(0, 5), metavar="N",
        help="Rescan hosts that did not answer but once did, up to N times.",
    ),
    click.option(
        "--retry-after", type=parse_duration, metavar="DURATION",
        help="How long after each scan to do so. Default: 4h.",
    ),
)  # fmt: skip
_NAMED: Final = {
    "--cron": "cron", "--every": "every", "--at": "at", "--zone": "zone", "--until": "until",
    "--max-tasks": "max_tasks", "--missed": "missed", "--catch-up": "catch_up",
    "--overlap": "overlap", "--jitter": "jitter", "--retry-absent": "retry_absent",
    "--retry-after": "retry_after",
}  # fmt: skip


def calendar_options(command: F) -> F:
    """Adds the options; `calendar_arguments` turns their values into arguments of
    `create_schedule`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def calendar_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Empty if none of the options is given. Raises `click.UsageError`."""
    given = {option: options[name] for option, name in _NAMED.items() if options[name] is not None}
    if not given:
        return {}
    if sum(option in given for option in ("--cron", "--every", "--at")) != 1:
        raise click.UsageError(f"{next(iter(given))}: give one of --cron, --every and --at")
    arguments = {
        "cron": options["cron"],
        "every_minutes": _minutes("--every", options["every"]),
        "at": options["at"],
        "time_zone": options["zone"],
        "until": options["until"],
        "max_tasks": options["max_tasks"],
        "missed": options["missed"],
        "catch_up_minutes": _minutes("--catch-up", options["catch_up"]),
        "overlap": options["overlap"],
        "jitter_minutes": _minutes("--jitter", options["jitter"]),
        "retry_absent": options["retry_absent"],
        "retry_after_minutes": _minutes("--retry-after", options["retry_after"]),
    }
    return {name: value for name, value in arguments.items() if value is not None}


def create_schedule(
    config: Path | None,
    name: str | None,
    kind: str,
    scan: Mapping[str, Any],
    calendar: Mapping[str, Any],
    *,
    replace: bool = False,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Creates a schedule and shows it."""
    if not name:
        raise click.UsageError("a schedule needs a name: --name weekly-web")
    if scan.get("idempotency_key"):
        raise click.UsageError("--key does not apply to a schedule: each firing has its own")
    with daemon(config) as connection:
        answer = connection.call(
            "create_schedule",
            name=name,
            kind=kind,
            scan={name: value for name, value in scan.items() if value != ""},
            replace=replace,
            dry_run=dry_run,
            **calendar,
        )
    if as_json:
        print_json(answer)
        return
    show_schedule(answer["schedule"])
    for note in answer["notes"]:
        print_note(note)
    if not answer["changed"]:
        print_note("It is defined exactly like that already.")
    elif dry_run:
        print_note("Dry run: nothing was stored.")


def _minutes(option: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if seconds % 60:
        raise click.UsageError(f"{option} takes whole minutes")
    return math.ceil(seconds / 60)
