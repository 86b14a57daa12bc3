"""`nessus-sched serve`: the daemon."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import trio

from nessus_sched.cli.options import config_option
from nessus_sched.cli.running import leaves
from nessus_sched.config.problems import ConfigError
from nessus_sched.daemon.serve import ServeOptions, serve
from nessus_sched.http.server import HttpTrouble
from nessus_sched.mcp.listener import SocketTrouble
from nessus_sched.store.errors import StoreError

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: the service unit does not restart after it."""


EXPECTED = (ConfigError, StoreError, SocketTrouble, HttpTrouble)


@click.command("serve")
@config_option
@click.option("--stdio", is_flag=True, help="Also speak MCP on stdin and stdout; end with them.")
@click.option("--on-demand", is_flag=True, help="End when there is no client and nothing to do.")
def serve_command(config: Path, stdio: bool, on_demand: bool) -> None:
    """Run the daemon in the foreground.

    It drives the scanners of the configuration, listens on a Unix socket for MCP clients and
    this command, and serves /health and /metrics. SIGTERM stops it and leaves running scans
    on their scanners; SIGHUP re-reads the configuration.
    """
    os.umask(0o077)
    with cannot_start():
        trio.run(serve, ServeOptions(config_file=config, stdio=stdio, on_demand=on_demand))


@contextmanager
def cannot_start() -> Iterator[None]:
    """One clear sentence, and an exit code, for each thing that keeps a daemon from starting."""
    try:
        yield
    except (BaseExceptionGroup, *EXPECTED) as error:
        found = list(leaves(error))
        if not all(isinstance(each, EXPECTED) for each in found):
            raise
        for each in found:
            click.echo(f"nessus-sched: {each}", err=True)
        sys.exit(EXIT_CONFIG if any(isinstance(each, ConfigError) for each in found) else 1)
