"""`nessus-sched serve`: the daemon."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.options import EXIT_CONFIG, config_option
from nessus_sched.config.schema import Config
from nessus_sched.core.error_groups import flatten_exceptions

OPEN_FILES: Final = 4096
"""As in the systemd unit."""
EXIT_TAKEN_OVER: Final = 75
"""`EX_TEMPFAIL` of sysexits.h: started again, the daemon waits."""
_PR_SET_DUMPABLE: Final = 4


@click.command("serve")
@config_option
@click.option("--stdio", is_flag=True, help="Also speak MCP on stdin and stdout, until they close.")
@click.option("--on-demand", is_flag=True, help="Exit when idle: no client and nothing to do.")
@click.option(
    "--accept-configuration",
    is_flag=True,
    help="Lead even if the daemon that led last, on another machine, was configured differently.",
)
def serve_command(config: Path, stdio: bool, on_demand: bool, accept_configuration: bool) -> None:
    """Run the daemon in the foreground.

    It drives the configured scanners, listens on a Unix socket for MCP clients and this
    command, and serves /health and /metrics. SIGTERM stops it and leaves running scans on their
    scanners; SIGHUP reloads the configuration.

    With a store in PostgreSQL, any number of daemons may run. One leads; the others are on standby:
    they answer what they can read in the store, and take over within 15 seconds when the leader is
    gone.

    Exit codes: 0 stopped, 1 cannot start, 75 another daemon has taken over, 78 a mistake in the
    configuration, one that differs from the leader's, or a store of a newer version.
    """
    keep_private()
    allow_many_files()
    _serve(
        config,
        load_config_or_exit(config),
        stdio=stdio,
        on_demand=on_demand,
        accept_configuration=accept_configuration,
    )


def keep_private() -> None:
    """Makes files private, and keeps secrets out of core dumps and away from other processes of
    the same user.

    PR_SET_DUMPABLE (prctl(2)) also works where cores are piped to a collector, which
    RLIMIT_CORE does not. In place of a core, a fault of the interpreter prints every thread's
    position to stderr, without values.
    """
    faulthandler.enable(2)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def allow_many_files() -> None:
    """Raises the soft limit on open files, often 1,024. Clients, HTTP and many scanners need more,
    and a daemon without a free one accepts no connections, not even for /health."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _serve(file: Path, config: Config, **how: Any) -> None:
    # What is imported and read at the start stays as long as the process. Looking for garbage
    # among it takes a tenth of the imports, a third of a start with a long queue, and later
    # 120 ms of the loop at a time. `freeze_and_resume_gc` collects again.
    gc.disable()

    # Report mistakes in the configuration before spending a second on these imports.
    import trio

    from nessus_sched.daemon.serve import ServeOptions, serve

    with cannot_start():
        trio.run(serve, config, ServeOptions(config_file=file, **how))


@contextmanager
def cannot_start() -> Iterator[None]:
    """Prints one sentence for each error that keeps a daemon from starting."""
    from nessus_sched.core.store_errors import (
        OtherConfiguration,
        StoreError,
        StoreTakenOver,
        WrongSchema,
    )
    from nessus_sched.http.server import HttpTrouble
    from nessus_sched.ipc.listener import SocketError

    expected = (StoreError, SocketError, HttpTrouble)
    try:
        yield
    except StoreTakenOver as error:
        click.echo(f"nessus-sched: {error}", err=True)
        sys.exit(EXIT_TAKEN_OVER)
    except (BaseExceptionGroup, *expected) as error:
        found = list(flatten_exceptions(error))
        if not all(isinstance(each, expected) for each in found):
            raise
        for each in found:
            click.echo(f"nessus-sched: {each}", err=True)
        lasting = any(isinstance(each, WrongSchema | OtherConfiguration) for each in found)
        sys.exit(EXIT_CONFIG if lasting else 1)
