"""`nessus-sched doctor`: finds problems and suggests fixes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click

from nessus_sched.api.scanner_check import Step, failed, ok, warning
from nessus_sched.cli.client import NotAllowed, daemon
from nessus_sched.cli.config.beyond import problems_beyond_reading
from nessus_sched.cli.options import config_option, json_option
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.cli.scanners import show_steps
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.schema import Config
from nessus_sched.core.text import pluralize

CORRECT: Final = "Fix it; 'config reference' describes every key."
UNREADABLE: Final = "Give the right file with --config, or run this as a user who can read it."


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Do not contact scanners.")
@config_option
@json_option
def doctor_command(offline: bool, config: Path, as_json: bool) -> None:
    """Diagnose problems and suggest fixes.

    Checks configuration, state directory, disk, clock, daemon and socket, HTTP port, and for
    each scanner: connection, certificate, clock, login and its permissions, license, templates,
    plugin age, and when it was certified. Changes nothing; 'scanners certify' tests whether
    scans really run. Exit code 1 if a check failed.
    """
    steps = run_trio(_examine, config, offline)
    bad = sum(step.status == "failed" for step in steps)
    doubtful = sum(step.status == "warning" for step in steps)
    if as_json:
        print_json({"ok": not bad, "steps": [attrs.asdict(step) for step in steps]})
    else:
        show_steps([attrs.asdict(step) for step in steps])
        print_note(
            f"{bad} failed, {pluralize(doubtful, 'warning')}, {len(steps) - bad - doubtful} ok"
        )
    if bad:
        sys.exit(1)


async def _examine(file: Path, offline: bool) -> list[Step]:
    from nessus_sched.daemon.checkup import check_http, check_machine, check_scanner

    try:
        config = load(file, environ=os.environ)
    except ConfigError as error:
        return [
            failed("config", str(problem), CORRECT if problem.line else UNREADABLE)
            for problem in error.problems
        ]
    steps = [
        failed("config", str(problem), problem.hint or CORRECT)
        for problem in problems_beyond_reading(config, str(file))
    ]
    steps += [*check_machine(file, config), *_daemon(file, config), *check_http(config)]
    for scanner in () if offline else config.scanners:
        steps += await check_scanner(scanner, config.state_directory)
    return steps


def _daemon(file: Path, config: Config) -> Iterator[Step]:
    from nessus_sched.daemon.checkup import running_daemon

    held = running_daemon(config.state_directory)
    try:
        with daemon(file) as connection:
            scanners = connection.call("list_scanners")
    except NotAllowed as error:
        advice = "usermod --append --groups GROUP USER, with the socket's group; log in again."
        yield failed("daemon", error.message, advice)
        return
    except click.ClickException as error:
        if held is not None:
            advice = "Restart it, or see which configuration it runs with."
            yield failed("daemon", f"process {held} is running, but: {error.message}", advice)
        else:
            advice = "nessus-sched serve; as a service, systemctl start nessus-sched."
            yield warning("daemon", "not running", advice)
        return
    yield ok("daemon", "running and answering on its socket")
    if scanners["paused"]:
        advice = "Run nessus-sched resume-all once the reason is gone."
        yield warning("daemon", "paused: no scans start", advice)
