"""`nessus-sched report`: reports for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from nessus_sched.cli.formatting import parse_time
from nessus_sched.cli.options import daemon_option, one_of
from nessus_sched.results.reports.period import Last

F = TypeVar("F", bound=Callable[..., Any])


@click.group("report")
def report_group() -> None:
    """Write reports for people: HTML that needs no network and prints on A4, or tables.

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
        click.option("--schedule", metavar="NAME", help="Only the targets of this schedule."),
        click.option("--task", metavar="TASK", help="Only the targets of this task."),
    ):  # fmt: skip
        command = option(command)
    return command


def period_options(command: F) -> F:
    """Options that select a period."""
    for option in (
        click.option(
            "--last", type=one_of(Last),
            help="Instead: the last whole week (from Monday), month or quarter.",
        ),
        click.option("--until", type=parse_time, metavar="TIME", help="End of the period."),
        click.option(
            "--since", type=parse_time, metavar="TIME",
            help="Start of the period: 7d, 2026-01-31 or a timestamp. Default: 30d.",
        ),
    ):  # fmt: skip
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
            help="HTML to read and print, or only its rows.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@report_group.command("management")
@scope_options
@period_options
@file_options
def management_command(**options: Any) -> None:
    """One page: how things are, where they go, and what to do first.

    Rows of a table are the solutions, worst first.
    """
    _write("management", options)


def _write(kind: str, options: Mapping[str, Any]) -> None:
    from nessus_sched.cli.reporting.write import write_report

    asked = dict(options)
    output, force, config = asked.pop("output"), asked.pop("force"), asked.pop("config")
    write_report(kind, asked, output, force=force, config=config)
