"""Tasks by their names, in every command and tool that takes a task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest

from nessus_sched.cli.client import Refused, daemon
from support.command import one_sentence
from support.live_daemon import Live, asked, submitted

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def finished(live: Live) -> str:
    """A completed task, called `done by name`; only one, whatever order the tests run in."""
    task = submitted(live, "192.0.2.33", "--name", "done by name")
    live("watch", task)
    return task


@pytest.fixture
def waiting(live: Live) -> Iterator[str]:
    """The name of a task that waits; the names differ from those of earlier ones."""
    name = f"waits {next(NUMBERS)}"
    live("pause-all")
    submitted(live, "192.0.2.34", "--name", name)
    try:
        yield name
    finally:
        live("cancel", "--all", "--yes")
        live("resume-all")


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["watch"],
        ["tasks", "--part-of"],
        ["coverage"],
        ["results", "summary"],
        ["results", "show"],
        ["results", "show", "--group-by", "host"],
        ["results", "export"],
        ["results", "compare", "last"],
        ["journal", "show"],
        ["report", "technical", "-o", "-"],
        ["report", "team", "-o", "-", "--task"],
        ["rescan", "--silent", "--dry-run"],
        ["dlq", "show"],
    ],
)
def test_a_finished_task_by_its_name(live: Live, finished: str, words: Sequence[str]) -> None:
    by_id, by_name = live(*words, finished), live(*words, "done by name")
    assert (by_name.code, by_name.err) == (by_id.code, by_id.err)
    assert "no task" not in by_name.err
    nobody = live(*words, "called by nobody")
    assert nobody.code != 0
    assert "called by nobody" in nobody.err


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "status"])
def test_a_waiting_task_by_its_name_and_as_the_last_one(
    live: Live, waiting: str, command: str
) -> None:
    for text in (waiting, "last"):
        said = live(command, text)
        assert said.code == 0, said
        assert asked(live, "status", "status", "last")["name"] == waiting


def test_a_name_of_several_tasks_is_refused_with_the_tasks(live: Live, waiting: str) -> None:
    first = asked(live, "status", "status", waiting)["task_id"]
    second = submitted(live, "192.0.2.35", "--name", waiting)
    said = live("cancel", waiting)
    one_sentence(said, 1, f"'{waiting}' matches several tasks")
    assert first in said.err
    assert second in said.err
    assert {asked(live, "status", "status", task)["status"] for task in (first, second)} == {
        "queued"
    }


def test_of_several_with_a_name_the_newest_unfinished_one_is_shown(
    live: Live, waiting: str
) -> None:
    task = asked(live, "status", "status", waiting)["task_id"]
    live("cancel", submitted(live, "192.0.2.36", "--name", waiting))
    said = live("status", waiting)
    assert f"Several tasks are named '{waiting}'; this is about {task} (queued, " in said.err
    canceled = live("cancel", waiting)
    assert canceled.code == 0
    assert task in canceled.out
    assert asked(live, "status", "status", task)["status"] == "canceled"


def test_what_is_asked_of_results_is_about_the_newest_that_has_some(
    live: Live, finished: str
) -> None:
    live("cancel", submitted(live, "192.0.2.37", "--name", "done by name"))
    for words in (["results", "summary"], ["results", "show"], ["coverage"]):
        said = live(*words, "done by name")
        assert said.code == 0
        assert f"this is about {finished} (completed, " in said.err


def test_tools_for_models_take_names_too(
    live: Live, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = asked(live, "status", "status", waiting)["task_id"]
    monkeypatch.setenv("NESSUS_SCHED_SOCKET", str(live.place.socket))
    with daemon(None) as connection:
        assert connection.call("get_scan_status", task_id=waiting)["task_id"] == task
        assert connection.call("get_scan_status", task_id="last")["task_id"] == task
        with pytest.raises(Refused, match="give the id of the task to change"):
            connection.call("cancel_scan", task_id="last")
        with pytest.raises(Refused, match="nobody"):
            connection.call("get_scan_status", task_id="nobody")
        assert connection.call("cancel_scan", task_id=waiting)["status"] == "canceled"
