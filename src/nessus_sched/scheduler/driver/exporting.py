"""Exports a finished scan: fetches its report, reads and stores it."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.core.command import past_deadline
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import NotFound, ScannerError, ScannerInfo, Unreachable
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.remainder import remainder
from nessus_sched.core.targets.targets import targets_from
from nessus_sched.core.task import Ending, Report, Task
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import endings, failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.telemetry import events

MAX_EXPORT_FAILURES = 8
"""Failures of a scanner that answers to give us the report, before we give up. A refusal that
no repetition changes, such as that of a license, is believed at once."""
EDITED = "someone edited its targets on the scanner; all hosts in its report are ours"
PARTIAL_WITHIN = 600.0
"""Seconds in which the results of a scan that ended early are fetched before its task ends; after
that they are fetched when they can be had."""


async def export(run: ActiveTask, connection: Connection) -> None:
    """One try at exporting. The scan itself is not run again because its export failed."""
    ending = run.task.ending
    if ending is None and connection.lost:
        await _keep_deadline(run)
    if run.canceling and (ending is None or run.task.discard):
        await _break_off(run, connection)
        return
    left = math.inf
    if ending is not None and not endings.was_edited(ending):
        left = run.entered_at + PARTIAL_WITHIN - run.context.now()
        if left <= 0 or (connection.retiring and connection.lost):
            await endings.abandon(run, connection.debts, ending)
            return
    elif connection.retiring and connection.lost:
        await endings.abandon(run, connection.debts, ending or endings.removed(connection.id))
        return
    with trio.move_on_after(left):
        await _try(run, connection)


async def _keep_deadline(run: ActiveTask) -> None:
    """A report that cannot be fetched does not keep a task beyond its deadline."""
    deadline, now = run.task.deadline, run.context.wall()
    if deadline is not None and now >= deadline and not run.canceling:
        with suppress(StoreUnavailable):  # the next try does it
            await run.obey(past_deadline(now), report_lost=True)


async def _break_off(run: ActiveTask, connection: Connection) -> None:
    """Canceled meanwhile. The report is fetched later unless its results are discarded."""
    ending = endings.canceled("it was canceled while its report was fetched")
    if run.task.discard:
        await endings.settle(run, ending)
    else:
        await endings.abandon(run, connection.debts, ending)


async def _try(run: ActiveTask, connection: Connection) -> None:
    try:
        with run.until_canceled():
            await _fetch(run, connection)
    except NotFound:
        message = "the scan was deleted on the scanner before its export"
        if run.task.ending is not None:
            await endings.settle(run, run.task.ending)
        else:
            await failures.fail(run, ErrorKind.SCAN_VANISHED, message)
    except ScannerError as error:
        await _failed(run, connection, error)
    except (StoreUnavailable, OSError) as error:
        await _try_later(
            run, connection, ErrorKind.DISK_TROUBLE, f"the report cannot be kept: {error}"
        )


async def _fetch(run: ActiveTask, connection: Connection) -> None:
    task, context = run.task, run.context
    assert task.nessus_scan_id is not None
    path = context.exports.scratch(task.task_id)
    info = await _info_after(connection)
    try:
        async with connection.exporting:
            size = await connection.scanner.export(task.nessus_scan_id, task.history_id, path)
            context.log.info(events.EXPORTED, bytes=size)
        async with context.turns.of(f"results of {task.task_id}"):
            ending = task.ending
            if ending is not None and endings.was_edited(ending):
                if await _has_foreign_hosts(run, path):
                    await endings.settle(run, ending)
                    return
                ending = None
            early = None if ending is None else ending.message
            changes = await kept(
                context, run.task, path, info, early,
                attempt=task.attempt, scanner_instance=connection.id,
            )  # fmt: skip
            await _finish(run, ending, size, changes)
    finally:
        path.unlink(missing_ok=True)


async def _has_foreign_hosts(run: ActiveTask, path: Path) -> bool:
    """Whether a scan that was edited has scanned what its task did not ask for."""
    ours = targets_from((*run.task.to_scan, *run.task.resolved))
    return await run.context.exports.foreign_host(path, ours) is not None


async def _finish(
    run: ActiveTask, ending: Ending | None, size: int, changes: dict[str, Any]
) -> None:
    if ending is not None:
        await endings.settle(run, ending, **changes)
        return
    edited = run.task.ending is not None
    await run.advance(
        TaskState.COMPLETED,
        event="completed",
        cause=EDITED if edited else "",
        ending=None,
        detail={"bytes": size, "findings": changes["summary"]["findings"]},
        **changes,
    )


async def kept(
    context: Context,
    task: Task,
    path: Path,
    info: ScannerInfo | None,
    early: str | None,
    *,
    attempt: int,
    scanner_instance: str | None,
) -> dict[str, Any]:
    """Keeps the report of an attempt and reads it together with those of the others; returns
    the changes of its task. `early` says why the scan ended early."""
    exports = context.exports
    others = [each for each in task.kept_reports if each.attempt != attempt]
    remaining: tuple[str, ...] | None = None if task.remaining is None else ()
    if early is not None:
        remaining = remainder(task.to_scan, await exports.finished_hosts(path))
    whole = (
        remaining == () or task.state is TaskState.COMPLETED or any(each.whole for each in others)
    )
    partial = None if whole else early
    before = [each for each in others if each.attempt < attempt]
    after = [each for each in others if each.attempt > attempt]
    paths = [
        *(exports.kept(each.file) for each in before),
        path,
        *(exports.kept(each.file) for each in after),
    ]
    read_as = attrs.evolve(
        task,
        partial=partial,
        remaining=() if whole else remaining or (),
        scanner_instance=scanner_instance,
    )
    summary = await context.digest(read_as, paths, info)
    file = await exports.keep(task.task_id, path, attempt)
    report = Report(
        attempt=attempt,
        scanner_instance=scanner_instance,
        file=file,
        at=context.wall(),
        whole=early is None,
    )
    return {
        "summary": summary,
        "export_file": file,
        "reports": (*before, report, *after),
        "partial": partial,
        "remaining": remaining,
    }


async def _info_after(connection: Connection) -> ScannerInfo | None:
    """Read again if this scan may have used up the license. Only for a warning, so a failure
    does not matter."""
    info = connection.info
    if info is None or info.licensed_hosts is None:
        return info
    try:
        return await connection.scanner.info()
    except ScannerError:
        return info


async def _failed(run: ActiveTask, connection: Connection, error: ScannerError) -> None:
    if connection.answers and not isinstance(error, Unreachable):
        run.step_failures += 1
    give_up = run.step_failures >= MAX_EXPORT_FAILURES or _is_final(error)
    if give_up and run.task.ending is not None:
        await _lost(run, run.task.ending, error)
        return
    if give_up:
        message = f"the report could not be fetched: {error}"
        await failures.fail(run, error.kind, message, exhausted=True)
        return
    await _try_later(run, connection, error.kind, str(error), error.retry_after)


def _is_final(error: ScannerError) -> bool:
    """A refusal that no repetition changes; an odd answer is none."""
    return FAULTS[error.kind].final and error.kind is not ErrorKind.SCANNER_ERROR


async def _lost(run: ActiveTask, ending: Ending, error: ScannerError) -> None:
    """Ends the task although its partial results cannot be fetched."""
    message = f"{ending.message}; its results could not be fetched: {error}"
    await endings.settle(run, attrs.evolve(ending, message=message))


async def _try_later(
    run: ActiveTask,
    connection: Connection,
    kind: ErrorKind,
    message: str,
    retry_after: float | None = None,
) -> None:
    await run.advance(
        event="export_delayed",
        cause=message,
        error=failures.task_error(run, kind, message, transient=True),
    )
    settings = run.context.config.scheduling
    delay = backoff(
        run.step_failures + 1,
        base=settings.backoff_base,
        maximum=settings.backoff_max,
        random=run.context.random,
        retry_after=retry_after,
    )
    await failures.wait_until_usable(run, connection, delay)
