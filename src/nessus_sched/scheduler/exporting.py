"""A finished scan: fetch its report, read it, judge it, keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import NotFound, ScannerError, ScannerInfo, Unreachable
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.scheduler import failures
from nessus_sched.scheduler.run import Run
from nessus_sched.telemetry import events

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

BAD_EXPORTS = 8
"""Failures of a scanner that answers to give us the report, before we give up."""


async def export(run: Run, driver: Driver) -> None:
    """One try at exporting. The scan itself is not run again because its export failed."""
    if run.canceling:
        await run.advance(TaskState.CANCELED, event="canceled", cause="canceled while exporting")
        return
    try:
        with run.until_canceled():
            await _fetch(run, driver)
    except NotFound:
        await failures.fail(
            run, ErrorKind.SCAN_VANISHED, "the scan was deleted on the scanner before its export"
        )
    except ScannerError as error:
        await _failed(run, driver, error)
    except (StoreUnavailable, OSError) as error:
        await _try_later(run, driver, ErrorKind.DISK_TROUBLE, f"the report cannot be kept: {error}")


async def _fetch(run: Run, driver: Driver) -> None:
    task, context = run.task, run.context
    assert task.nessus_scan_id is not None
    path = context.exports.scratch(task.task_id)
    info = await _info_after(driver)
    try:
        async with driver.exporting:
            size = await driver.scanner.export(task.nessus_scan_id, task.history_id, path)
            context.log.info(events.EXPORTED, bytes=size)
        summary = await context.digest(task, path, info)
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


async def _info_after(driver: Driver) -> ScannerInfo | None:
    """Asked anew where there is a licence that this very scan may have used up. It serves a
    warning only: no report is given up because it was not told."""
    info = driver.link.info
    if info is None or info.licensed_hosts is None:
        return info
    try:
        return await driver.scanner.info()
    except ScannerError:
        return info


async def _failed(run: Run, driver: Driver, error: ScannerError) -> None:
    if driver.answers and not isinstance(error, Unreachable):
        run.setbacks += 1
    if run.setbacks >= BAD_EXPORTS:
        message = f"the report could not be fetched: {error}"
        await failures.fail(run, error.kind, message, exhausted=True)
        return
    await _try_later(run, driver, error.kind, str(error), error.retry_after)


async def _try_later(
    run: Run, driver: Driver, kind: ErrorKind, message: str, retry_after: float | None = None
) -> None:
    await run.advance(
        event="export_delayed",
        cause=message,
        error=failures.task_error(run, kind, message, transient=True),
    )
    settings = run.context.config.scheduling
    delay = backoff(
        run.setbacks + 1,
        base=settings.backoff_base,
        maximum=settings.backoff_max,
        random=run.context.random,
        retry_after=retry_after,
    )
    await failures.usable_again(run, driver, delay)
