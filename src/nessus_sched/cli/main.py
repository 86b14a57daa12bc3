"""The `nessus-sched` command: its subcommands, loaded only when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from nessus_sched import __version__

COMMANDS = {
    "serve": "nessus_sched.cli.serve:serve_command",
    "mcp": "nessus_sched.cli.relay:mcp_command",
    "demo": "nessus_sched.cli.demo:demo_command",
    "sim": "nessus_sched.cli.sim:sim_command",
    "config": "nessus_sched.cli.config:config_group",
}
"""Each subcommand and where it is."""


class LazyGroup(click.Group):
    """Imports a subcommand's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        place = COMMANDS.get(name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: Any = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nessus-sched")
def cli() -> None:
    """Queue vulnerability scans on your Nessus scanners, and read what they found.

    Start with `nessus-sched demo`: it needs no scanner.
    """


def main() -> int:
    """Runs the command line; the exit code: 0 fine, 1 failed, 2 wrong usage."""
    result: object = cli.main(standalone_mode=True)
    return result if isinstance(result, int) else 0
