"""`nessus-sched cancel`: tasks by name, or all that are unfinished."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import Daemon, Refused, daemon, fetch_all
from nessus_sched.cli.options import daemon_option, json_option, tasks_argument
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.cli.tasks import print_answers, show_tasks, tell_each
from nessus_sched.core.states import HOLDS_SLOT, LIVE
from nessus_sched.core.text import pluralize

Rows = Sequence[Mapping[str, Any]]


@click.command("cancel")
@tasks_argument(required=False)
@click.option("--mine", is_flag=True, help="All your unfinished tasks.")
@click.option("--all", "everything", is_flag=True, help="All unfinished tasks that you may see.")
@click.option("--dry-run", is_flag=True, help="With --mine and --all: only list the tasks.")
@click.option("--yes", "-y", is_flag=True, help="With --mine and --all: do not ask first.")
@click.option("--discard", is_flag=True, help="Discard what running scans have found.")
@daemon_option
@json_option
def cancel_command(
    tasks: Sequence[str],
    mine: bool,
    everything: bool,
    dry_run: bool,
    yes: bool,
    discard: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Cancel tasks: remove them from the queue, or stop their scans.

    What a running scan has found is kept as partial results, unless --discard is given. All tasks
    are attempted; the exit code is 1 if any could not be canceled.
    """
    if sum((bool(tasks), mine, everything)) != 1:
        raise click.UsageError("name TASKs, or give --mine or --all")
    if tasks and dry_run:
        raise click.UsageError("--dry-run is for --mine and --all; 'status TASK' shows a task")
    with daemon(config) as connection:
        cancel = partial(connection.call, "cancel_scan", discard=discard)
        if tasks:
            tell_each(connection, cancel, tasks, as_json)
            return
        rows = _unfinished(connection, mine)
        if dry_run:
            _list(connection, rows, as_json)
            return
        if not rows:
            print_note("no unfinished tasks")
        elif not yes:
            _ask(rows)
        _cancel_all(connection, cancel, rows, as_json)


def _unfinished(connection: Daemon, mine: bool) -> Rows:
    """The unfinished tasks, waiting ones first: slots that running ones free must not go to
    tasks that are canceled next."""
    found = fetch_all(
        connection,
        "list_tasks",
        "tasks",
        states=sorted(LIVE),
        submitter=str(os.getuid()) if mine else None,
    )
    rows: Rows = found["tasks"]
    return sorted(rows, key=lambda row: row["status"] in HOLDS_SLOT)


def _list(connection: Daemon, rows: Rows, as_json: bool) -> None:
    if not as_json:
        show_tasks(rows)
        print_note(f"{_count(rows)} would be canceled")
        return
    statuses = [connection.call("get_scan_status", task_id=row["task_id"]) for row in rows]
    print_json({"tasks": statuses})


def _ask(rows: Rows) -> None:
    """Raises `click.Abort` unless the user agrees."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would cancel {_count(rows)}; give --yes, or --dry-run first")
    click.confirm(f"Cancel {_count(rows)}?", abort=True, err=True)


def _count(rows: Rows) -> str:
    """`5 tasks, 2 of them with a running scan`."""
    running = sum(row["status"] in HOLDS_SLOT for row in rows)
    return pluralize(len(rows), "task") + (f", {running} of them running" if running else "")


def _cancel_all(connection: Daemon, cancel: Any, rows: Rows, as_json: bool) -> None:
    """Exits with 1 if a task was refused; one that has ended meanwhile is none of those."""
    answers: list[dict[str, Any]] = []
    refused = 0
    for row in rows:
        try:
            answers.append(cancel(task_id=row["task_id"]))
        except Refused as error:
            if not _has_ended(connection, row["task_id"]):
                refused += 1
                print_note(f"Error: {error.message}")
    print_answers(answers, as_json)
    if rows:
        print_note(f"{pluralize(len(answers), 'task')} canceled, {refused} refused")
    if refused:
        sys.exit(1)


def _has_ended(connection: Daemon, task_id: str) -> bool:
    try:
        return bool(connection.call("get_scan_status", task_id=task_id)["settled"])
    except Refused:
        return False
