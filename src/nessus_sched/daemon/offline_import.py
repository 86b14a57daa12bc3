"""Imports a report into a state directory whose daemon is not running."""

from __future__ import annotations

from random import SystemRandom
from typing import Any, BinaryIO, Final

import trio

from nessus_sched.api import validation
from nessus_sched.api.admin_import import PIECE, import_answer
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.masking import Masker
from nessus_sched.core.task import Task
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.daemon.storage.places import engine_of, exports_of
from nessus_sched.scheduler.importing import Imports
from nessus_sched.store.findings.store import open_findings
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.store import TaskStore

ACTOR: Final = "import"


async def import_offline(
    config: Config, stream: BinaryIO, *, name: str, file: str
) -> dict[str, Any]:
    """Stores findings, report and a completed task; an `ImportAnswer`.

    Raises `AlreadyRunning`; `RequestError` and other `StoreError` may come in a group.
    """
    directory = config.state_directory
    with hold_state_directory(directory):
        findings = await open_findings(directory / "findings.db")
        try:
            engine = engine_of(config)
            async with TaskStore.open_engine(engine, now=system_now) as store:
                exports = exports_of(config, engine)
                await trio.to_thread.run_sync(exports.prepare)
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
                    mask=Masker(secrets_of(config)),
                )
                task = await _import(imports, stream, name, file)
        finally:
            await findings.aclose()
    return validation.answer(import_answer(task))[0]


async def _import(imports: Imports, stream: BinaryIO, name: str, file: str) -> Task:
    try:
        task_id = imports.begin(name=name, file=file, owner=ACTOR)
        while piece := stream.read(PIECE):
            await imports.add(task_id, piece, owner=ACTOR)
        return await imports.finish(task_id, owner=ACTOR, actor=ACTOR)
    finally:
        imports.abandon(ACTOR)  # when the report could not be read to its end
