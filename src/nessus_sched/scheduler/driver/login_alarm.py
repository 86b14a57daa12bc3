"""Reports early that logins of a running scan fail although the credential worked before: an
expired password is noticed in minutes rather than after a night of scans without logins."""

from __future__ import annotations

from typing import Final

from nessus_sched.core.calendar.zones import local_text
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import ScanDetails
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.scheduler.driver import failures
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.telemetry import events

MANY: Final = 3
"""Failed logins on the first hosts, while none has worked, that are more than a stray host."""


def only_failed(details: ScanDetails) -> bool:
    """Whether logins have failed on the first hosts and worked on none. A scanner that lists no
    plugins of running scans never says so: then there is no alarm."""
    return details.failed_logins >= MANY and not details.worked_logins


async def note(run: ActiveTask) -> None:
    """Once for each attempt, if a credential of the task has worked before; after a restart it may
    be said again if something else has been noted since."""
    task, last = run.task, run.task.last_error
    credentials = task.request.credentials
    noted = run.logins_noted or (last is not None and last.kind == ErrorKind.LOGINS_FAIL)
    if noted or not credentials:
        return
    try:
        worked = await run.context.last_worked(credentials)
    except StoreUnavailable:
        return  # the next look asks again
    if worked is None:
        return
    text = (
        "logins fail on the first hosts, although credential "
        f"{worked.credential} worked on {local_text(worked.at, 'UTC')}"
    )
    if len(credentials) > 1:
        text += f" (it is not known which of its {len(credentials)} credentials fails)"
    run.logins_noted = True
    run.context.log.warning(events.LOGINS_FAIL, task_id=task.task_id, reason=text)
    await run.advance(
        event="logins_fail",
        cause=text,
        error=failures.task_error(run, ErrorKind.LOGINS_FAIL, text, transient=True),
    )
