"""From an intent in the journal to a scan that runs: exactly once per attempt.

The order of steps is the promise (P2): the intent is journaled before anything is
created, the scan id before anything is launched, the uuid as soon as it is known. An
answer that was lost makes the run *unsure*, and an unsure run looks for its marker on
the scanner before it does anything again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from nessus_sched.core.scanner import (
    NoCapacity,
    NotFound,
    NotReady,
    RemoteScan,
    ScannerError,
    ScanStatus,
    TransientError,
    Unreachable,
)
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler import setbacks
from nessus_sched.scheduler.plan import PlanError, plan
from nessus_sched.scheduler.run import Run

if TYPE_CHECKING:
    from nessus_sched.scheduler.driver import Driver

SETTLE = 5.0
"""Seconds given to a request whose answer was lost before its absence is believed."""
TROUBLES = 5
"""Setbacks in one attempt, on a scanner that answers, before the attempt has failed."""


async def launch(run: Run, driver: Driver) -> None:
    """One try at getting the present attempt's scan to run. Afterwards the run is in
    another state, or still launching and to be tried again."""
    try:
        if run.unsure:
            await _look(run, driver)
        if run.task.state is not TaskState.LAUNCHING:
            return
        if run.canceling or run.setbacks >= TROUBLES:
            await _give_up(run, driver)
            return
        await _create(run, driver)
        await _start(run, driver)
    except PlanError as error:
        await _bury(run, driver, error.kind, str(error))
    except ScannerError as error:
        await _went_wrong(run, driver, error)


async def _went_wrong(run: Run, driver: Driver, error: ScannerError) -> None:
    """A request of the launch failed: what that means depends on what may have happened."""
    if not isinstance(error, TransientError):
        await _bury(run, driver, error.kind, str(error))
        return
    untouched = isinstance(error, Unreachable | NotReady) and not run.unsure
    if isinstance(error, NoCapacity) or (untouched and run.task.nessus_scan_id is None):
        await _requeue(run, driver, error)
        return
    # Even a 5xx may have taken effect.
    run.unsure = run.unsure or not untouched
    await setbacks.pause_launch(run, driver, error)


async def _create(run: Run, driver: Driver) -> None:
    if run.task.nessus_scan_id is not None:
        return
    order = await plan(run.task, run.context)
    scan_id = await driver.scanner.create_scan(order)
    await run.advance(event="scan_created", nessus_scan_id=scan_id, detail={"scan_id": scan_id})


async def _start(run: Run, driver: Driver) -> None:
    assert run.task.nessus_scan_id is not None
    try:
        uuid = await driver.scanner.launch(run.task.nessus_scan_id)
    except NotFound:
        # Somebody deleted it between our two requests: create it anew.
        await run.advance(event="scan_vanished", nessus_scan_id=None)
        run.setbacks += 1
        return
    await _launched(run, driver, uuid, event="launched")


async def _launched(run: Run, driver: Driver, uuid: str | None, *, event: str) -> None:
    run.unsure = False
    run.seen = False
    await run.advance(
        TaskState.RUNNING,
        event=event,
        detail={"scan_uuid": uuid},
        scan_uuid=uuid,
        launched_at=run.context.now(),
    )
    driver.look_soon()


async def _look(run: Run, driver: Driver) -> None:
    """Finds out what became of a request whose answer was lost; leaves the run sure."""
    found = await driver.scanner.find_by_marker(run.task.marker)
    if found is None or found.status is ScanStatus.EMPTY:
        # It may still be on its way through a slow scanner.
        await trio.sleep(SETTLE)
        found = await driver.scanner.find_by_marker(run.task.marker)
    if found is not None and found.status is not ScanStatus.EMPTY:
        await _adopt(run, driver, found)
        return
    if found is None:
        if run.task.nessus_scan_id is not None:
            await run.advance(event="scan_vanished", nessus_scan_id=None)
    elif found.scan_id != run.task.nessus_scan_id:
        await run.advance(
            event="scan_found", nessus_scan_id=found.scan_id, detail={"scan_id": found.scan_id}
        )
    run.unsure = False


async def _adopt(run: Run, driver: Driver, found: RemoteScan) -> None:
    if run.task.nessus_scan_id != found.scan_id:
        await run.advance(event="scan_found", nessus_scan_id=found.scan_id)
    details = await driver.scanner.details(found.scan_id)
    await _launched(run, driver, details.uuid or found.uuid, event="adopted")


async def _give_up(run: Run, driver: Driver) -> None:
    """Ends an attempt of which it is certain that nothing runs."""
    await _discard(run, driver)
    if run.canceling:
        await run.advance(
            TaskState.CANCELED, event="canceled", cause="canceled before its scan was launched"
        )
        return
    error = run.task.last_error
    kind, message = (error.kind, error.message) if error else ("scanner_trouble", "launch failed")
    await setbacks.fail_attempt(run, kind, message)


async def _bury(run: Run, driver: Driver, kind: str, message: str) -> None:
    await _discard(run, driver)
    await setbacks.bury(run, kind, message)


async def _discard(run: Run, driver: Driver) -> None:
    """Removes the created but never launched scan; what cannot be removed now is left to
    housekeeping, which knows it by its marker."""
    scan_id = run.task.nessus_scan_id
    if scan_id is None:
        return
    try:
        await driver.scanner.delete(scan_id, run.task.marker)
    except ScannerError as error:
        run.context.log.info("scan_left_behind", scan_id=scan_id, reason=str(error))


async def _requeue(run: Run, driver: Driver, error: TransientError) -> None:
    """Nothing runs, and it is not the task's fault: back to its old place in the queue."""
    await _discard(run, driver)
    driver.troubled(error)
    await run.advance(
        TaskState.QUEUED,
        event="requeued",
        cause=str(error),
        error=setbacks.task_error(run, error.kind, str(error), transient=True),
        nessus_scan_id=None,
    )
