"""Loads the configuration for a command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from nessus_sched.cli.options import EXIT_CONFIG
from nessus_sched.config.loading import load
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.schema import Config


def load_config_or_exit(file: Path) -> Config:
    """The configuration; mistakes are printed to stderr and end the command with exit code 78."""
    try:
        return load(file, environ=os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"nessus-sched: {problem}", err=True)
        sys.exit(EXIT_CONFIG)
