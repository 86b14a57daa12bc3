"""What the journal knows of a task's scans: their ids, and whether there may be others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from nessus_sched.core.journal import JournalRecord

DOUBTS = frozenset({"launch_delayed", "launch_resumed"})
"""Events after which a request to create a scan may have taken effect unanswered."""


@attrs.define(kw_only=True)
class Trace:
    """One attempt. `begun` is the journal row of its start."""

    scanner_instance: str
    begun: int
    scans: set[int] = attrs.field(factory=set)
    """Ids on the scanner of all the scans that were created for it."""
    doubted: bool = False
    """A scan may have been created for it whose id we never received."""


def traces(records: Iterable[JournalRecord]) -> Mapping[int, Trace]:
    """By attempt, out of all the journal rows of one task."""
    found: dict[int, Trace] = {}
    trace: Trace | None = None
    known = False
    for record in records:
        event, detail = record.entry.event, record.entry.detail
        if event == "taken":
            trace = found[detail["attempt"]] = Trace(
                scanner_instance=detail["scanner_instance"],
                begun=record.seq,
                doubted=detail.get("found", False),
            )
            known = False
        elif trace is None:
            continue
        elif (scan_id := detail.get("scan_id")) is not None:
            trace.scans.add(scan_id)
            known = True
        elif event in {"scan_withdrawn", "scan_vanished"}:
            known = False
        elif event in DOUBTS and not known:
            trace.doubted = True
    return found
