"""`nessus-sched report`: reports for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.formatting import parse_time
from nessus_sched.cli.options import daemon_option, one_of
from nessus_sched.cli.reporting.evidence import evidence_command, verify_command
from nessus_sched.results.reports.period import Last

F = TypeVar("F", bound=Callable[..., Any])
_SCOPE: Final = ("task", "schedule", "targets", "owner", "site", "criticality")


@click.group("report")
def report_group() -> None:
    """Write reports: HTML that needs no network and prints on A4, or tables.

    Scope: one of --task, --schedule, --network, and labels (--owner, --site, --criticality);
    without any, all hosts.
    """


def scope_options(command: F) -> F:
    """Options that select hosts."""
    for option in (
        click.option("--criticality", metavar="WORD", help="Only hosts of this criticality."),
        click.option("--site", metavar="NAME", help="Only hosts at this site."),
        click.option("--owner", metavar="NAME", help="Only hosts of this owner."),
        click.option(
            "--network", "targets", multiple=True, metavar="NETWORK",
            help="Only these hosts: a network, a range, an address or a name; repeatable.",
        ),
        click.option(
            "--schedule", metavar="NAME", shell_complete=candidates.schedule,
            help="Only the targets of this schedule.",
        ),
        click.option(
            "--task", metavar="TASK", shell_complete=candidates.ended_task,
            help="Only the targets of this task.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


since_option: Final = click.option(
    "--since", type=parse_time, metavar="TIME",
    help="Start of the period: 7d, 2026-01-31 or a timestamp. Default: 30d.",
)  # fmt: skip


def period_options(command: F) -> F:
    """Options that select a period."""
    for option in (
        click.option(
            "--last",
            type=one_of(Last),
            help="Instead of --since and --until: the last full week (from Monday), month or "
            "quarter.",
        ),
        click.option("--until", type=parse_time, metavar="TIME", help="End of the period."),
        since_option,
    ):
        command = option(command)
    return command


def file_options(command: F) -> F:
    """Options for the file, and the configuration."""
    for option in (
        daemon_option,
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
        click.option(
            "--output", "-o", type=click.Path(path_type=Path), metavar="FILE",
            help="Write to FILE; - for standard output. Default: a new file here.",
        ),
        click.option(
            "--format", "form", default="html", show_default=True,
            type=one_of(("html", "csv", "jsonl")),
            help="HTML to read and print, or only the rows of its table.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@report_group.command("management")
@scope_options
@period_options
@file_options
def management_command(**options: Any) -> None:
    """One page: the current state, the trend, and what to do first.

    A table has one row per solution, worst first.
    """
    _write("management", options)


@report_group.command("team", short_help="What to fix, on which hosts, and until when.")
@scope_options
@file_options
def team_command(**options: Any) -> None:
    """What to install or change, on which hosts, since when, and until when.

    Findings of severity low and above, without accepted ones, grouped by solution, worst first. A
    table has one row per finding.
    """
    _write("team", options)


@report_group.command("technical", short_help="All findings of a task or a .nessus file.")
@click.argument("subject", metavar="FILE|TASK", shell_complete=candidates.file_or_task)
@file_options
def technical_command(
    subject: str, form: str, output: Path | None, force: bool, config: Path | None
) -> None:
    """All findings of a task or a .nessus file, each once with its hosts and evidence.

    `results export --format html` writes the same for findings that match filters. A table has one
    row per finding.
    """
    from nessus_sched.cli.results.files import is_file

    if is_file(subject):
        from nessus_sched.cli.reporting.write import write_file_report

        write_file_report(subject, form, output, force=force, config=config)
    else:
        _write(
            "technical",
            {"task": subject, "form": form, "output": output, "force": force, "config": config},
        )


@report_group.command("comparison", short_help="What is new, back, fixed or not confirmed.")
@click.argument(
    "before", required=False, metavar="[BEFORE AFTER]", shell_complete=candidates.ended_task
)
@click.argument("after", required=False, metavar="", shell_complete=candidates.ended_task)
@scope_options
@since_option
@file_options
def comparison_command(before: str | None, after: str | None, **options: Any) -> None:
    """What is new, back, fixed or not confirmed, by solution, with reasons.

    Between the tasks BEFORE and AFTER or, without them, since a time, across all scans. A table has
    one row per finding.
    """
    if before is not None:
        if after is None:
            raise click.UsageError("give two tasks, or none and --since")
        given = [name for name in (*_SCOPE, "since") if options.get(name)]
        if given:
            raise click.UsageError(f"two tasks are the scope: leave out --{given[0]}")
        options |= {"before_task": before, "task": after}
    _write("comparison", options)


@report_group.command(
    "templates", short_help="Copy the report templates, so that you can change them."
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def templates_command(directory: Path) -> None:
    """Copy the report templates to DIRECTORY, so that you can change them.

    Set `reports.templates` in the configuration to this directory, and delete the templates that
    you do not change. `config check` checks that they render. They are Jinja templates in a
    sandbox: every value is escaped, because scanned hosts wrote many of them. Do not turn that off.
    """
    from nessus_sched.cli.reporting.write import copy_templates

    copy_templates(directory)


def _write(kind: str, options: Mapping[str, Any]) -> None:
    from nessus_sched.cli.reporting.write import write_report

    asked = dict(options)
    output, force, config = asked.pop("output"), asked.pop("force"), asked.pop("config")
    write_report(kind, asked, output, force=force, config=config)


report_group.add_command(evidence_command)
report_group.add_command(verify_command)
