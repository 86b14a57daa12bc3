"""Exporting a run as `.nessus` v2: order it, wait for it, fetch it, look that it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from nessus_sched.core.scanner import (
    BadExport,
    ExportNotAllowed,
    NotFound,
    ReportTooLarge,
    ScannerError,
    TransientError,
)
from nessus_sched.nessus import routes
from nessus_sched.nessus.errors import NO_EXPORT, document, unreadable
from nessus_sched.nessus.json_fields import token, tolerant
from nessus_sched.nessus.part_file import PartFile, RunSync, TooLarge
from nessus_sched.nessus.session import Link

TRIES: Final = 3
"""Exports ordered before giving up: a failed one leaves a dead token behind."""
BETWEEN_TRIES: Final = 2.0
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
LONGEST_EXPORT: Final = 3600.0
"""Seconds until an export must be ready; big ones take minutes."""
_END: Final = b"</NessusClientData_v2>"


async def export(
    scan_id: int,
    history_id: int | None,
    destination: Path,
    *,
    link: Link,
    limit: int,
    run_sync: RunSync,
) -> int:
    """Writes the report to `destination`, whole or not at all; returns its size in bytes.

    Raises `BadExport` when it could not be had whole, and `OSError` when it could not be
    written.
    """
    problem: BadExport | None = None
    for attempt in range(TRIES):
        await trio.sleep(attempt * BETWEEN_TRIES)
        try:
            file = await _order(scan_id, history_id, link)
            await _until_ready(scan_id, file, link)
            return await _fetch(scan_id, file, destination, link, limit, run_sync)
        except _Again as error:
            problem = BadExport(str(error))
    assert problem is not None
    raise problem


class _Again(Exception):
    """This export is lost; a new one may succeed."""


async def _order(scan_id: int, history_id: int | None, link: Link) -> str:
    call = routes.export(scan_id, history_id)
    answer = await link.send(call)
    if answer.status == 409:
        raise BadExport(f"The scan cannot be exported yet ({link.said(call, answer)}).")
    if not answer.ok:
        raise link.refusal(call, answer)
    file = token(document(call, answer).get("file"))
    if file is None:
        raise unreadable(call, "no file id.")
    return file


async def _until_ready(scan_id: int, file: str, link: Link) -> None:
    call = routes.export_status(scan_id, file)
    wait = FIRST_WAIT
    deadline = trio.current_time() + LONGEST_EXPORT
    while trio.current_time() < deadline:
        answer = await link.send(call)
        if answer.status in {404, 500}:
            raise _Again(f"the export failed ({link.said(call, answer)})")
        if not answer.ok:
            raise link.refusal(call, answer)
        status = document(call, answer).get("status")
        if status == "ready":
            return
        if status == "error":
            raise _Again("the export failed")
        await trio.sleep(wait)
        wait = min(1.5 * wait, LONGEST_WAIT)
    raise BadExport(f"The export was not ready after {LONGEST_EXPORT:g} s.")


async def _fetch(
    scan_id: int, file: str, destination: Path, link: Link, limit: int, run_sync: RunSync
) -> int:
    with PartFile(destination, limit) as part:
        try:
            await link.do(routes.export_download(scan_id, file), sink=part.write)
            part.check()
        except TooLarge:
            raise ReportTooLarge(
                f"The report is larger than {limit} bytes, the limit set."
            ) from None
        except (NotFound, TransientError) as error:
            raise _Again(f"the download broke off after {part.size} bytes: {error}") from None
        if not part.tail.rstrip().endswith(_END):
            raise _instead(part, link)
        await run_sync(part.keep)
        return part.size


def _instead(part: PartFile, link: Link) -> _Again | ScannerError:
    """The error for a download that is no report. One author saw a JSON error with status
    200 there, on a scanner in trial mode."""
    if part.head.lstrip().startswith(b"{"):
        words = link.words(tolerant(part.head))
        if NO_EXPORT.search(words):
            return ExportNotAllowed(f"The scanner allows no export ({words}).")
        return _Again(f"the scanner sent an error for the report ({words or 'without a reason'})")
    what = "is a web page" if b"</html>" in part.tail.lower() else "ends in the middle"
    return _Again(f"the report {what}, after {part.size} bytes")
