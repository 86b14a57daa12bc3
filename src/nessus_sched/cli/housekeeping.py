"""`nessus-sched housekeeping`: delete now what has been kept long enough."""

from __future__ import annotations

from pathlib import Path

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import line, print_json


@click.command("housekeeping")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@daemon_option
@json_option
def housekeeping_command(dry_run: bool, config: Path | None, as_json: bool) -> None:
    """Delete what is past the configuration's `retention`: tasks, findings, exports,
    and our own finished scans on the scanners. The daemon does it by itself every ten minutes.
    """
    with daemon(config) as connection:
        answer = connection.operate("housekeeping", dry_run=dry_run)
    if as_json:
        print_json(answer)
        return
    found = {what.replace("_", " "): count for what, count in answer["deleted"].items() if count}
    told = ", ".join(f"{count} {what}" for what, count in found.items()) or "nothing"
    line(f"would be deleted: {told}" if dry_run else f"deleted: {told}")
