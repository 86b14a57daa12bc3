"""`nessus-sched ledger`: care of the history of findings."""

from __future__ import annotations

from pathlib import Path

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_json, print_line
from nessus_sched.core.text import pluralize


@click.group("ledger")
def ledger_group() -> None:
    """Maintain the ledger, the history of each finding across all scans."""


@ledger_group.command("rebuild", short_help="Build the ledger again from all stored scans.")
@click.option(
    "--forget", is_flag=True, help="Rebuild even if this loses the history of deleted scans."
)
@daemon_option
@json_option
def rebuild_command(forget: bool, config: Path | None, as_json: bool) -> None:
    """Empty the ledger and enter all stored scans again, in the order of their times.

    Use this to put scans that were imported late into their place, or after a change of
    `ledger.host_identity`. It runs in the background; /health says how many scans remain. Scans
    whose findings were deleted are read again from their reports. If some of those reports were
    deleted, too, the rebuild is refused, since their history would be lost.
    """
    with daemon(config) as connection:
        answer = connection.operate("rebuild_ledger", forget=forget)
    if as_json:
        print_json(answer)
        return
    print_line(f"{pluralize(answer['scans'], 'scan')} to enter again, in the background")
