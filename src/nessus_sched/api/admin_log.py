"""Operator action on the log: another level while the daemon runs."""

from __future__ import annotations

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.config.checks import COMPONENTS
from nessus_sched.config.types import LogLevel
from nessus_sched.core.fields import field
from nessus_sched.scheduler.admission import unknown


@attrs.frozen(kw_only=True)
class LevelArgs:
    level: LogLevel = field("Least severe level that is logged.")
    component: str | None = field(
        "Only of this part of the program, such as nessus, scheduler or mcp.",
        default=None,
        min_length=1,
        max_length=64,
    )


@attrs.frozen(kw_only=True)
class LevelAnswer:
    level: LogLevel = field("Of all parts that have none of their own.")
    components: dict[str, LogLevel] = field("Of those that have.")


@tool(writes=True)
async def set_log_level(app: App, call: Call, args: LevelArgs) -> LevelAnswer:
    """Log more or less from now on, until the next reload or restart."""
    if args.component is not None and args.component not in COMPONENTS:
        message = unknown("component", args.component, COMPONENTS)
        raise ToolError("unknown_component", message)
    level, components = app.set_log_level(args.level, args.component)
    return LevelAnswer(level=level, components=dict(components))


LOG_ACTIONS: tuple[ToolDef, ...] = (set_log_level,)
