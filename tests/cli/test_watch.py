"""The bars of `watch` in narrow terminals."""

from __future__ import annotations

import io
from datetime import UTC, datetime
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


def test_the_end_of_an_audit_says_how_its_checks_went() -> None:
    counts = {"severity_counts": {"high": 0, "info": 2}, "compliance_counts": {"PASSED": 5}}
    ended = task(settled=True, **counts)
    assert watch.remark(ended) == "2 info; checks: 5 passed"
    assert watch.remark({**ended, "compliance_counts": None}) == "2 info"


def test_what_is_left_is_counted_down_until_the_progress_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = datetime(2026, 6, 1, tzinfo=UTC)
    screen = Console(width=140, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(watch, "console", lambda: screen)
    bars = watch.Bars()
    for after, progress, left in (
        (100, 50, "~1m 40s left"),
        (140, 50, "~1m left"),
        (240, 50, "running"),
        (240, 60, "~2m 40s left"),
        (250, 60, "~2m 30s left"),
    ):
        monkeypatch.setattr(watch, "system_now", lambda at=after: started.timestamp() + at)
        bars.show(task(progress_percent=progress, entered={"running": started.isoformat()}))
        (line,) = drawn(bars, screen)
        assert line.rstrip().endswith(left)


def part(number: int, **changed: Any) -> dict[str, Any]:
    return task(
        task_id=f"t-ayp29m65w677hz-{number}",
        scanner_instance="east",
        targets=[f"192.0.2.{number}"],
        targets_left_out=0,
        **changed,
    )


def drawn(bars: watch.Bars, screen: Console) -> list[str]:
    with screen.capture() as capture:
        screen.print(bars._progress.make_tasks_table(bars._progress.tasks))
    return capture.get().splitlines()


def test_a_task_has_the_bars_of_its_running_parts_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    monkeypatch.setattr(watch, "console", lambda: screen)
    bars = watch.Bars()
    whole = task(parts={"running": 2, "exporting": 1, "completed": 10, "dead": 1})
    other = task(task_id="t-ayp29psh6j7dx8")
    bars.show(whole, [part(2), part(10)])
    bars.show(other)
    bars.show(whole, [part(10), part(11)])
    lines = drawn(bars, screen)
    assert [line.split()[:2] for line in lines] == [
        ["t-ayp29m65w677hz", "a"], ["part", "10"], ["part", "11"], ["t-ayp29psh6j7dx8", "a"],
    ]  # fmt: skip
    assert lines[0].endswith("3 running, 10 done, 1…")
    assert "east" in lines[1]
    assert lines[1].rstrip().endswith("192.0.2.10")
    assert max(map(len, lines)) <= 80
    bars.show(whole, [part(number) for number in range(20, 20 + 2 * watch.MOST_PARTS)])
    assert len(drawn(bars, screen)) == watch.MOST_PARTS + 2
    bars.show(task(status="completed", settled=True, parts={"completed": 20}), ())
    assert [line.split()[0] for line in drawn(bars, screen)] == [
        "t-ayp29m65w677hz", "t-ayp29psh6j7dx8",
    ]  # fmt: skip
