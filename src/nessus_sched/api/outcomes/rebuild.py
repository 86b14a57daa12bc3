"""Rebuild the ledger from the stored findings and reports."""

from __future__ import annotations

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.core.fields import field
from nessus_sched.core.text import pluralize


@attrs.frozen(kw_only=True)
class RebuildArgs:
    forget: bool = field("Also if history is lost that way.", default=False)


@attrs.frozen(kw_only=True)
class RebuildAnswer:
    scans: int = field("Scans that are entered again, in the background.")
    lost: int = field("Scans with neither findings nor reports, which the ledger has forgotten.")


@tool(writes=True, destructive=True, timeout=600)
async def rebuild_ledger(app: App, call: Call, args: RebuildArgs) -> RebuildAnswer:
    """Empty the ledger and enter all stored scans again, in the order of their times."""
    with as_tool_errors():
        lost = await app.ledger.lost_by_rebuild()
        if lost and not args.forget:
            raise ToolError(
                "history_would_be_lost",
                f"{pluralize(lost, 'scan')} in the ledger would be lost: neither their "
                "findings nor their reports are still stored.",
                "Give --forget if that is what you want.",
            )
        scans = await app.ledger.rebuild()
    return RebuildAnswer(scans=scans, lost=lost)


REBUILD_ACTIONS: tuple[ToolDef, ...] = (rebuild_ledger,)
