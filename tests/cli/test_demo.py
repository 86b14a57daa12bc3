"""The demo where things go wrong; that it goes right is in its own, longer run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.cli.demo_follow import PATIENCE, follow
from nessus_sched.cli.demo_replay import replay_files
from nessus_sched.cli.demo_report import DemoScreen
from nessus_sched.cli.demo_words import not_completed
from support.command import one_sentence, typed
from support.nessus_xml import document, host, item

WHOLE = document(host("192.0.2.1", item(10)))
BROKEN = {"code": "bad_export", "message": "the report ends in the middle"}
WAITING = {"wait_code": "slots_busy", "wait_reason": "both slots are taken"}


class Told:
    """A daemon whose tasks stand as they are, for ever."""

    def __init__(self, *tasks: Mapping[str, Any]) -> None:
        self._tasks = {task["task_id"]: dict(task) for task in tasks}

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        assert tool == "get_scan_status"
        await trio.lowlevel.checkpoint()
        return self._tasks[arguments["task_id"]]


def task(name: str, status: str = "exporting", **changes: Any) -> dict[str, Any]:
    return {
        "task_id": f"t-{name}",
        "name": name,
        "status": status,
        "settled": status in ("completed", "dead"),
        "progress_percent": None,
        "scanner_instance": "east",
        "error": None,
        "wait": None,
        **changes,
    }


def test_what_is_no_report_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "directory.nessus").mkdir()
    (tmp_path / "empty.nessus").touch()
    (tmp_path / "text.nessus").write_text("nothing to see")
    (tmp_path / "page.nessus").write_text("<html></html>")
    (tmp_path / "whole.nessus").write_bytes(WHOLE)
    (tmp_path / "cut.nessus").write_bytes(WHOLE[:-40])
    assert [path.name for path in replay_files(tmp_path)] == ["cut.nessus", "whole.nessus"]
    said = capsys.readouterr().err
    assert said.startswith("left out: ")
    assert said.count("\n") == 1
    for part in ("directory.nessus is not a file", "empty.nessus is empty", "text.", "page."):
        assert part in said


@pytest.mark.parametrize("name", ["empty.nessus", "other.txt"])
def test_a_directory_without_a_report_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    one_sentence(typed("demo", "--replay", str(tmp_path)), 1, "there is no .nessus report in")


async def test_scans_that_stand_still_are_not_followed_for_ever(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [task("done", "completed"), task("cut", error=BROKEN), task("idle", wait=WAITING)]
    found = await follow(Told(*tasks), [each["task_id"] for each in tasks], DemoScreen(quiet=False))
    assert PATIENCE < trio.current_time() < PATIENCE + 5
    said = capsys.readouterr().out
    assert said.count("the report ends in the middle") == 1
    assert said.count("both slots are taken") == 1
    sentence = not_completed(found)
    assert sentence is not None
    assert "cut (exporting: the report ends in the middle)" in sentence
    assert "done" not in sentence


async def test_what_ends_is_followed_to_its_end(autojump_clock: trio.testing.MockClock) -> None:
    class Slowly(Told):
        """One more completes each time that patience is nearly over."""

        async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
            known = await super().call(tool, **arguments)
            number = int(known["name"])
            if trio.current_time() > number * PATIENCE * 0.9:
                return task(known["name"], "completed")
            return known

    tasks: Sequence[dict[str, Any]] = [task(str(number)) for number in range(1, 4)]
    found = await follow(
        Slowly(*tasks), [each["task_id"] for each in tasks], DemoScreen(quiet=True)
    )
    assert not_completed(found) is None
