"""Operator actions on what is kept: housekeeping out of turn."""

from __future__ import annotations

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import translated
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class HousekeepingArgs:
    dry_run: bool = field("Only count.", default=False)


@attrs.frozen(kw_only=True)
class HousekeepingAnswer:
    deleted: dict[str, int] = field("How many of what were deleted, or would be.")
    dry_run: bool = field("Nothing was deleted.")


@tool(writes=True, destructive=True, timeout=3600)
async def housekeeping(app: App, call: Call, args: HousekeepingArgs) -> HousekeepingAnswer:
    """Delete what has been kept long enough, by the retention times of the configuration."""
    with translated():
        deleted = await app.housekeeping.sweep(dry_run=args.dry_run)
    return HousekeepingAnswer(deleted=dict(deleted), dry_run=args.dry_run)


UPKEEP_ACTIONS: tuple[ToolDef, ...] = (housekeeping,)
