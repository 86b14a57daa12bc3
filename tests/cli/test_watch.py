"""The bars of `watch` in narrow terminals."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from nessus_sched.cli import watch


def task(**changed: Any) -> dict[str, Any]:
    return {
        "task_id": "t-ayp29m65w677hz",
        "name": "a long name of a weekly scan of all branch offices",
        "status": "running",
        "progress_percent": 47,
        "settled": False,
        "wait": None,
        "error": None,
        "parts": None,
        "entered": {},
        "severity_counts": None,
        **changed,
    }


@pytest.mark.parametrize("width", [80, 100, 140])
def test_long_names_leave_room_for_progress_and_reason(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(watch, "console", lambda: screen)
    bars = watch.Bars()
    wait = {"queue_position": 3, "queue": "overflow", "estimated_wait_seconds": 60 * 60}
    bars.show(task())
    bars.show(task(task_id="t-ayp29psh6j7dx8", status="retry_wait", wait=wait))
    with screen.capture() as capture:
        screen.print(bars._progress.make_tasks_table(bars._progress.tasks))
    running, waiting = capture.get().splitlines()
    assert "t-ayp29m65w677hz a long name" in running
    assert "47 % running" in running
    assert "retry_wait #3 of overflow" in waiting
    assert max(map(len, (running, waiting))) <= width
