"""`nessus-sched rescan`: a new scan of some hosts of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import parse_duration
from nessus_sched.cli.options import daemon_option, json_option, one_of, task_argument
from nessus_sched.cli.scan_options import settings_given
from nessus_sched.cli.submit import show_answer
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.states import Meant
from nessus_sched.core.task import Priority, ScanKind
from nessus_sched.results.rescan import Outcome


@click.command("rescan")
@task_argument
@click.option("--failed-logins", is_flag=True, help="Hosts where no credential worked.")
@click.option("--not-reached", is_flag=True, help="Targets that no scan has finished.")
@click.option("--silent", is_flag=True, help="Targets that were scanned and did not answer.")
@click.option(
    "--hosts-with",
    "filters",
    multiple=True,
    metavar="FILTER",
    help="Hosts with a finding that matches, such as 'severity>=high' or 'host_login!=full'; "
    "repeatable: all must match.",
)
@click.option("--kind", "-k", type=one_of(ScanKind), help="Another kind of scan.")
@click.option("--template", metavar="NAME", help="custom: another template.")
@click.option(
    "--audit", metavar="NAME", shell_complete=candidates.audit, help="compliance: another audit."
)
@click.option(
    "--credential",
    multiple=True,
    metavar="NAME",
    shell_complete=candidates.credential,
    help="Log in with this instead; repeatable.",
)
@click.option("--scanner", shell_complete=candidates.scanner, help="Use this scanner instead.")
@click.option("--name", help="Another name.")
@click.option("--priority", type=one_of(Priority), help="Another queue priority.")
@click.option(
    "--profile",
    metavar="NAME",
    shell_complete=candidates.profile,
    help="Another scan profile, or 'none'.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE",
    help="Nessus settings instead of the task's own; repeatable.",
)  # fmt: skip
@click.option(
    "--max-runtime",
    type=parse_duration,
    metavar="DURATION",
    help="Stop the scan after this long: 90m, 8h (whole minutes).",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: repeating a request with it returns the same task.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be scanned, but queue nothing.")
@click.option("--wait", "-w", is_flag=True, help="Follow the scan until it finishes.")
@daemon_option
@json_option
def rescan_command(
    task: str,
    failed_logins: bool,
    not_reached: bool,
    silent: bool,
    filters: Sequence[str],
    dry_run: bool,
    wait: bool,
    config: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Queue a new scan of those targets of a finished TASK where logins failed, that were not
    reached, that did not answer, or that have certain findings. `nessus-sched coverage` lists
    those that were not reached or did not answer.

    Kind, template, credentials and options are those of TASK unless given; with another --kind,
    template, profile and settings are not taken over. If no host qualifies,
    nothing is queued and the exit code is 1, which is not an all-clear. With --wait the exit code
    is 0 only if the scan completes.
    """
    choices = {
        Outcome.FAILED_LOGINS: failed_logins,
        Outcome.NOT_REACHED: not_reached,
        Outcome.SILENT: silent,
        Outcome.MATCHING: bool(filters),
    }
    chosen = [outcome for outcome, given in choices.items() if given]
    if len(chosen) != 1:
        raise click.UsageError(
            "give one of --failed-logins, --not-reached, --silent and --hosts-with"
        )
    if dry_run and wait:
        raise click.UsageError("--wait and --dry-run cannot be combined")
    runtime = options["max_runtime"]
    with daemon(config) as connection:
        answer = connection.call(
            "rescan",
            task_id=task_id_of(connection, task, Meant.ENDED),
            hosts=chosen[0],
            filters=list(filters) or None,
            kind=options["kind"],
            template=options["template"],
            audit=options["audit"],
            credential=list(options["credential"]) or None,
            scanner_instance=options["scanner"],
            name=options["name"],
            priority=options["priority"],
            profile=options["profile"],
            settings=settings_given(options["settings"]) or None,
            max_runtime_minutes=None if runtime is None else math.ceil(runtime / 60),
            idempotency_key=options["key"],
            dry_run=dry_run,
        )
        show_answer(connection, answer, wait=wait, as_json=as_json)
