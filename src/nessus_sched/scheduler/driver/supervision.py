"""Restarts a scanner's driver after a bug in it, so that the others are not affected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import trio

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.retry import backoff
from nessus_sched.core.scanner import TransientError
from nessus_sched.core.store_errors import StoreTakenOver
from nessus_sched.scheduler.driver.driver import Driver
from nessus_sched.telemetry import events

FIRST_RESTART = 5.0
LAST_RESTART = 300.0
"""Seconds before a driver that failed starts again, at first and at most."""
STEADY = 900.0
"""Seconds of work after which an earlier failure no longer counts."""


class DriverFailed(TransientError):
    """The scanner's driver failed because of a bug."""

    kind = ErrorKind.INTERNAL_ERROR


Replace = Callable[[Driver, DriverFailed], Awaitable[Driver]]
"""Puts another driver in the place of one that failed, with all its tasks."""


async def supervise(
    driver: Driver,
    replace: Replace,
    random: Random,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Runs the driver, and after a failure another in its place, with a growing delay.

    This is the only place that catches every exception: what a scanner does wrong is a
    `ScannerError` and never gets here. An error while the tasks are handed over is not caught:
    their state is then unknown, and the daemon must restart. `StoreTakenOver` ends it, too.
    """
    failures, after = 0, 0.0
    while True:
        began, bug = trio.current_time(), None
        try:
            await driver.run(after=after, task_status=task_status)
        except* StoreTakenOver:
            raise
        except* Exception as group:  # noqa: BLE001 - see above
            bug = group
        if bug is None:
            return
        if trio.current_time() - began - after >= STEADY:
            failures = 0
        failures += 1
        after = backoff(failures, base=FIRST_RESTART, maximum=LAST_RESTART, random=random)
        driver.connection.log.error(
            events.DRIVER_FAILED, failures=failures, restart_in=round(after, 1), exc_info=bug
        )
        if driver.leaving:
            return
        told = f"an internal error in nessus-sched; it resumes in {after:.0f} s (see its log)"
        driver = await replace(driver, DriverFailed(told, retry_after=after))
        task_status = trio.TASK_STATUS_IGNORED
