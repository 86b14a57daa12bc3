"""The story from its beginning to its end, for people or as JSON."""

from __future__ import annotations

import os
import tempfile
import time
import webbrowser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from nessus_sched.cli.demo.scene import end_on_signal
from nessus_sched.cli.demo.story.clock import StoryClock, skip_idle_time
from nessus_sched.cli.demo.story.desk import CallRefused
from nessus_sched.cli.demo.story.lines import Line
from nessus_sched.cli.demo.story.narrator import Narrator
from nessus_sched.cli.demo.story.plot import Ending, StoryFailed, play
from nessus_sched.cli.demo.story.screen import StoryScreen
from nessus_sched.cli.demo.story.stage import SCANNERS, Stage, story_stage
from nessus_sched.cli.demo.story.told import StoryLine, StoryScanner, StoryTask, StoryTold
from nessus_sched.cli.output import print_json
from nessus_sched.cli.output_file import check_writable, whole_file
from nessus_sched.cli.trio_run import run_trio

_LOG_SHOWN: Final = 2000


def tell_story(*, as_json: bool, report: Path | None, open_report: bool) -> None:
    """Raises `click.ClickException` if the story cannot be told."""
    if report is not None:
        check_writable(report, force=False)
    clock, screen, started = StoryClock(), StoryScreen(quiet=as_json), time.perf_counter()
    told, end = run_trio(_run, clock, screen, clock=clock.trio)
    # Only now, so that what is broken off leaves nothing.
    path = _written(report, end.report)
    told = attrs.evolve(told, report=str(path), seconds=round(time.perf_counter() - started, 1))
    if as_json:
        print_json(attrs.asdict(told))
    else:
        screen.ending(told)
    if open_report and not _shown(path):
        raise click.ClickException(f"no browser could be started; the report is {path}")


async def _run(clock: StoryClock, screen: StoryScreen) -> tuple[StoryTold, Ending]:
    screen.opening(len(SCANNERS))
    with tempfile.TemporaryDirectory(prefix="nessus-sched-demo-") as name:
        async with trio.open_nursery() as nursery:
            await nursery.start(end_on_signal)
            nursery.start_soon(skip_idle_time, clock)
            async with story_stage(Path(name), clock) as stage:
                narrator = Narrator(stage.system, screen.show)
                nursery.start_soon(narrator.run)
                with screen.running():
                    try:
                        end = await play(stage, narrator)
                    except (CallRefused, StoryFailed) as error:
                        raise _failed(error, Path(name) / "daemon.log") from error
                told = _told(narrator.story, stage, end)
            nursery.cancel_scope.cancel(reason="the story is over")
    return told, end


def _failed(error: Exception, log: Path) -> click.ClickException:
    return click.ClickException(f"the demo failed: {error}\n{log.read_text()[-_LOG_SHOWN:]}")


def _told(story: Sequence[Line], stage: Stage, end: Ending) -> StoryTold:
    lines = [
        StoryLine(
            at=datetime.fromtimestamp(line.at, UTC).isoformat(timespec="seconds"),
            chapter=line.chapter.value,
            text=line.text,
            details=list(line.details),
        )
        for line in story
    ]
    tasks = [
        StoryTask(task_id=task["task_id"], name=task["name"], state=task["status"])
        for task in end.tasks
    ]
    scanners = [
        StoryScanner(
            scanner_instance=name,
            scans_run=nessus.ledger.launches(),
            max_running=nessus.ledger.max_running,
        )
        for name, nessus in stage.scanners.items()
    ]
    return StoryTold(
        story=lines,
        tasks=tasks,
        scanners=scanners,
        changes=end.changes,
        severity_counts=end.severity_counts,
        excepted=end.excepted,
        exceptions=end.exceptions,
        report="",
        seconds=0.0,
    )


def _shown(path: Path) -> bool:
    try:
        return webbrowser.open(path.absolute().as_uri())
    except webbrowser.Error:
        return False


def _written(wanted: Path | None, text: str) -> Path:
    if wanted is not None:
        with whole_file(wanted, force=False) as file:
            file.write(text)
        return wanted.absolute()
    number, name = tempfile.mkstemp(prefix="nessus-sched-report-", suffix=".html")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
