"""Exports a run as `.nessus` v2: request it, wait, download it, check that it is complete."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import (
    BadExport,
    ExportNotAllowed,
    NotFound,
    ReportTooLarge,
    ScannerError,
    TransientError,
)
from nessus_sched.nessus import routes
from nessus_sched.nessus.errors import NO_EXPORT, bad_body_error, document
from nessus_sched.nessus.json_fields import as_token, object_or_empty
from nessus_sched.nessus.part_file import PartFile, TooLarge
from nessus_sched.nessus.session import NessusSession

MAX_TRIES: Final = 3
"""Exports requested before giving up; a failed one leaves a dead token on the scanner."""
RETRY_WAIT: Final = 2.0
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
LONGEST_EXPORT: Final = 3600.0
"""Seconds until an export must be ready; large ones take minutes."""
_END: Final = b"</NessusClientData_v2>"


async def export(
    scan_id: int,
    history_id: int | None,
    destination: Path,
    *,
    session: NessusSession,
    limit: int,
    run_sync: RunSync,
) -> int:
    """Writes the complete report to `destination`, or nothing; returns its size in bytes.

    Raises `BadExport` if no complete report could be fetched, and `OSError` if it could not be
    written.
    """
    problem: BadExport | None = None
    for attempt in range(MAX_TRIES):
        await trio.sleep(attempt * RETRY_WAIT)
        try:
            file = await _order(scan_id, history_id, session)
            await _wait_until_ready(scan_id, file, session)
            return await _fetch(scan_id, file, destination, session, limit, run_sync)
        except _RetryExport as error:
            problem = BadExport(str(error))
    assert problem is not None
    raise problem


class _RetryExport(Exception):
    """This export failed; a new one may succeed."""


async def _order(scan_id: int, history_id: int | None, session: NessusSession) -> str:
    call = routes.export(scan_id, history_id)
    answer = await session.send(call)
    if answer.status == 409:
        raise BadExport(f"The scan cannot be exported yet ({session.message(call, answer)}).")
    if not answer.ok:
        raise session.status_error(call, answer)
    file = as_token(document(call, answer).get("file"))
    if file is None:
        raise bad_body_error(call, "no file id.")
    return file


async def _wait_until_ready(scan_id: int, file: str, session: NessusSession) -> None:
    call = routes.export_status(scan_id, file)
    wait = FIRST_WAIT
    deadline = trio.current_time() + LONGEST_EXPORT
    while trio.current_time() < deadline:
        answer = await session.send(call)
        if answer.status in {404, 500}:
            raise _RetryExport(f"the export failed ({session.message(call, answer)})")
        if not answer.ok:
            raise session.status_error(call, answer)
        status = document(call, answer).get("status")
        if status == "ready":
            return
        if status == "error":
            raise _RetryExport("the export failed")
        await trio.sleep(wait)
        wait = min(1.5 * wait, LONGEST_WAIT)
    raise BadExport(f"The export was not ready after {LONGEST_EXPORT:g} s.")


async def _fetch(
    scan_id: int,
    file: str,
    destination: Path,
    session: NessusSession,
    limit: int,
    run_sync: RunSync,
) -> int:
    with PartFile(destination, limit) as part:
        try:
            await session.do(routes.export_download(scan_id, file), sink=part.write)
            part.check()
        except TooLarge:
            raise ReportTooLarge(
                f"The report is larger than {limit} bytes, the configured limit."
            ) from None
        except (NotFound, TransientError) as error:
            raise _RetryExport(f"the download broke off after {part.size} bytes: {error}") from None
        if not part.tail.rstrip().endswith(_END):
            raise _bad_download(part, session)
        await run_sync(part.commit)
        return part.size


def _bad_download(part: PartFile, session: NessusSession) -> _RetryExport | ScannerError:
    """The error for a download that is not a report. One author saw a JSON error with status
    200 on a scanner in trial mode."""
    if part.head.lstrip().startswith(b"{"):
        words = session.document_message(object_or_empty(part.head))
        if NO_EXPORT.search(words):
            return ExportNotAllowed(f"The scanner does not allow exports ({words}).")
        return _RetryExport(
            f"the scanner sent an error for the report ({words or 'without a reason'})"
        )
    what = "is a web page" if b"</html>" in part.tail.lower() else "ends in the middle"
    return _RetryExport(f"the report {what}, after {part.size} bytes")
