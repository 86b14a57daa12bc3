"""The demo where things go wrong; that it goes right is in its own, longer run."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import trio
from rich.console import Console

from nessus_sched.cli.demo.config import written_config
from nessus_sched.cli.demo.follow import PATIENCE, follow
from nessus_sched.cli.demo.replay import replay_files
from nessus_sched.cli.demo.report import DemoScreen, not_completed
from nessus_sched.cli.demo.scene import Scene, end_on_signal
from nessus_sched.cli.demo.tables import fitting, scan_rows
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.config.loading import load
from nessus_sched.sim.options import SimOptions
from support.command import one_sentence, typed
from support.nessus_xml import document, host, item
from support.processes import PROGRAM, environment, simulators

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
    assert said.startswith("skipped: ")
    assert said.count("\n") == 1
    for part in ("directory.nessus is not a file", "empty.nessus is empty", "text.", "page."):
        assert part in said


@pytest.mark.parametrize("name", ["empty.nessus", "other.txt"])
def test_a_directory_without_a_report_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    one_sentence(typed("demo", "--replay", str(tmp_path)), 1, "no .nessus report in")


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "code", "said"),
    [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, ""), (None, 1, "")],
)
def test_a_demo_that_is_broken_off_leaves_nothing(
    by: signal.Signals | None, code: int, said: str, tmp_path: Path
) -> None:
    environ = {**environment(tmp_path), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*PROGRAM, "demo", "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as demo:
        assert demo.stdout is not None
        assert "are up" in demo.stdout.readline()
        if by is None:
            demo.stdout.close()
        else:
            demo.send_signal(by)
        assert demo.stderr is not None
        assert demo.stderr.read().strip() == said
        assert demo.wait() == code
    assert not list(tmp_path.glob("nessus-sched-demo-*"))


@pytest.mark.parametrize(
    ("by", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
async def test_a_signal_waits_for_a_checkpoint(
    by: signal.Signals, error: type[BaseException]
) -> None:
    printed = []
    with pytest.RaisesGroup(error):
        async with trio.open_nursery() as nursery:
            await nursery.start(end_on_signal)
            printed.append("before")
            signal.raise_signal(by)
            printed.append("after")
            await trio.sleep_forever()
    assert printed == ["before", "after"]


@pytest.mark.parametrize("error", [click.ClickException("x"), SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_command_is_taken_out_of_its_groups(error: BaseException) -> None:
    async def work() -> None:
        raise BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [error]), ValueError()])

    with pytest.raises(type(error)) as raised:
        run_trio(work)
    assert raised.value is error


@pytest.mark.parametrize("stay", [True, False])
def test_what_is_to_be_pasted_is_whole(
    stay: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    directory = Path("/somewhere/with a space/" + "long" * 20)
    DemoScreen(quiet=False).what_next(
        Scene(sims={}, directory=directory, http="127.0.0.1:1"), stay=stay
    )
    said = capsys.readouterr().out
    entry = json.loads(said[said.index("{") : said.rindex("}") + 1])["mcpServers"]["nessus"]
    assert os.access(entry["command"], os.X_OK)
    assert entry["args"][-3:-1] == ["mcp", "--config"]
    assert (entry["args"][-1] == str(directory / "nessus-sched.yaml")) == stay
    assert Path(entry["args"][-1]).is_absolute()


@pytest.mark.slow
def test_the_written_configuration_comes_with_commands_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = typed("demo", "--write-config", "it's.yaml").out
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  ")]
    assert [words[-4] for words in commands[:2]] == ["--port", "--port"]
    assert stat.S_IMODE((tmp_path / "it's.yaml").stat().st_mode) == 0o600
    other = typed("demo", "--write-config", "other.yaml").out
    for words in commands[:2]:
        assert words[-3] not in other
        assert words[-1] not in other
    for words in commands:
        assert os.access(words[0], os.X_OK)
    for words in commands[2:]:
        assert words[-2:] == ["--config", str(tmp_path / "it's.yaml")]


@pytest.mark.slow
async def test_the_written_configuration_pins_its_simulators(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    text = written_config(tmp_path / "state", ports=(1, 2), seeds=(1, 2), http="127.0.0.1:3")
    file.write_text(text)
    scanners = load(file, environ={}).scanners
    async with simulators(SimOptions(seed=1), SimOptions(seed=2)) as sims:
        assert [each.tls.fingerprint for each in scanners] == [each.fingerprint for each in sims]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_ones(width: int) -> None:
    counts = {"critical": 1, "high": 22, "medium": 333, "low": 4, "info": 5555}
    validation = {"verdict": {"credentialed": "partly"}, "warnings": [{"message": "x"}]}
    done = task("web [red]tier", "completed", severity_counts=counts, validation=validation)
    held = task("printers", severity_counts=None, validation=None)
    screen = Console(width=width, file=io.StringIO())
    rows, total = scan_rows([done, held], counts)
    screen.print(fitting(screen, "Findings", rows, total))
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert len(lines) == 5
    assert "web [red]tier" in lines[2]
    assert lines[1].split()[:2] == ["scan", "scanner" if width >= 80 else "critical"]
    assert ("status" in lines[1]) == (width >= 120)
    if width >= 80:
        assert lines[2].split()[-2:] == ["partly", "1"]
        assert lines[3].split()[-2:] == ["-", "-"]
