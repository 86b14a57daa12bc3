"""`nessus-sched scanners certify`: prove a scanner with a few small scans."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from nessus_sched.api.admin_certify import LONGEST
from nessus_sched.cli.client import daemon
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import line, note, print_json, table

PLAN: Final = """\
On scanner {scanner}, in our own folder, this will
  - log in, and read its license, rights, templates and settings
  - scan the open ports of {target}
  - start a basic scan of {target}, pause it, resume it and stop it
  - scan {target} with four plugin families
  - export the reports, and delete these three scans again
It takes some minutes and one of the scanner's slots. Nothing else there is touched."""


@click.command("certify", short_help="Prove a scanner with a few small scans.")
@click.argument("scanner")
@click.option("--target", required=True, metavar="ADDRESS", help="One allowed host to scan.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@daemon_option
@json_option
def certify_command(
    scanner: str, target: str, yes: bool, config: Path | None, as_json: bool
) -> None:
    """Run a few small scans of an allowed address on a scanner, and show for each check whether
    the scanner does what nessus-sched relies on.

    Press Ctrl-C to stop; the scans are deleted in any case. What was measured is kept and used,
    and a recording without secrets, addresses and texts can be attached to a bug report. Exit
    code 1 if something failed.
    """
    if not yes:
        note(PLAN.format(scanner=scanner, target=target))
        click.confirm("Go ahead?", abort=True, err=True)
    with daemon(config) as connection:
        connection.wait_up_to(LONGEST)
        answer = connection.operate("certify_scanner", scanner_instance=scanner, target=target)
    if as_json:
        print_json(answer)
    else:
        _show(answer)
    if not answer["passed"]:
        sys.exit(1)


def _show(answer: dict[str, object]) -> None:
    rows = answer["rows"]
    assert isinstance(rows, list)
    table(
        ("check", "result", "found", "what it means"),
        [(each["check"], each["result"], each["found"], each["meaning"]) for each in rows],
    )
    differ = sum(each["result"] == "differs" for each in rows)
    bad = sum(each["result"] == "failed" for each in rows)
    note(f"{bad} failed, {differ} differ")
    if answer["recording"]:
        line(f"recording: {answer['recording']}")
