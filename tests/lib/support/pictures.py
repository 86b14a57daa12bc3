"""The picture of `top` in etc/doc, from made-up tasks: the same at every run.

`PYTHONPATH=tests/lib .venv/bin/python -m support.pictures` draws it anew. The one of the status
page beside it is a browser's screenshot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME

from nessus_sched.cli import scanners, top, watch

FILE = Path(__file__).parents[3] / "etc/doc/top.svg"
NOW = 1_800_000_000.0
COLUMNS, LINES = 104, 34
_FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(NOW - seconds, UTC).isoformat()


def scanner(name: str, active: int, capacity: int, reason: str | None = None) -> dict[str, Any]:
    return {
        "scanner_instance": name, "available": reason is None, "active_scans": active,
        "capacity": capacity, "queued": 0, "drain_from": None, "edition": "", "version": "",
        "plugin_set_at": ago(30_000), "last_contact": ago(1 if reason is None else 312),
        "reason": reason, "breaker": "closed" if reason is None else "open",
    }  # fmt: skip


def running(task_id: str, name: str, where: str, percent: int, seconds: float) -> dict[str, Any]:
    return {
        "task_id": task_id, "status": "running", "scanner_instance": where, "name": name,
        "progress_percent": percent, "part_of": None, "entered": {"running": ago(seconds)},
    }  # fmt: skip


def waiting(task_id: str, name: str, place: int, seconds: float, why: str) -> dict[str, Any]:
    return {
        "task_id": task_id, "queue": "overflow", "queue_position": place, "name": name,
        "estimated_wait_seconds": seconds, "wait_reason": why,
    }  # fmt: skip


def ended(task_id: str, name: str, state: str, age: float, *found: int) -> dict[str, Any]:
    severities = dict(zip(("critical", "high", "medium", "low"), found, strict=False))
    return {
        "task_id": task_id, "status": state, "scanner_instance": "frankfurt", "name": name,
        "created_at": ago(age), "severity_counts": severities or None,
    }  # fmt: skip


def planned() -> dict[str, Any]:
    """A night."""

    def spans(*hours: tuple[float, float]) -> list[dict[str, Any]]:
        return [
            {"begin": ago(-3600 * begin), "end": ago(-3600 * end), "kind": "firing"}
            for begin, end in hours
        ]

    rows = [
        ("frankfurt", 2, spans((0, 3.7), (0, 5.2), (12, 17.5), (13.7, 14.2)), []),
        ("paris", 1, spans((2, 3.8), (12, 13.1)), spans((0, 2), (14, 24))),
        ("lab", 1, [], []),
    ]
    scanners = [
        {"scanner": name, "slots": slots, "scans": scans, "closed": closed}
        for name, slots, scans, closed in rows
    ]
    timeline = {"time_zone": "UTC", "scanners": scanners, "rules": []}
    return {"begin": ago(0), "until": ago(-86_400), "timeline": timeline}


def seen() -> Mapping[str, Any]:
    """What `top` would have been told."""
    full = "its 2 scanners run 3 of 3 scans"
    down = "The scanner cannot be reached: connection refused."
    return {
        "queue": {
            "paused": False, "active": 3, "queued": 3, "free_slots": 0, "capacity": 3, "pools": [],
            "waiting": [
                waiting("t-aypb7c4w2hkqx9", "office-lan", 1, 1140, f"next in the queue; {full}"),
                waiting("t-aypb7f9zr3mwe4", "printers", 2, 1980, f"behind 1 other; {full}"),
                waiting("t-aypb7kk8yfmcc2", "guest-wifi", 3, 2940, f"behind 2 others; {full}"),
            ],
        },
        "running": [
            running("t-aypb2m97k3m9pq", "weekly-dmz", "frankfurt", 83, 5400),
            running("t-aypb4d6w9dbzt7", "web-tier", "frankfurt", 41, 1500),
            running("t-aypb5hecnnxkw4", "branch-offices", "paris", 12, 600),
        ],
        "scanners": [
            scanner("frankfurt", 2, 2), scanner("paris", 1, 1), scanner("lab", 0, 1, down),
        ],
        "ended": [
            ended("t-ayp9zxvcqnaqs8", "db-tier", "completed", 7800, 1, 3, 11, 7),
            ended("t-ayp9xw6m4tuvyz", "build-farm", "completed", 9900, 0, 2, 6, 3),
            ended("t-ayp9w5hfkk4pr3", "old-servers", "dead", 12600),
            ended("t-ayp9tdq2jmgacc", "mail-hosts", "completed", 15300, 0, 0, 4, 9),
        ],
        "plan": planned(),
        "counts": {"queued": 3, "running": 3, "completed": 212, "dead": 1},
        "routes": [],
    }  # fmt: skip


def picture() -> str:
    """An SVG that loads nothing: rich would have its font fetched from elsewhere."""
    console = Console(
        record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    with ExitStack() as stack:
        for module in (scanners, top, watch):
            stack.enter_context(patch.object(module, "system_now", lambda: NOW))
        console.print(top.screen(seen(), (COLUMNS, LINES)))
    drawn = console.export_svg(
        title="nessus-sched top", theme=DEFAULT_TERMINAL_THEME, unique_id="top"
    )
    return _FONT_FACE.sub("", drawn).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    FILE.write_text(picture(), encoding="utf-8")
