"""A finished scan: fetch its report, read it, judge it, keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import NotFound, ScannerError, TransientError
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler import setbacks
from nessus_sched.scheduler.run import Run

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

BAD_EXPORTS = 8
"""Reports in a row that came back broken, from a scanner that answers, before we give up."""


async def export(run: Run, driver: Driver) -> None:
    """One try at exporting. The scan itself is not run again because its export failed."""
    if run.canceling:
        await run.advance(TaskState.CANCELED, event="canceled", cause="canceled while exporting")
        return
    try:
        await _fetch(run, driver)
    except NotFound:
        await setbacks.bury(
            run, "scan_vanished", "the scan was deleted on the scanner before its export"
        )
    except TransientError as error:
        await _try_later(run, driver, error)
    except ScannerError as error:
        await setbacks.bury(run, error.kind, str(error))


async def _fetch(run: Run, driver: Driver) -> None:
    task, context = run.task, run.context
    assert task.nessus_scan_id is not None
    path = context.exports.scratch(task.task_id)
    try:
        async with driver.exporting:
            size = await driver.scanner.export(task.nessus_scan_id, task.history_id, path)
            context.log.info("exported", bytes=size)
        summary = await context.digest(task, path)
        file = await context.exports.keep(task.task_id, path)
    finally:
        path.unlink(missing_ok=True)
    await run.advance(
        TaskState.COMPLETED,
        event="completed",
        summary=summary,
        export_file=file,
        detail={"bytes": size, "findings": summary["findings"]},
    )


async def _try_later(run: Run, driver: Driver, error: TransientError) -> None:
    run.setbacks += 1
    if driver.answers and run.setbacks >= BAD_EXPORTS:
        await setbacks.bury(run, error.kind, f"the report could not be fetched: {error}")
        return
    await run.advance(
        event="export_delayed",
        cause=str(error),
        error=setbacks.task_error(run, error.kind, str(error), transient=True),
    )
    settings = run.context.config.scheduling
    delay = backoff(
        run.setbacks,
        base=settings.backoff_base,
        maximum=settings.backoff_max,
        random=run.context.random,
        retry_after=error.retry_after,
    )
    await run.woken(within=delay)
    await driver.contact()
