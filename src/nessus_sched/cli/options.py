"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.ipc import discovery
from nessus_sched.results.model import SEVERITIES

EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: the service unit does not restart after it."""
F = TypeVar("F", bound=Callable[..., Any])

_HELP = (
    "Configuration file. Default: $NESSUS_SCHED_CONFIG, then the user's, then "
    f"{discovery.SYSTEM_CONFIG}."
)


class NoConfiguration(click.ClickException):
    """No configuration file. Exit code 78, as for mistakes in one."""

    exit_code = EXIT_CONFIG


def default_config() -> str | None:
    return discovery.default_config(os.environ)


def _config(**rest: Any) -> Callable[[F], F]:
    return click.option(
        "--config", "-c", default=default_config, metavar="FILE", help=_HELP, **rest
    )


def _required(_ctx: click.Context, _parameter: click.Parameter, file: Path | None) -> Path:
    """The file, whether it exists or not: reading it reports that. Raises `NoConfiguration` if
    none is given or found."""
    if file is None:
        raise NoConfiguration(
            "there is no configuration: no --config, no $NESSUS_SCHED_CONFIG, no "
            f"{' and no '.join(discovery.config_places(os.environ))}; "
            "'nessus-sched config init' creates one"
        )
    return file


def _must_exist(_ctx: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    """Raises `NoConfiguration` if the file that was named does not exist."""
    if file is not None and not os.path.exists(file):
        raise NoConfiguration(f"{file}: no such file")
    return file


_FILE: Final = click.Path(path_type=Path, readable=False)
"""The path is enough: members of the socket's group may not read the service's configuration."""
config_option = _config(type=_FILE, callback=_required)
"""For commands that read the file."""
daemon_option = _config(type=_FILE, callback=_must_exist)
"""For commands that talk to the file's daemon; without a file, to the system's."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")

MOST_ROWS: Final = 200
"""Rows of one page of what the ledger says."""


def listing_options(command: F) -> F:
    """Options that select a page of what the ledger says: `severity`, `limit`, `cursor`,
    `config` and `as_json`."""
    for option in (
        json_option,
        daemon_option,
        click.option("--cursor", help="Continue after a previous page (its next_cursor)."),
        click.option(
            "--limit", "-n", default=50, show_default=True, type=click.IntRange(1, MOST_ROWS),
            help="Rows to list.",
        ),
        click.option(
            "--severity", default="low", show_default=True, type=click.Choice(SEVERITIES),
            help="Lowest severity.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def one_of(words: Iterable[str]) -> click.Choice[str]:
    """The values of an enumeration; click by itself would offer the names of its members."""
    return click.Choice([str(word) for word in words])


task_argument = click.argument("task", metavar="TASK", shell_complete=candidates.any_task)
optional_task_argument = click.argument(
    "task", metavar="[TASK]", required=False, shell_complete=candidates.ended_task
)


def tasks_argument(
    complete: candidates.Complete = candidates.unfinished_task, *, required: bool = True
) -> Callable[[F], F]:
    """One task or more; `complete` offers those that the command is for."""
    return click.argument(
        "tasks",
        metavar="TASK..." if required else "[TASK]...",
        nargs=-1,
        required=required,
        shell_complete=complete,
    )
