"""`nessus-sched coverage`: what became of each target of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import DaemonApi
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.options import daemon_option, json_option, one_of, task_argument
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.coverage import Status, counts_text

LARGEST_PAGE: Final = 10_000
_MINUTES: Final = len("2026-01-31 08:00")


@click.command("coverage")
@task_argument
@click.option(
    "--status", "statuses", multiple=True, type=one_of(Status),
    help="Only targets with this status; repeatable.",
)  # fmt: skip
@click.option(
    "--limit", "-n", default=50, show_default=True, type=click.IntRange(1, LARGEST_PAGE),
    help="Rows per page.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Show all pages.")
@click.option("--cursor", help="Continue after a previous page (its next_cursor).")
@daemon_option
@json_option
def coverage_command(
    task: str,
    statuses: Sequence[str],
    limit: int,
    everything: bool,
    cursor: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show what became of each target of a finished TASK.

    answered: it was scanned to the end; when, by which scanner, and whether the login worked.
    silent: it was scanned and did not answer. not_reached: no scan has finished it, and why.
    `nessus-sched rescan` scans silent or unreached targets again.
    """
    with daemon_or_store(config) as api:
        task_id = task_id_of(api, task)
        found = read_coverage(
            api, task_id, statuses, limit=limit, everything=everything, cursor=cursor
        )
    if as_json:
        print_json(found)
        return
    print_line(counts_text(found["counts"]))
    for note in found["notes"]:
        print_note(note)
    if found["rows"]:
        print_line()
        show_rows(found["rows"])
    if found["next_cursor"]:
        print_note(f"There are more: --all, or --cursor {found['next_cursor']}.")


def read_coverage(
    api: DaemonApi,
    task_id: str,
    statuses: Sequence[str],
    *,
    limit: int = LARGEST_PAGE,
    everything: bool = True,
    cursor: str | None = None,
) -> dict[str, Any]:
    """A page of what became of a task's targets, or all pages as one."""
    rows: list[dict[str, Any]] = []
    while True:
        page = api.operate(
            "read_coverage",
            task_id=task_id,
            status=list(statuses) or None,
            limit=LARGEST_PAGE if everything else limit,
            cursor=cursor,
        )
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None or not everything:
            return {**page, "rows": rows}


def show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Columns with nothing in them are left out."""
    cells = [
        {
            "targets": row["targets"],
            "status": row["status"],
            "scanner": row["scanner_instance"],
            "ended": _ended(row["ended"]),
            "login": row["login"],
            "why": row["why"],
        }
        for row in rows
    ]
    columns = [name for name in cells[0] if any(row[name] for row in cells)]
    print_table(columns, [tuple(row[name] for name in columns) for row in cells])


def _ended(at: str | None) -> str | None:
    """In the local zone, unless it is the scanner's own clock, whose zone is not known."""
    if at is None:
        return None
    moment = datetime.fromisoformat(at)
    local = moment if moment.tzinfo is None else moment.astimezone()
    return local.isoformat(sep=" ", timespec="minutes")[:_MINUTES]
