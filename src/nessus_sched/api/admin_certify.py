"""Proving a scanner with a few small scans: for operators."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.certify.rows import Row
from nessus_sched.core.fields import field

LONGEST: Final = 6 * 3600.0
"""Seconds; the scans of one host are over long before that."""


@attrs.frozen(kw_only=True)
class CertifyArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)
    target: str = field("One address or host name to scan.", min_length=1, max_length=255)


@attrs.frozen(kw_only=True)
class CertifyAnswer:
    scanner_instance: str = field("The scanner.")
    passed: bool = field("Nothing failed; the scanner may still differ from what is expected.")
    clean: bool = field("None of the scans is left on the scanner.")
    rows: list[Row] = field("What was checked, in this order.")
    pause_seconds: float | None = field("How long a scan takes to pause.")
    resume_seconds: float | None = field("How long a scan takes to resume.")
    stop_seconds: float | None = field("How long a scan takes to stop.")
    export_allowed: bool | None = field("Reports can be exported; null when not tested.")
    partial_export: bool | None = field("Reports of stopped scans can be exported.")
    recording: str | None = field("Where the daemon keeps the recording; null without one.")


@tool(writes=True, idempotent=False, open_world=True, timeout=LONGEST)
async def certify_scanner(app: App, call: Call, args: CertifyArgs) -> CertifyAnswer:
    """Run a few small scans of one allowed target on a scanner and compare what it does with
    what is expected. Its scans are deleted at the end, also when the call is canceled."""
    if app.certifier is None:
        raise ToolError("not_possible_now", "No scanner can be certified here.")
    with as_tool_errors():
        outcome = await app.certifier.certify(
            args.scanner_instance,
            args.target,
            actor=call.peer.actor,
            scopes=app.scopes_of(call.peer),
        )
    measured = outcome.measured
    return CertifyAnswer(
        scanner_instance=args.scanner_instance,
        passed=all(row.result != "failed" for row in outcome.rows),
        clean=outcome.clean,
        rows=list(outcome.rows),
        pause_seconds=measured.pause_seconds if measured else None,
        resume_seconds=measured.resume_seconds if measured else None,
        stop_seconds=measured.stop_seconds if measured else None,
        export_allowed=measured.export_allowed if measured else None,
        partial_export=measured.partial_export if measured else None,
        recording=outcome.recording,
    )


CERTIFY_ACTIONS: tuple[ToolDef, ...] = (certify_scanner,)
