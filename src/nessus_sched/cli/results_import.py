"""`results import`: a report from elsewhere becomes a completed task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

import click
import trio

from nessus_sched.cli.configured import loaded
from nessus_sched.cli.reports import nothing_read, store_report, stream_of
from nessus_sched.cli.running import run
from nessus_sched.core.clock import system_now
from nessus_sched.core.ids import new_task_id, new_trace_id
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets import BadTargets, parse_targets
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.store.errors import AlreadyRunning, StoreError
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks import TaskStore

ACTOR: Final = "import"


def imported(file: Path, name: str, config: Path) -> dict[str, Any]:
    """Stores findings, report and task; what became of it. Raises `click.ClickException`."""
    directory = loaded(config).state_directory
    try:
        with hold_state_directory(directory):
            return run(_import, file, name, directory)
    except AlreadyRunning as error:
        raise click.ClickException(
            f"{error}; stop the daemon to import, or look at the file itself: nessus-sched "
            f"results show {file}"
        ) from error
    except StoreError as error:
        raise click.ClickException(str(error)) from error


async def _import(file: Path, name: str, directory: Path) -> dict[str, Any]:
    now, random = system_now(), SystemRandom()
    exports = ExportStore(directory / "exports")
    async with TaskStore.open(directory, now=system_now) as store:
        order = await store.last_order() + 1
        task_id = new_task_id(random, now)
        await trio.to_thread.run_sync(exports.prepare)
        with stream_of(str(file)) as stream:
            summary = await store_report(stream, directory / "findings.db", task_id, at=now)
        nothing_read(str(file), summary)
        with stream_of(str(file)) as stream:
            kept = await trio.to_thread.run_sync(exports.write, task_id, stream)
        task = Task(
            task_id=task_id,
            trace_id=new_trace_id(random),
            request=_request(name, summary),
            actor=ACTOR,
            created_at=now,
            order=order,
            state=TaskState.COMPLETED,
            entered={TaskState.COMPLETED: now},
            export_file=kept,
            summary=summary,
            cleaned=True,
        )
        entry = JournalEntry(
            at=now,
            event="imported",
            actor=ACTOR,
            task_id=task_id,
            after=TaskState.COMPLETED,
            detail={"file": file.name},
        )
        await store.submit(task, entry)
    return {"task_id": task_id, "name": name, **_told(summary)}


def _request(name: str, summary: Mapping[str, Any]) -> ScanRequest:
    hosts = [each["host"] for each in summary["host_verdicts"]]
    return ScanRequest(
        kind=ScanKind.CUSTOM, targets=tuple(filter(_readable, hosts)), name=name[:100]
    )


def _readable(target: str) -> bool:
    try:
        parse_targets([target])
    except BadTargets:
        return False
    return True


def _told(summary: Mapping[str, Any]) -> dict[str, Any]:
    keys: Sequence[str] = ("hosts", "findings", "severity_counts", "complete", "problems")
    return {key: summary[key] for key in keys}
