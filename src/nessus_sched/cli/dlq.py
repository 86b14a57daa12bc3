"""`nessus-sched dlq`: dead letters, the tasks that failed permanently."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from nessus_sched.cli.client import Refused, daemon, fetch_all
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import ago, parse_duration
from nessus_sched.cli.options import daemon_option, json_option, task_argument, tasks_argument
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.cli.task_ids import task_id_of, task_ids_of
from nessus_sched.cli.tasks import show_status, tell_each
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import Meant
from nessus_sched.core.text import pluralize


@click.group("dlq")
def dlq_group() -> None:
    """Manage dead letters: tasks that failed permanently and need a decision."""


@dlq_group.command("list")
@click.option("--limit", "-n", default=50, show_default=True, type=click.IntRange(1, 100_000))
@daemon_option
@json_option
def list_command(limit: int, config: Path | None, as_json: bool) -> None:
    """List dead letters and their errors, newest first."""
    with daemon_or_store(config) as api:
        found = fetch_all(api, "list_dead_letters", "tasks", most=limit)
    if as_json:
        print_json(found)
        return
    now = system_now()
    print_table(
        ("task", "dead since", "class", "attempts", "scanner", "name", "error"),
        [
            (
                task["task_id"],
                ago(task["entered"].get("dead"), now),
                (task["error"] or {}).get("code"),
                task["attempt"],
                task["scanner_instance"],
                task["name"],
                (task["error"] or {}).get("message"),
            )
            for task in found["tasks"]
        ],
        nothing="no dead letters",
    )
    if found["next_cursor"] is not None:
        count = "there are more" if found["total"] is None else f"{found['total']} in total"
        print_note(f"{count}: --limit")


@dlq_group.command("show")
@task_argument
@daemon_option
@json_option
def show_command(task: str, config: Path | None, as_json: bool) -> None:
    """Show a dead letter with its full history."""
    from nessus_sched.cli.journal import show_entries

    with daemon_or_store(config) as api:
        found = api.operate("show_journal", task_id=task_id_of(api, task))
    if found["task"]["status"] != "dead":
        raise Refused(f"task {found['task']['task_id']} is not a dead letter", "not_possible_now")
    if as_json:
        print_json(found)
        return
    show_status(found["task"])
    print_line()
    show_entries(found["entries"], found["task"]["task_id"])


@dlq_group.command("retry", short_help="Requeue dead letters and partial tasks.")
@tasks_argument(candidates.retriable_task)
@daemon_option
@json_option
def retry_command(tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Requeue dead letters and partial tasks, with a fresh set of attempts. Only what no scan has
    finished is scanned."""
    with daemon(config) as connection:
        tell_each(connection, partial(connection.operate, "retry_dead_letter"), tasks, as_json)


@dlq_group.command("purge", short_help="Delete dead letters permanently.")
@tasks_argument(candidates.dead_task, required=False)
@click.option(
    "--older-than",
    type=parse_duration,
    metavar="DURATION",
    help="Dead for longer than this, such as 30d.",
)
@click.option(
    "--class", "error_class", metavar="CODE", help="With this error code, as list shows it."
)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@daemon_option
@json_option
def purge_command(
    tasks: Sequence[str],
    older_than: float | None,
    error_class: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Delete dead letters permanently: only those matching every option given.

    Each deletion is journaled with the user who did it.
    """
    if not (tasks or older_than is not None or error_class or everything):
        raise click.UsageError("name TASKs, or give --older-than, --class or --all")
    with daemon(config) as connection:
        wanted = {
            "task_ids": task_ids_of(connection, tasks, Meant.ONLY) or None,
            "older_than_seconds": older_than,
            "error_code": error_class,
        }
        answer = connection.operate("purge_dead_letters", dry_run=True, **wanted)
        if not dry_run and answer["task_ids"]:
            if not yes:
                _confirm(len(answer["task_ids"]))
            answer = connection.operate("purge_dead_letters", **wanted)
    if as_json:
        print_json(answer)
        return
    for task_id in answer["task_ids"]:
        print_line(task_id)
    said = "would be purged" if answer["dry_run"] and dry_run else "purged"
    print_note(f"{len(answer['task_ids'])} {said}")


def _confirm(count: int) -> None:
    dead = pluralize(count, "dead letter")
    if not sys.stdin.isatty():
        raise click.UsageError(f"{dead} would be deleted: give --yes")
    click.confirm(f"Delete {dead} permanently?", abort=True, err=True)
