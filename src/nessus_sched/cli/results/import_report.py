"""`results import`: a report from elsewhere becomes a completed task.

With a daemon running, the file's content is sent to it; otherwise it is written to the
state directory from here, by the same actions.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

import click

from nessus_sched.api import validation
from nessus_sched.api.admin_import import PIECE, import_answer
from nessus_sched.cli.client import Daemon, NoDaemon, daemon
from nessus_sched.cli.formatting import size
from nessus_sched.cli.load_config import loaded
from nessus_sched.cli.output import note
from nessus_sched.cli.results.files import stream_of
from nessus_sched.cli.trio_run import run
from nessus_sched.config.schema import Config
from nessus_sched.core.clock import system_now
from nessus_sched.core.store_errors import AlreadyRunning, StoreError
from nessus_sched.core.task import Task
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.scheduler.importing import Imports
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.store import TaskStore

ACTOR: Final = "import"
READ_WITHIN: Final = 3600.0
"""Seconds that the daemon has to read a report."""
LARGE: Final = 16 * 2**20


def imported(file: Path, name: str, config: Path | None) -> dict[str, Any]:
    """Stores findings, report and task; an `ImportAnswer`. Raises `click.ClickException`."""
    name = name[:100]
    try:
        with daemon(config) as connection:
            return _sent(connection, file, name)
    except NoDaemon:
        if config is None or not os.access(config, os.R_OK):
            raise
    found = loaded(config)
    try:
        with hold_state_directory(found.state_directory):
            return run(_import, file, name, found)
    except AlreadyRunning as error:
        raise click.ClickException(
            f"{error}, and does not answer; to only look at the file: nessus-sched results show "
            f"{file}"
        ) from error
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _sent(connection: Daemon, file: Path, name: str) -> dict[str, Any]:
    begun = connection.operate("import_begin", name=name, file=file.name)
    task_id, sent = begun["task_id"], 0
    with stream_of(str(file)) as stream:
        while piece := stream.read(PIECE):
            data = base64.b64encode(piece).decode()
            connection.operate("import_piece", task_id=task_id, data=data)
            sent += len(piece)
    if sent > LARGE:
        note(f"{size(sent)} sent; the daemon reads it now")
    connection.wait_up_to(READ_WITHIN)
    return connection.operate("import_end", task_id=task_id)


async def _import(file: Path, name: str, config: Config) -> dict[str, Any]:
    directory = config.state_directory
    exports = ExportStore(directory / "exports")
    exports.prepare()
    findings = await open_findings(directory / "findings.db")
    try:
        async with TaskStore.open(directory, now=system_now) as store:
            reports = Reports(findings, exports, system_now)
            last = await store.last_order()
            imports = Imports(
                store=store,
                reports=reports,
                digest=reports.read,
                now=system_now,
                wall=system_now,
                random=SystemRandom(),
                next_order=lambda: last + 1,
                most=lambda: config.limits.export_size,
            )
            task = await _taken_in(imports, file, name)
    finally:
        await findings.aclose()
    return validation.answer(import_answer(task))[0]


async def _taken_in(imports: Imports, file: Path, name: str) -> Task:
    try:
        task_id = imports.begin(name=name, file=file.name, owner=ACTOR)
        with stream_of(str(file)) as stream:
            while piece := stream.read(PIECE):
                await imports.add(task_id, piece, owner=ACTOR)
        return await imports.finish(task_id, owner=ACTOR, actor=ACTOR)
    except (RequestError, StoreError) as error:
        # Here, because nurseries around us put what they raise into groups.
        raise click.ClickException(str(error)) from error
    finally:
        imports.abandon(ACTOR)  # what could not be read to its end
