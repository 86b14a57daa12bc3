"""`results import`: stores a report from elsewhere as a completed task.

A running daemon receives the file's content; otherwise this process writes it to the state
directory, by the same operations.
"""

from __future__ import annotations

import base64
import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.api.admin_import import PIECE
from nessus_sched.cli.client import Daemon, NoDaemon, daemon
from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.output import print_note
from nessus_sched.cli.results.files import stream_of
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.config.schema import Config
from nessus_sched.core.store_errors import AlreadyRunning, StoreError
from nessus_sched.core.text import size
from nessus_sched.scheduler.errors import RequestError

ACTOR: Final = "import"
READ_WITHIN: Final = 3600.0
"""Seconds for the daemon to read a report."""
LARGE: Final = 16 * 2**20


def import_report(file: Path, name: str, config: Path | None) -> dict[str, Any]:
    """Stores findings, report and task; an `ImportAnswer`. Raises `click.ClickException`."""
    name = name[:100]
    try:
        with daemon(config) as connection:
            return _send_to_daemon(connection, file, name)
    except NoDaemon:
        if config is None or not os.access(config, os.R_OK):
            raise
    return _import_offline(file, name, load_config_or_exit(config))


def _import_offline(file: Path, name: str, config: Config) -> dict[str, Any]:
    """Imports without a daemon."""
    from nessus_sched.daemon.offline_import import import_offline

    try:
        with stream_of(str(file)) as stream:
            work = partial(import_offline, config, stream, name=name, file=file.name)
            return run_trio(work, expected=(RequestError, StoreError))
    except AlreadyRunning as error:
        raise click.ClickException(
            f"{error}, and does not answer; to look at the file without importing it: "
            f"nessus-sched results show {file}"
        ) from error
    except (RequestError, StoreError) as error:
        raise click.ClickException(str(error)) from error


def _send_to_daemon(connection: Daemon, file: Path, name: str) -> dict[str, Any]:
    begun = connection.operate("import_begin", name=name, file=file.name)
    task_id, sent = begun["task_id"], 0
    with stream_of(str(file)) as stream:
        while piece := stream.read(PIECE):
            data = base64.b64encode(piece).decode()
            connection.operate("import_piece", task_id=task_id, data=data)
            sent += len(piece)
    if sent > LARGE:
        print_note(f"{size(sent)} sent; the daemon is reading it")
    connection.wait_up_to(READ_WITHIN)
    return connection.operate("import_end", task_id=task_id)
