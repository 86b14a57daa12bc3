"""Repays what is owed on a scanner that answers again: stops, reads and removes the scans that
were given up (see `debts`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import trio

from nessus_sched.core.scanner import (
    ENDED,
    MAY_RUN,
    NotFound,
    RemoteScan,
    ScannerError,
    ScanStatus,
    Unreachable,
)
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.scheduler.driver import exporting
from nessus_sched.scheduler.driver.connection import Connection
from nessus_sched.scheduler.driver.debts import Debt
from nessus_sched.telemetry import events

REPEAT_STOP = 30.0
"""Seconds before a stop that has not taken effect is requested again."""
TRIES = 8
"""Failed requests to a scanner that answers before the report is given up."""
PAUSE = 60.0
"""Seconds between two tries to fetch a report."""


async def repay(connection: Connection, rows: Sequence[RemoteScan]) -> None:
    """Does what the scanner's list shows can be done now. Returns at once while another round
    is under way."""
    try:
        connection.repaying.acquire_nowait()
    except trio.WouldBlock:
        return
    try:
        for debt in connection.debts.of(connection.id):
            row = next(filter(debt.is_of, rows), None)
            if debt.not_before <= connection.context.now():
                await _repay(debt, connection, row)
    finally:
        connection.repaying.release()


async def _repay(debt: Debt, connection: Connection, row: RemoteScan | None) -> None:
    debts, scanner = connection.debts, connection.scanner
    try:
        if row is None:
            if debt.owed.scan_id is not None:
                await _confirm_gone(debt, connection, debt.owed.scan_id)
            else:
                await debts.close(debt, "owed_scan_gone")
        elif not row.ours:
            await debts.close(debt, "owed_scan_left_alone")
        elif row.status in MAY_RUN:
            debt.not_before = connection.context.now() + REPEAT_STOP
            await scanner.stop(row.scan_id, debt.marks)
            connection.look_soon()
        elif row.status is ScanStatus.EMPTY or (row.status in ENDED and not debt.owed.keep):
            await scanner.delete(row.scan_id, debt.marks)
            await debts.close(debt, "owed_scan_removed")
        elif row.status in ENDED:
            await _fetch(debt, connection, row)
    except NotFound:
        await debts.close(debt, "owed_scan_gone")
    except ScannerError as error:
        await _failed(debt, connection, error, listed=row is not None)
    except (StoreUnavailable, OSError) as error:
        _later(debt, connection, str(error))


async def _confirm_gone(debt: Debt, connection: Connection, scan_id: int) -> None:
    """A single list may lack a scan that is there, but not all lists. Raises `NotFound` if it is
    gone."""
    await connection.scanner.details(scan_id)
    debt.failures += 1
    if debt.failures >= TRIES:
        await connection.debts.close(debt, "owed_scan_gone")
    else:
        _later(debt, connection, "the scanner shows its scan but does not list it")


async def _failed(debt: Debt, connection: Connection, error: ScannerError, *, listed: bool) -> None:
    if connection.answers and not isinstance(error, Unreachable):
        debt.failures += 1
    if debt.failures >= TRIES and not (debt.occupies and listed):
        await connection.debts.close(debt, "partial_results_lost", cause=str(error))
    else:
        _later(debt, connection, str(error))


def _later(debt: Debt, connection: Connection, reason: str) -> None:
    debt.not_before = connection.context.now() + PAUSE
    connection.log.info(events.CLEANUP_DELAYED, task_id=debt.task_id, reason=reason)


async def _fetch(debt: Debt, connection: Connection, row: RemoteScan) -> None:
    """Fetches what the scan found, and keeps it unless there is something better."""
    context, scanner, debts = connection.context, connection.scanner, connection.debts
    details = await scanner.details(row.scan_id, uuid=debt.owed.scan_uuid)
    path = context.exports.scratch(debt.key)
    try:
        async with connection.exporting:
            await scanner.export(row.scan_id, details.history_id, path)
        async with context.turns.of(f"results of {debt.task_id}"):
            task = await debts.task(debt.task_id)
            changes: dict[str, Any] = {}
            finished: Collection[str] = ()
            if task is not None:
                finished = await context.exports.finished_hosts(path)
                owed = debt.owed
                changes = await exporting.kept(
                    context, task, path, None, owed.reason,
                    attempt=owed.attempt, scanner_instance=owed.scanner_instance,
                )  # fmt: skip
                changes.pop("remaining")
            await debts.close(debt, "partial_results_kept", finished=finished, **changes)
    finally:
        path.unlink(missing_ok=True)
