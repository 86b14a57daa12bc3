"""`nessus-sched scanners`: list, drain, enable, test and certify them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import daemon, fetch_all
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import ago, when, with_command_names
from nessus_sched.cli.layout import Table
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import (
    STYLES,
    console,
    format_cell,
    is_terminal,
    print_json,
    print_line,
    print_note,
    print_table,
)
from nessus_sched.core.clock import system_now

PLAN: Final = """\
On scanner {scanner}, in the folder of nessus-sched, this will
  - log in, and read its license, rights, templates and settings
  - scan the open ports of {target}
  - start a basic scan of {target}, pause it, resume it and stop it
  - scan {target} with four plugin families
  - export the reports, and delete these three scans again
It takes a few minutes and one of the scanner's slots. Nothing else there is touched."""


@click.command("certify", short_help="Certify a scanner with a few small scans.")
@click.argument("scanner", shell_complete=candidates.scanner)
@click.option("--target", required=True, metavar="ADDRESS", help="Host to scan; must be allowed.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@daemon_option
@json_option
def certify_command(
    scanner: str, target: str, yes: bool, config: Path | None, as_json: bool
) -> None:
    """Run a few small scans of an allowed address, and show for each check whether the scanner
    does what nessus-sched relies on.

    Press Ctrl-C to stop; the scans are always deleted. The measurements are stored and used,
    and a recording without secrets, addresses and texts can be attached to a bug report. Exit
    code 1 if a check failed.
    """
    if not yes:
        print_note(PLAN.format(scanner=scanner, target=target))
        click.confirm("Go ahead?", abort=True, err=True)
    # Takes longer to import than all other commands of this module take to run.
    from nessus_sched.api.admin_certify import LONGEST

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
    print_table(
        ("check", "result", "found", "what it means"),
        [(each["check"], each["result"], each["found"], each["meaning"]) for each in rows],
    )
    differ = sum(each["result"] == "differs" for each in rows)
    bad = sum(each["result"] == "failed" for each in rows)
    print_note(f"{bad} failed, {differ} different")
    if answer["recording"]:
        print_line(f"recording: {answer['recording']}")


@click.group("scanners")
def scanners_group() -> None:
    """List scanners, and control which ones run scans.

    Changes are journaled and survive restarts of the daemon.
    """


@scanners_group.command("list", short_help="List scanners and their availability.")
@daemon_option
@json_option
def list_command(config: Path | None, as_json: bool) -> None:
    """List scanners: availability (and why not), slots, queue, plugin age."""
    with daemon(config) as connection:
        found = fetch_all(connection, "list_scanners", "scanners")
    if as_json:
        print_json(found)
        return
    if found["paused"]:
        print_note("Paused: no scans start until 'nessus-sched resume-all'.")
    print_table(COLUMNS, scanner_rows(found["scanners"]))


COLUMNS = ("scanner", "usable", "slots", "queued", "edition", "plugins", "last contact", "remark")


def scanner_rows(scanners: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    now = system_now()
    return [
        (
            each["scanner_instance"],
            each["available"],
            f"{each['active_scans']}/{each['capacity']}",
            each["queued"],
            " ".join(filter(None, (each["edition"], each["version"]))),
            ago(each["plugin_set_at"], now),
            ago(each["last_contact"], now),
            _remark(each),
        )
        for each in scanners
    ]


def _remark(scanner: Mapping[str, Any]) -> str:
    reason = scanner["reason"] or ""
    breaker = "" if scanner["breaker"] == "closed" else f"breaker {scanner['breaker']}"
    return "; ".join(filter(None, (reason, breaker, _drain(scanner))))


def _switch(action: str, done: str, about: str) -> click.Command:
    @click.argument("scanner", shell_complete=candidates.scanner)
    @daemon_option
    @json_option
    def command(scanner: str, config: Path | None, as_json: bool) -> None:
        with daemon(config) as connection:
            answer = connection.operate("switch_scanner", scanner_instance=scanner, action=action)
        if as_json:
            print_json(answer)
        else:
            print_line(f"{answer['scanner_instance']} {done}")

    return click.command(action, help=about)(command)


@scanners_group.command("drain", short_help="Finish running scans, start no new ones.")
@click.argument("scanner", shell_complete=candidates.scanner)
@click.option("--at", metavar="TIME", help="When: 18:00, 8h or '2026-03-02 18:00'; else now.")
@click.option("--until", metavar="TIME", help="When to end it, in the same form.")
@daemon_option
@json_option
def drain_command(
    scanner: str, at: str | None, until: str | None, config: Path | None, as_json: bool
) -> None:
    """Finish running scans, start no new ones.

    Before a drain that is planned with --at, the scanner starts only what should end in time.
    'undrain' ends a drain, and withdraws a planned one.
    """
    with daemon(config) as connection:
        answer = connection.operate(
            "switch_scanner", scanner_instance=scanner, action="drain", at=at, until=until
        )
    if as_json:
        print_json(answer)
    elif answer["drain_from"] and (at or until):
        print_line(f"{answer['scanner_instance']} {_drain(answer)}")
    else:
        print_line(f"{answer['scanner_instance']} is draining: no new scans")


def _drain(scanner: Mapping[str, Any]) -> str:
    """A planned drain in words; empty if there is none."""
    if not scanner["drain_from"]:
        return ""
    now, until = system_now(), scanner["drain_until"]
    end = f" until {when(until, now)}" if until else " until it is undrained"
    return f"drains from {when(scanner['drain_from'], now)}{end}"


scanners_group.add_command(_switch("undrain", "may start scans again", "Stop draining."))
scanners_group.add_command(_switch("enable", "is enabled", "Enable the scanner."))
scanners_group.add_command(
    _switch("disable", "is disabled", "Stop sending it scans; running ones are still tracked.")
)
scanners_group.add_command(
    _switch("retry", "will be tried now", "Try a suspended or failing scanner now.")
)


@scanners_group.command("test", short_help="Test a scanner from the daemon.")
@click.argument("scanner", shell_complete=candidates.scanner)
@daemon_option
@json_option
def test_command(scanner: str, config: Path | None, as_json: bool) -> None:
    """Test a scanner from the daemon: connection, login, license, templates, plugins.

    Changes nothing on the scanner. Exit code 1 if a check failed.
    """
    with daemon(config) as connection:
        answer = connection.operate("test_scanner", scanner_instance=scanner)
    if as_json:
        print_json(answer)
    else:
        show_steps(answer["steps"])
    if not answer["passed"]:
        sys.exit(1)


scanners_group.add_command(certify_command)


@scanners_group.command("templates", short_help="List a scanner's scan templates.")
@click.argument("scanner", required=False, shell_complete=candidates.scanner)
@daemon_option
@json_option
def templates_command(scanner: str | None, config: Path | None, as_json: bool) -> None:
    """List the scan templates of a scanner (or the first that answers), for --template."""
    with daemon(config) as connection:
        answer = connection.call("list_scan_templates", scanner_instance=scanner)
    if as_json:
        print_json(answer)
        return
    rows = [(each["name"], each["usable"], each["title"]) for each in answer["templates"]]
    print_table(("template", "usable", "title"), rows)


def show_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    """On a terminal, what to do has a row of its own: most steps have none, and there is little
    room beside what was found."""
    if is_terminal():
        rows = []
        for each in steps:
            rows.append([format_cell(each[key]) for key in ("check", "status", "message")])
            if each["remedy"] is not None:
                rows.append(["", "", format_cell(f"-> {_remedy(each)}")])
        columns = ("check", "result", "found")
        console().print(Table(columns, rows, title="", style_of=lambda text: STYLES.get(text, "")))
        return
    print_table(
        ("check", "result", "found", "what to do"),
        [(each["check"], each["status"], each["message"], _remedy(each)) for each in steps],
    )


def _remedy(step: Mapping[str, Any]) -> str | None:
    return None if step["remedy"] is None else with_command_names(step["remedy"])
