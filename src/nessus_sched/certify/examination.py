"""The examination of one scanner, step by step.

Each check becomes a row of the table. If one fails, the checks that depend on it are skipped. In
any case all scans that were created are stopped and deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from nessus_sched.certify.rows import CHECKS, CheckEnded, Result, Row, Table
from nessus_sched.certify.scanner_checks import check_scanner, log_in
from nessus_sched.certify.scans import Scans, Subject, marked, remove
from nessus_sched.certify.trials import Trials
from nessus_sched.core.measured import Measured, identity_of
from nessus_sched.core.scanner import ScannerError, ScannerInfo
from nessus_sched.core.text import pluralize

CLEANED_WITHIN: Final = 60.0
"""Seconds for deleting the scans of an interrupted examination."""


@attrs.frozen(kw_only=True)
class Outcome:
    """`measured` is None if the scanner could not even be identified."""

    rows: Sequence[Row]
    measured: Measured | None
    clean: bool
    """Whether all of its scans were deleted."""
    recording: str | None = None
    """The path of the recording."""


async def examine(subject: Subject, on_row: Callable[[Row], None] = lambda _row: None) -> Outcome:
    """Runs all checks. Cleans up even if canceled."""
    table, scans = Table(on_row), Scans(subject)
    trials = Trials(subject, scans, table)
    info: ScannerInfo | None = None
    clean = False
    try:
        info = await log_in(subject, table)
        trials.facts["idle_timeout"] = await check_scanner(subject, info, table)
        await _scan(trials, table)
    except CheckEnded as ended:
        table.skip((check for check in CHECKS if check != "delete"), str(ended))
    finally:
        with trio.move_on_after(CLEANED_WITHIN, shield=True):
            clean = await _clean_up(subject, scans, table)
    rows = table.rows()
    return Outcome(rows=rows, measured=_measured(subject, info, rows, trials.facts), clean=clean)


async def _scan(trials: Trials, table: Table) -> None:
    """Runs the scans. If the first one does not start, the others are skipped."""
    parts = (
        (trials.whole_scan, ("create", "launch", "history", "export", "what ran")),
        (trials.interrupted_scan, ("pause", "resume", "stop", "partial export")),
        (trials.selected_plugins, ("plugin selection",)),
    )
    for part, checks in parts:
        try:
            await part()
        except CheckEnded as ended:
            if table.failed("create") or table.failed("launch"):
                raise
            table.skip(checks, str(ended))
        finally:
            trials.defaults()


async def _clean_up(subject: Subject, scans: Scans, table: Table) -> bool:
    """Also deletes a scan whose creation was not confirmed."""
    if not scans.markers:
        table.skip(["delete"], "nothing was created")
        return True
    try:
        await remove(subject.scanner, marked(scans.markers))
    except ScannerError as error:
        table.note(
            "delete", Result.FAILED, str(error), "They will be deleted when the scanner allows it."
        )
        return False
    if scans.made:
        table.holds("delete", f"deleted all of its {pluralize(len(scans.made), 'scan')}")
    else:
        table.skip(["delete"], "nothing was created")
    return True


def _measured(
    subject: Subject, info: ScannerInfo | None, rows: Sequence[Row], facts: dict[str, Any]
) -> Measured | None:
    if info is None:
        return None
    return Measured(
        at=subject.wall(),
        identity=identity_of(info),
        differs=sum(each.result == Result.DIFFERS for each in rows),
        failed=sum(each.result == Result.FAILED for each in rows),
        **facts,
    )
