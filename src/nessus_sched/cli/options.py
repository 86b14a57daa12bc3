"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nessus_sched.mcp import rendezvous


def _default_config() -> str | None:
    return rendezvous.default_config(os.environ)


config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    default=_default_config,
    required=True,
    metavar="FILE",
    help="Configuration file. Default: $NESSUS_SCHED_CONFIG, then the user's, then "
    f"{rendezvous.SYSTEM_CONFIG}.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
