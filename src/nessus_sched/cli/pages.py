"""Lists that come in pages, as one."""

from __future__ import annotations

from typing import Any, Final

from nessus_sched.cli.client import Asking

LARGEST: Final = 100
"""Rows of one page, as the tools have it."""


def listed(
    asked: Asking, tool: str, rows: str, *, most: int | None = None, **arguments: Any
) -> dict[str, Any]:
    """The tool's last answer with the rows of all pages, `most` at most; `next_cursor` is
    left for what follows them."""
    found: list[Any] = []
    while True:
        left = LARGEST if most is None else min(most - len(found), LARGEST)
        answer = asked.call(tool, limit=left, **arguments)
        found += answer[rows]
        arguments["cursor"] = answer["next_cursor"]
        if answer["next_cursor"] is None or (most is not None and len(found) >= most):
            return {**answer, rows: found}
