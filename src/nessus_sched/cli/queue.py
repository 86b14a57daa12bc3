"""`nessus-sched queue`: what is running, what is waiting, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.core.text import duration


@click.command("queue")
@click.option(
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(1, 100),
    help="How many waiting tasks to list.",
)  # fmt: skip
@daemon_option
@json_option
def queue_command(limit: int, config: Path | None, as_json: bool) -> None:
    """Show running and waiting tasks, their position in the queue, and why they wait."""
    with daemon(config) as connection:
        found = connection.call("get_queue_status", limit=limit)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    if found["paused"]:
        print_note("Paused: no scans start until 'nessus-sched resume-all'.")
    retrying = f", {found['retry_wait']} waiting to retry" if found["retry_wait"] else ""
    print_line(
        f"{found['queued']} waiting, {found['active']} running, {slots_free(found)}{retrying}"
    )
    print_table(
        ("queue", "length", "blocked"),
        [(row["queue"], row["length"], row["blocked"]) for row in found["queues"]],
    )
    if found["running"]:
        print_table(("running", "state", "progress", "scanner", "name"), running_rows(found))
    if found["waiting"]:
        print_table(("waiting", "queue", "place", "starts in", "name", "why"), waiting_rows(found))
    more = found["queued"] - len(found["waiting"])
    if any("more waiting" in note for note in found["notes"]):
        print_note(f"{more} more waiting: --limit")


def slots_free(found: Mapping[str, Any]) -> str:
    """Such as `2 of 4 slots free`; per pool if there are several."""
    pools = found["pools"]
    if len(pools) < 2:
        return f"{found['free_slots']} of {found['capacity']} slots free"
    said = (f"{each['free_slots']} of {each['capacity']} in {each['pool']}" for each in pools)
    return f"slots free: {', '.join(said)}"


def running_rows(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            shown_id(row),
            row["status"],
            None if row["progress_percent"] is None else f"{row['progress_percent']} %",
            row["scanner_instance"],
            None if row["part_of"] else row["name"],
        )
        for row in found["running"]
    ]


def shown_id(row: Mapping[str, Any]) -> str:
    """The id; of a part that is shown below its task, what it adds to the id of that."""
    whole = row["part_of"]
    task_id = str(row["task_id"])
    return task_id if whole is None else f"part {task_id.removeprefix(f'{whole}-')}"


def waiting_rows(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            row["task_id"],
            row["queue"],
            row["queue_position"],
            duration(row["estimated_wait_seconds"]),
            row["name"],
            row["wait_reason"],
        )
        for row in found["waiting"]
    ]
