"""Commands that act on the whole daemon: `reload`, `pause-all`, `housekeeping` and others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.options import EXIT_CONFIG, daemon_option, json_option, one_of, tasks_argument
from nessus_sched.cli.output import print_json, print_line, print_note
from nessus_sched.cli.tasks import tell_each
from nessus_sched.config.types import LogLevel
from nessus_sched.core.text import pluralize


@click.command("reload")
@daemon_option
@json_option
def reload_command(config: Path | None, as_json: bool) -> None:
    """Reload the daemon's configuration without a restart.

    If the file has mistakes, nothing changes: they are listed, and the exit code is 78.
    """
    with daemon(config) as connection:
        answer = connection.operate("reload")
    if as_json:
        print_json(answer)
    elif answer["applied"]:
        for change in answer["changes"]:
            print_line(change)
        restart = ", ".join(answer["needs_restart"])
        but = f", except {restart}: restart the daemon to apply it" if restart else ""
        print_line(f"configuration reloaded{but}")
    else:
        for problem in answer["problems"]:
            print_note(problem)
        print_note("nothing changed")
    if not answer["applied"]:
        sys.exit(EXIT_CONFIG)


@click.command("log-level")
@click.argument("level", type=one_of(LogLevel))
@click.argument("component", required=False)
@daemon_option
@json_option
def log_level_command(
    level: str, component: str | None, config: Path | None, as_json: bool
) -> None:
    """Change the log level until the next reload or restart.

    COMPONENT limits it to a part of the program: nessus, scheduler, mcp, daemon, ...
    """
    with daemon(config) as connection:
        answer = connection.operate("set_log_level", level=level, component=component)
    if as_json:
        print_json(answer)
        return
    others = [f"{name} {its}" for name, its in answer["components"].items()]
    print_line(", ".join([f"log level {answer['level']}", *others]))


@click.command("pause-all")
@click.option(
    "--running", type=click.Choice(["keep", "pause", "stop"]), default="keep", show_default=True,
    help="What to do with running scans.",
)  # fmt: skip
@daemon_option
@json_option
def pause_all_command(running: str, config: Path | None, as_json: bool) -> None:
    """Stop starting scans on all scanners until resume-all; submissions still queue.

    With --running stop, running tasks are canceled.
    """
    with daemon(config) as connection:
        answer = connection.operate("pause_all", running=running)
    if as_json:
        print_json(answer)
    else:
        doing = {"pause": "pausing", "stop": "stopping"}.get(running, "")
        scans = pluralize(answer["told"], "running scan")
        print_line("paused: no scans start" + (f"; {doing} {scans}" if answer["told"] else ""))


@click.command("resume-all")
@daemon_option
@json_option
def resume_all_command(config: Path | None, as_json: bool) -> None:
    """Start scans again, and resume those that `pause-all` paused.

    Scans that were paused by `pause` stay paused until `resume`.
    """
    with daemon(config) as connection:
        answer = connection.operate("resume_all")
    if as_json:
        print_json(answer)
    else:
        resumed = _scans(answer["resumed"], "scan resumed", "scans resumed")
        print_line("scans may start again" + (f"; {resumed}" if resumed else ""))
        paused = _scans(answer["paused_scans"], "scan stays", "scans stay")
        if paused:
            print_line(
                f"{paused} paused: 'nessus-sched tasks --state paused' lists what "
                "'nessus-sched resume' takes"
            )


def _scans(count: int, one: str, more: str) -> str:
    """The count with its noun; empty for zero."""
    return f"{count} {one if count == 1 else more}" if count else ""


@click.command("housekeeping")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted.")
@daemon_option
@json_option
def housekeeping_command(dry_run: bool, config: Path | None, as_json: bool) -> None:
    """Delete tasks, findings and exports past the configuration's `retention`, and their finished
    scans on the scanners. The ledger, the history of each finding, is kept.

    The daemon does the same every ten minutes.
    """
    with daemon(config) as connection:
        answer = connection.operate("housekeeping", dry_run=dry_run)
    if as_json:
        print_json(answer)
        return
    deleted = ", ".join(
        f"{count} {what.replace('_', ' ')}" for what, count in answer["deleted"].items() if count
    )
    print_line(f"{'would be deleted' if dry_run else 'deleted'}: {deleted or 'nothing'}")
    if dry_run and deleted:
        print_line("kept: the ledger, with the history of each finding")


@click.command("release", short_help="Free the targets of lost scans.")
@tasks_argument(candidates.any_task)
@daemon_option
@json_option
def release_command(tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Declare dead the scans that tasks have left on lost scanners, so that their targets can be
    scanned at once instead of after `scheduling.quarantine`.

    If such a scan still runs, the same hosts are scanned twice at the same time.
    """
    with daemon(config) as connection:
        tell_each(connection, partial(connection.operate, "release_targets"), tasks, as_json)
