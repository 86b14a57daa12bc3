"""`nessus-sched schedules`: create, show and change schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import Refused, daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import ago
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.cli.scan_options import scan_arguments, scan_options, targets_given
from nessus_sched.cli.schedules.calendar_options import (
    calendar_arguments,
    calendar_options,
    create_schedule,
)
from nessus_sched.cli.schedules.show import (
    every_schedule,
    local,
    show_schedule,
    show_schedules,
)
from nessus_sched.core.clock import system_now


def _not_empty(
    _ctx: click.Context, _parameter: click.Parameter, given: str | Sequence[str]
) -> str | Sequence[str]:
    """Refuses empty names, which the daemon would take for none: for all schedules."""
    if "" in ((given,) if isinstance(given, str) else given):
        raise click.BadParameter("a name must not be empty")
    return given


_argument = partial(click.argument, callback=_not_empty, shell_complete=candidates.schedule)


@click.group("schedules")
def schedules_group() -> None:
    """Submit scans on a schedule: repeatedly, or once at a set time."""


@schedules_group.command("add")
@click.argument("schedule", metavar="NAME")
@scan_options
@calendar_options
@click.option("--replace", is_flag=True, help="Redefine a schedule of that name.")
@click.option("--dry-run", is_flag=True, help="Check it and show its firings; store nothing.")
@daemon_option
@json_option
def add_command(
    schedule: str,
    targets: Sequence[str],
    targets_file: Path | None,
    kind: str,
    replace: bool,
    dry_run: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Create a schedule. TARGETS and the options for the scan are those of 'submit'.

    \b
    nessus-sched schedules add weekly-web 192.0.2.0/24 --cron '0 2 * * mon' --zone Europe/Berlin
    """
    calendar = calendar_arguments(options)
    if not calendar:
        raise click.UsageError("give one of --cron, --every and --at")
    scan = scan_arguments(kind, options)
    scan["targets"] = targets_given(targets, targets_file)
    create_schedule(
        config, schedule, kind, scan, calendar, replace=replace, dry_run=dry_run, as_json=as_json
    )


@schedules_group.command("list", short_help="List schedules with their next and latest firings.")
@daemon_option
@json_option
def list_command(config: Path | None, as_json: bool) -> None:
    """List schedules, when they fire next, and what became of the latest firing."""
    with daemon(config) as connection:
        found = every_schedule(connection)
    if as_json:
        print_json(found)
    else:
        show_schedules(found["schedules"])


@schedules_group.command("show")
@_argument("name")
@daemon_option
@json_option
def show_command(name: str, config: Path | None, as_json: bool) -> None:
    """Show a schedule with its next and its latest firings."""
    with daemon(config) as connection:
        (found,) = connection.call("list_schedules", name=name)["schedules"] or [None]
    if found is None:
        raise Refused(f"schedule {name} is another user's", "not_permitted")
    if as_json:
        print_json(found)
    else:
        show_schedule(found)


@schedules_group.command("next")
@_argument("names", nargs=-1, metavar="[NAME]...")
@daemon_option
@json_option
def next_command(names: Sequence[str], config: Path | None, as_json: bool) -> None:
    """List the next five firings of each schedule, in order of time."""
    with daemon(config) as connection:
        found = [
            each
            for name in names
            for each in connection.call("list_schedules", name=name)["schedules"]
        ]
        if not names:
            found = every_schedule(connection)["schedules"]
    firings = sorted(
        ({"at": at, "name": each["name"]} for each in found for at in each["next"]),
        key=lambda firing: datetime.fromisoformat(firing["at"]),
    )
    if as_json:
        print_json({"firings": firings})
        return
    now = system_now()
    print_table(
        ("at", "in", "schedule"),
        [
            (local(each["at"]), ago(each["at"], now).removeprefix("in "), each["name"])
            for each in firings
        ],
    )


def _change(action: str, said: str) -> Callable[..., None]:
    def command(names: Sequence[str], config: Path | None, as_json: bool) -> None:
        with daemon(config) as connection:
            answers = [
                connection.call("change_schedule", name=name, action=action) for name in names
            ]
        if as_json:
            print_json({"schedules": answers})
            return
        for answer in answers:
            task = (answer["last"] or {}).get("task_id") if action == "run" else None
            print_line(f"{answer['name']}: {said.format(task=task)}")

    return command


for _action, _said, _help in (
    ("pause", "paused; it does not fire until it is resumed", "Stop schedules from firing."),
    ("resume", "resumed", "Resume paused schedules."),
    ("run", "submitted {task}", "Submit a task now; the schedule stays as it is."),
    ("skip", "its next firing is skipped", "Skip the next firing."),
    ("remove", "removed; a task that it has submitted continues", "Delete schedules."),
):
    _command: Any = _change(_action, _said)
    _command.__doc__ = _help
    for _decorator in (
        json_option,
        daemon_option,
        _argument("names", nargs=-1, required=True, metavar="NAME..."),
    ):
        _command = _decorator(_command)
    schedules_group.command(_action)(_command)


@schedules_group.command("apply", short_help="Create or redefine schedules from a YAML file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--prune", is_flag=True, help="Delete schedules that are not in the file.")
@click.option("--dry-run", is_flag=True, help="Check everything; change nothing.")
@daemon_option
@json_option
def apply_command(
    file: Path, prune: bool, dry_run: bool, config: Path | None, as_json: bool
) -> None:
    """Create or redefine the schedules in a YAML FILE, in the format of 'schedules export'. If it
    has a mistake, nothing changes. Applying a file twice does no harm."""
    from nessus_sched.cli.schedules.file import apply_file

    with daemon(config) as connection:
        done = apply_file(connection, file, prune=prune, dry_run=dry_run)
    if as_json:
        print_json({"schedules": done})
        return
    for each in done:
        print_line(f"{each['name']}: {each['change']}")
    if dry_run:
        print_note("Dry run: nothing was changed.")


@schedules_group.command("export")
@_argument("names", nargs=-1, metavar="[NAME]...")
@daemon_option
def export_command(names: Sequence[str], config: Path | None) -> None:
    """Print schedules as YAML, for 'schedules apply'."""
    from nessus_sched.cli.definitions.file import export_text

    with daemon(config) as connection:
        if not names:
            found = every_schedule(connection)["schedules"]
            names = [each["name"] for each in found]
        definitions = [
            each["definition"]
            for name in names
            for each in connection.call("list_schedules", name=name)["schedules"]
        ]
    click.echo(export_text("schedules", definitions), nl=False)
