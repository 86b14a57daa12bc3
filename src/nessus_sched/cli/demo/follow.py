"""Follows the demo's scans until they finish, fail or stop moving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import trio

from nessus_sched.cli.demo.report import DemoScreen

LOOK_EVERY: Final = 0.25
STANDSTILL: Final = 10.0
"""Seconds without progress after which the reason is shown."""
PATIENCE: Final = 180.0
"""Seconds within which at least one more scan has to finish."""


class Calling(Protocol):
    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The answer of a tool."""


async def follow(
    tools: Calling, task_ids: Sequence[str], screen: DemoScreen
) -> list[dict[str, Any]]:
    """Shows progress until all tasks have settled, or none has for `PATIENCE` seconds."""
    settled, settled_at = 0, trio.current_time()
    moved, moved_at = None, settled_at
    with screen.progress():
        while True:
            found = [await tools.call("get_scan_status", task_id=task_id) for task_id in task_ids]
            now = trio.current_time()
            movement = [(task["status"], task["progress_percent"]) for task in found]
            if movement != moved:
                moved, moved_at = movement, now
            ended = sum(task["settled"] for task in found)
            if ended > settled:
                settled, settled_at = ended, now
            screen.update(found, standing=now - moved_at > STANDSTILL)
            if ended == len(found) or now - settled_at > PATIENCE:
                return found
            await trio.sleep(LOOK_EVERY)
