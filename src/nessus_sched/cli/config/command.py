"""`nessus-sched config`: create, check and show the configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import attrs
import click

from nessus_sched.cli.config.beyond import problems_beyond_reading
from nessus_sched.cli.config.init import init_command
from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.options import EXIT_CONFIG, config_option, json_option
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.core.clock import system_now
from nessus_sched.core.text import pluralize


@click.group("config")
def config_group() -> None:
    """Create, check and show the configuration file."""


@config_group.command("check", short_help="Check the file for mistakes.")
@config_option
@json_option
def check_command(config: Path, as_json: bool) -> None:
    """Check the file for mistakes, and warn about settings that are valid but unwise.

    Mistakes are reported with line and column, including those in report templates. No scanner is
    contacted; `doctor` does that. Exit codes: 0 usable (there may be warnings), 78 not usable.
    """
    from nessus_sched.api.permissions import warnings

    try:
        found = load(config, environ=os.environ)
        if problems := [*problems_beyond_reading(found, str(config))]:
            raise ConfigError(problems)
    except ConfigError as error:
        if as_json:
            listed = [attrs.asdict(problem) for problem in error.problems]
            print_json({"file": str(config), "ok": False, "problems": listed, "warnings": []})
        else:
            for problem in error.problems:
                print_note(str(problem))
        sys.exit(EXIT_CONFIG)
    texts = list(warnings(found, system_now()))
    if as_json:
        print_json({"file": str(config), "ok": True, "problems": [], "warnings": texts})
        return
    for warning in texts:
        print_note(f"warning: {warning}")
    scanners = pluralize(len(found.scanners), "scanner")
    click.echo(f"{config}: ok, {scanners}, {pluralize(len(texts), 'warning')}")


@config_group.command("show", short_help="Print the effective configuration.")
@config_option
@json_option
def show_command(config: Path, as_json: bool) -> None:
    """Print the effective configuration, with all defaults; secrets are shown as ***."""
    from nessus_sched.config.render import effective, to_yaml

    found = load_config_or_exit(config)
    if as_json:
        print_json(effective(found))
    else:
        click.echo(to_yaml(found), nl=False)


@config_group.command("reference", short_help="Print every key with its meaning and default.")
def reference_command() -> None:
    """Print every key of the file with its meaning and default (Markdown)."""
    from nessus_sched.config.reference import reference

    click.echo_via_pager(reference()) if sys.stdout.isatty() else click.echo(reference())


config_group.add_command(init_command)
