"""`nessus-sched coverage`: what became of a task's targets, or how well targets are covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import DaemonApi
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.options import daemon_option, json_option, one_of, optional_task_argument
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.coverage import Status, counts_text
from nessus_sched.core.states import Meant
from nessus_sched.results.ledger.reach import Reach

LARGEST_PAGE: Final = 10_000
_MINUTES: Final = len("2026-01-31 08:00")


@click.command("coverage")
@optional_task_argument
@click.option(
    "--target", "targets", multiple=True, metavar="NETWORK",
    help="Instead of a task: how well all scans together cover these; repeatable.",
)  # fmt: skip
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, 3650),
    help="With --target: what counts as lately.",
)  # fmt: skip
@click.option(
    "--status", "statuses", multiple=True, type=one_of((*Status, *Reach)), metavar="STATUS",
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
    task: str | None,
    targets: Sequence[str],
    days: int,
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

    With --target, show how well all scans together cover the targets. Each has the first status
    that applies: never_scanned, not_lately (within --days), never_answered, no_longer_answers,
    unfinished, without_login, covered.
    """
    if (task is None) is (not targets):
        raise click.UsageError("give TASK or --target")
    with daemon_or_store(config) as api:
        asked: dict[str, Any] = {"targets": list(targets), "days": days}
        if task is not None:
            asked = {"task_id": task_id_of(api, task, Meant.ENDED)}
        found = read_coverage(
            api, asked, statuses, limit=limit, everything=everything, cursor=cursor
        )
    if as_json:
        print_json(found)
        return
    print_line(counts_text(found["counts"]) if task is not None else _reach_text(found["counts"]))
    for note in found["notes"]:
        print_note(note)
    if found["rows"]:
        print_line()
        show_rows(found["rows"])
    if found["next_cursor"]:
        print_note(f"There are more: --all, or --cursor {found['next_cursor']}.")


def _reach_text(counts: Mapping[str, int]) -> str:
    """`16 of 32 covered, 12 never answered, 4 without login`."""
    rest = [
        f"{counts[each]} {each.replace('_', ' ')}"
        for each in reversed(Reach)
        if counts[each] and each is not Reach.COVERED
    ]
    return ", ".join([f"{counts[Reach.COVERED]} of {counts['requested']} covered", *rest])


def read_coverage(
    api: DaemonApi,
    asked: Mapping[str, Any],
    statuses: Sequence[str],
    *,
    limit: int = LARGEST_PAGE,
    everything: bool = True,
    cursor: str | None = None,
) -> dict[str, Any]:
    """A page of what became of targets, or all pages as one; `asked` is the task or the targets."""
    rows: list[dict[str, Any]] = []
    while True:
        page = api.operate(
            "read_coverage" if "task_id" in asked else "read_reach",
            **asked,
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
