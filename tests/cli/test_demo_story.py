"""The two weeks of the demo: that they happen, that the journal says so, and how they look."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trio

from nessus_sched.cli.demo.story import run
from nessus_sched.cli.demo.story.clock import BEGIN, StoryClock, skip_idle_time
from nessus_sched.cli.demo.story.desk import Desk
from nessus_sched.cli.demo.story.lines import Chapter, Line, Reader, moment
from nessus_sched.cli.demo.story.narrator import Narrator
from nessus_sched.cli.demo.story.plot import DAYS, Ending, play
from nessus_sched.cli.demo.story.stage import Stage, story_stage
from nessus_sched.cli.json_schemas import schema_of
from nessus_sched.core.journal import JournalEntry, JournalRecord
from support.command import one_sentence, typed
from support.processes import PROGRAM, environment

HOUR, DAY = 3600.0, 86400.0
PLANT_OPENS, PLANT_CLOSES = 1 * HOUR, 4 * HOUR


def record(
    event: str, task_id: str | None = None, cause: str = "", detail: Mapping[str, Any] | None = None
) -> JournalRecord:
    entry = JournalEntry(at=BEGIN, event=event, task_id=task_id, cause=cause, detail=detail or {})
    return JournalRecord(seq=1, hash=b"", entry=entry)


def taken(task_id: str, scanner: str) -> JournalRecord:
    return record("taken", task_id, detail={"scanner_instance": scanner})


def test_rows_of_one_minute_become_a_line_of_each_kind() -> None:
    reader = Reader({"t": "weekly", "t-1": "weekly, part 1", "t-2": "weekly, part 2"})
    rows = [
        record("schedule_fired", detail={"schedule": "weekly", "task_id": "t"}),
        taken("t-1", "west"),
        record("launched", "t-1"),
        taken("t-2", "east"),
        record("launched", "t-2"),
    ]
    assert [line.text for line in reader.lines(rows)] == [
        "schedule weekly fires: t",
        "weekly: 2 scans started, on east, west",
    ]
    rows = [
        record("scan_finished", "t-1", detail={"hosts": 3}),
        record("scan_finished", "t-2", detail={"hosts": 4}),
    ]
    assert [line.text for line in reader.lines(rows)] == ["weekly: 2 scans ended, with 7 hosts"]


def test_who_takes_the_work_of_a_lost_scanner_is_said_once() -> None:
    reader = Reader({"t-1": "weekly, part 1"})
    reader.lines([taken("t-1", "south")])
    lost = "its scanner 'south' has not answered for 1 h"
    (given_up,) = reader.lines([record("requeued", "t-1", lost)])
    assert given_up.chapter is Chapter.LOST
    assert lost in given_up.text
    for expected in (
        "west takes weekly, part 1, which south had not finished",
        "weekly: 1 scan started, on west",
    ):
        (line,) = reader.lines([taken("t-1", "west"), record("launched", "t-1")])
        assert line.text == expected


def test_time_is_skipped_but_never_while_a_thread_works() -> None:
    clock, gate, seen = StoryClock(), threading.Event(), []

    def work() -> None:
        seen.append(clock.now())
        gate.wait(5)
        seen.append(clock.now())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(skip_idle_time, clock)
            nursery.start_soon(trio.sleep, DAY)
            threading.Timer(0.05, gate.set).start()
            await trio.to_thread.run_sync(work)
            assert clock.now() == BEGIN
            await trio.sleep(DAYS * DAY)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock.trio)
    assert seen == [BEGIN, BEGIN]
    assert clock.now() == BEGIN + DAYS * DAY


class Witness:
    """What the daemon's stores say at the end of the story."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.rows: list[JournalEntry] = []
        self.fixed: list[Mapping[str, Any]] = []
        self.launched: dict[str, int] = {}
        self.ending: Ending | None = None

    def of(self, event: str) -> list[JournalEntry]:
        return [row for row in self.rows if row.event == event]

    def told(self, chapter: Chapter) -> list[Line]:
        return [line for line in self.lines if line.chapter is chapter]


async def _fixed(desk: Desk) -> list[Mapping[str, Any]]:
    """All that was fixed: an answer for a model has only as much as one should read."""
    rows: list[Mapping[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await desk.call("get_changes", changes=["fixed"], limit=200, cursor=cursor)
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    found, clock = Witness(), StoryClock()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(skip_idle_time, clock)
            async with story_stage(tmp_path_factory.mktemp("story"), clock) as stage:
                narrator = Narrator(stage.system, found.lines.append)
                nursery.start_soon(narrator.run)
                found.ending = await play(stage, narrator)
                seq = 0
                while rows := await stage.system.store.journal(after=seq):
                    found.rows += [row.entry for row in rows]
                    seq = rows[-1].seq
                found.fixed = await _fixed(stage.desk)
                found.launched = {
                    name: nessus.ledger.launches() for name, nessus in stage.scanners.items()
                }
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock.trio)
    return found


@pytest.mark.slow
def test_the_calendar_is_kept(witness: Witness) -> None:
    fired = witness.of("schedule_fired")
    assert [row.detail["nominal"] for row in fired] == [
        BEGIN + 2 * HOUR,
        BEGIN + 7 * DAY + 2 * HOUR,
    ]
    told = [line for line in witness.told(Chapter.SCHEDULE) if "fires" in line.text]
    assert [line.at for line in told] == [row.at for row in fired]
    assert [line.text.split()[-1] for line in told] == [row.detail["task_id"] for row in fired]


@pytest.mark.slow
def test_scans_are_split_and_the_window_closes_and_opens(witness: Witness) -> None:
    for fired in witness.of("schedule_fired"):
        task_id = fired.detail["task_id"]
        parts = [row for row in witness.of("cut") if str(row.task_id).startswith(f"{task_id}-")]
        assert len(parts) > len(witness.launched)
    (closed, *_), (opened, *_) = witness.of("closed"), witness.of("opened")
    assert closed.at % DAY == pytest.approx(PLANT_CLOSES, abs=300)
    assert opened.at == pytest.approx(BEGIN + DAY + PLANT_OPENS, abs=300)
    paused = [row for row in witness.of("paused") if row.task_id == closed.task_id]
    assert paused
    told = witness.told(Chapter.WINDOW)
    assert {closed.at, paused[0].at, opened.at} <= {line.at for line in told}


@pytest.mark.slow
def test_a_lost_scanner_is_replaced_by_another(witness: Witness) -> None:
    (down,), (up,) = witness.of("scanner_down"), witness.of("scanner_up")
    assert down.detail == up.detail == {"scanner_instance": "south"}
    (given_up,) = [row for row in witness.of("requeued") if "has not answered" in row.cause]
    after = [row for row in witness.of("taken") if row.task_id == given_up.task_id]
    assert after[0].detail["scanner_instance"] == "south"
    assert after[1].detail["scanner_instance"] in {"north", "west"}
    assert given_up.at < after[1].at < up.at
    (took,) = [line for line in witness.told(Chapter.LOST) if " takes " in line.text]
    assert took.text.startswith(after[1].detail["scanner_instance"])


@pytest.mark.slow
def test_a_fix_is_proved_and_an_exception_approved(witness: Witness) -> None:
    (proved,) = [line for line in witness.told(Chapter.FIX) if line.text.startswith("verified")]
    (verify,) = [
        row.detail["outcome"]["request"] for row in witness.of("completed")
        if "verify" in str(row.detail.get("outcome", {}).get("request", {}).get("name", ""))
    ]  # fmt: skip
    hosts = len(verify["targets"])
    assert proved.text == f"verified: {hosts} fixed"
    told = witness.told(Chapter.EXCEPTION)
    (proposed,), (approved,) = witness.of("exception_proposed"), witness.of("exception_approved")
    assert [line.at for line in told] == [proposed.at, approved.at]
    assert proposed.detail["exception_id"] == approved.detail["exception_id"]


@pytest.mark.slow
def test_the_digest_comes_every_sunday_and_the_end_adds_up(witness: Witness) -> None:
    digests = witness.told(Chapter.DIGEST)
    assert [line.at for line in digests] == [
        pytest.approx(BEGIN + day * DAY + 20 * HOUR, abs=60) for day in (6, 13)
    ]
    assert "First scan of" in digests[0].text
    assert "fixed" in digests[1].text
    assert digests[1].details
    end = witness.ending
    assert end is not None
    assert {task["status"] for task in end.tasks} == {"completed"}
    assert end.changes["fixed"] == sum(row["change"] == "fixed" for row in witness.fixed) + int(
        witness.told(Chapter.FIX)[-1].text.split()[1]
    )
    assert end.exceptions == 1
    assert end.excepted > 0
    assert "Vulnerability report" in end.report
    assert {line.chapter for line in witness.lines} == set(Chapter)
    assert len(witness.of("launched")) == sum(witness.launched.values())


@pytest.mark.slow
def test_it_fits_a_terminal_and_the_report_is_where_it_says(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    environ = {**environment(tmp_path), "TMPDIR": str(tmp_path), "LC_ALL": "C", "COLUMNS": "80"}
    found = subprocess.run(
        [*PROGRAM, "demo", "--report", str(report)],
        capture_output=True, text=True, env=environ, check=True,
    )  # fmt: skip
    assert not found.stderr
    assert f"Report: {report}\n" in found.stdout
    assert "nessus-sched config init\n" in found.stdout
    assert "<html" in report.read_text()
    lines = found.stdout.splitlines()
    told = [line for line in lines if str(report) not in line and "nessus-sched " not in line]
    assert max(map(len, told)) <= 80
    assert sum(line.startswith(("Mon ", "Tue ")) for line in lines) > 10
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("nessus-sched")]


async def short(stage: Stage, narrator: Narrator) -> Ending:
    """A story of one day, in which nothing happens."""
    await trio.sleep(DAY)
    narrator.tell(Chapter.REPORT, "the end", "and more")
    return Ending(
        report="<html>", changes={"new": 1}, severity_counts={"low": 1}, excepted=0,
        exceptions=0, tasks=[{"task_id": "t", "name": "n", "status": "completed"}],
    )  # fmt: skip


@pytest.mark.parametrize("answer", [True, False, webbrowser.Error("none")])
def test_the_report_is_opened_or_it_is_said_that_there_is_no_browser(
    answer: bool | webbrowser.Error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        if isinstance(answer, webbrowser.Error):
            raise answer
        return answer

    monkeypatch.setattr(run, "play", short)
    monkeypatch.setattr(webbrowser, "open", browser)
    monkeypatch.chdir(tmp_path)
    said = typed("demo", "--open", "--report", "report.html")
    report = tmp_path / "report.html"
    assert opened == [report.as_uri()]
    assert report.read_text() == "<html>"
    if answer is True:
        assert said.code == 0
        assert not said.err
    else:
        assert said.code == 1
        assert said.err == f"Error: no browser could be started; the report is {report}\n"


def test_json_has_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "play", short)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = json.loads(typed("demo", "--json").out)
    jsonschema.validate(told, schema_of("demo"))
    assert told["story"] == [
        {
            "at": "2026-06-02T00:00:00+00:00",
            "chapter": "report",
            "text": "the end",
            "details": ["and more"],
        }
    ]
    (left,) = tmp_path.iterdir()
    assert told["report"] == str(left)
    assert left.read_text() == "<html>"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "code", "said"),
    [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, ""), (None, 1, "")],
)
def test_a_story_that_is_broken_off_leaves_nothing(
    by: signal.Signals | None, code: int, said: str, tmp_path: Path
) -> None:
    environ = {**environment(tmp_path), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*PROGRAM, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as demo:
        assert demo.stdout is not None
        while "fires" not in demo.stdout.readline():
            pass
        if by is None:
            demo.stdout.close()
        else:
            demo.send_signal(by)
        assert demo.stderr is not None
        assert demo.stderr.read().strip() == said
        assert demo.wait() == code
    assert not list(tmp_path.glob("nessus-sched-*"))


def test_a_report_is_never_replaced(tmp_path: Path) -> None:
    """Before two weeks have passed."""
    file = tmp_path / "report.html"
    file.write_text("mine")
    one_sentence(typed("demo", "--report", str(file)), 1, "it exists")
    assert file.read_text() == "mine"


@pytest.mark.parametrize("words", [("--quick",), ("--stay",)])
def test_the_quick_demo_has_no_report(words: tuple[str, ...]) -> None:
    one_sentence(typed("demo", *words, "--report", "x"), 2, "--report")


def test_moments_have_day_and_time() -> None:
    assert moment(BEGIN + 2 * HOUR) == "Mon 01 Jun 02:00"
