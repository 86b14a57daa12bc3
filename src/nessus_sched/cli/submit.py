"""`nessus-sched submit`: all six kinds of scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import Daemon, daemon
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_fields, print_json, print_line, print_note
from nessus_sched.cli.scan_options import TOOLS, scan_arguments, scan_options, targets_given
from nessus_sched.cli.schedules.calendar_options import (
    calendar_arguments,
    calendar_options,
    create_schedule,
)
from nessus_sched.core.text import duration, pluralize


@click.command("submit")
@scan_options
@calendar_options
@click.option("--dry-run", is_flag=True, help="Validate, route and estimate, but queue nothing.")
@click.option("--wait", "-w", is_flag=True, help="Follow the scan until it finishes.")
@daemon_option
@json_option
def submit_command(
    targets: Sequence[str],
    targets_file: Path | None,
    kind: str,
    dry_run: bool,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Queue a scan of addresses, networks, ranges (192.0.2.1-20) or host names; one word may
    hold several, separated by commas or white space.

    \b
    basic       what an attacker on the network sees
    trusted     logs in with --credential, without raising privileges
    privileged  logs in with --credential and becomes root or administrator
    custom      any --template or --policy
    quick       host discovery only: --discovery hosts, os or ports
    compliance  checks an --audit with --credential

    With --at, --every or --cron, a schedule called --name submits the scan at that time; see
    'nessus-sched schedules'.

    With --wait the exit code is 0 only if the scan completes, and 4 if only part of it does.
    """
    if dry_run and wait:
        raise click.UsageError("--wait and --dry-run cannot be combined")
    calendar = calendar_arguments(options)
    arguments = scan_arguments(kind, options)
    arguments["targets"] = targets_given(targets, targets_file)
    if calendar:
        if wait:
            raise click.UsageError("--wait cannot be combined with --at, --every and --cron")
        create_schedule(
            config,
            arguments.pop("name"),
            kind,
            arguments,
            calendar,
            dry_run=dry_run,
            as_json=as_json,
        )
        return
    with daemon(config) as connection:
        answer = connection.call(TOOLS[kind], dry_run=dry_run, **arguments)
        show_answer(connection, answer, wait=wait, as_json=as_json)


def show_answer(
    connection: Daemon, answer: Mapping[str, Any], *, wait: bool, as_json: bool
) -> None:
    """The answer to a submission; with `wait` follows the task, and exits with 1 if it does not
    complete, or with 4 if only part of it does."""
    if not wait:
        if as_json:
            print_json(answer)
        else:
            _show(answer)
            _warn(answer)
        return
    from nessus_sched.cli.watch import exit_unless_completed, follow

    if not as_json:
        print_line(f"{answer['task_id']} accepted; Ctrl-C stops watching, not the scan.")
        if answer["left_out"]:
            print_line(f"Left out: {', '.join(answer['left_out'])}.")
        _warn(answer)
    ended = follow(connection, [answer["task_id"]], quiet=as_json)
    if as_json:
        print_json(ended[0])
    exit_unless_completed(ended)


def _show(answer: Mapping[str, Any]) -> None:
    if answer["status"] != "valid" and not answer["created"]:
        print_line("A task with this key exists; nothing new was queued.")
    wait = answer["estimated_wait_seconds"]
    print_fields(
        [
            ("task", answer["task_id"] or "none (dry run): it would be accepted"),
            ("state", answer["status"]),
            ("targets", answer["targets"]),
            ("rescan of", answer.get("rescan_of")),
            ("left out", answer["left_out"] or None),
            ("credential", ", ".join(answer["credentials"]) or None),
            ("not reached", answer["not_reached_count"] or None),
            *(("parts", _planned(each)) for each in answer["plan"]),
            ("scanner", answer["scanner_instance"] or "first free"),
            ("queue", f"number {answer['queue_position']} of {answer['queue']}"
             if answer["queue_position"] else None),
            ("starts in", None if wait is None else duration(wait)),
            ("waits for", answer["wait_reason"]),
        ]
    )  # fmt: skip


def _planned(group: Mapping[str, Any]) -> str:
    seconds = group["part_seconds"]
    each = "" if seconds is None else f" of about {duration(seconds)}"
    return (
        f"about {pluralize(group['parts'], 'scan')}{each} for {group['target_count']} targets on "
        f"{', '.join(group['scanners'])}"
    )


def _warn(answer: Mapping[str, Any]) -> None:
    """Notes that the same scan is under way already, which may not be intended, and what an
    earlier scan did not see."""
    for note in answer.get("notes", ()):
        print_note(note)
    if answer["equal_task"] is not None:
        print_note(
            f"Task {answer['equal_task']} asks for the same scan and has not finished: cancel one "
            "of them unless you want both."
        )
