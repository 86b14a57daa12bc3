"""Canceling many tasks at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.command import one_sentence
from support.live_daemon import Live, asked, submitted


@pytest.fixture
def queued(live: Live) -> Iterator[list[str]]:
    """Three tasks that wait."""
    live("pause-all")
    try:
        yield [
            submitted(live, f"192.0.2.{host}", "--name", f"heap-{host}") for host in (61, 62, 63)
        ]
    finally:
        live("cancel", "--all", "--yes")
        live("resume-all")


def states(live: Live, tasks: list[str]) -> set[str]:
    return {asked(live, "status", "status", task)["status"] for task in tasks}


@pytest.mark.parametrize("which", ["--all", "--mine"])
def test_all_unfinished_tasks_are_canceled(live: Live, queued: list[str], which: str) -> None:
    said = live("cancel", which, "--yes")
    assert said.code == 0
    assert {line.split()[0] for line in said.out.splitlines()} == set(queued)
    assert "3 tasks canceled, 0 refused" in said.err
    assert states(live, queued) == {"canceled"}
    again = live("cancel", which, "--yes")
    assert (again.code, again.out, again.err) == (0, "", "no unfinished tasks\n")
    assert asked(live, "cancel", "cancel", which, "--yes") == {"tasks": []}


def test_a_dry_run_cancels_nothing(live: Live, queued: list[str]) -> None:
    said = live("cancel", "--all", "--dry-run")
    assert said.code == 0
    assert all(task in said.out for task in queued)
    assert "3 tasks would be canceled" in said.err
    listed = asked(live, "cancel", "cancel", "--mine", "--dry-run")["tasks"]
    assert {task["task_id"] for task in listed} == set(queued)
    assert states(live, queued) == {"queued"}


def test_without_a_terminal_nothing_is_canceled_unless_told_so(
    live: Live, queued: list[str]
) -> None:
    one_sentence(live("cancel", "--all"), 2, "this would cancel 3 tasks; give --yes")
    assert states(live, queued) == {"queued"}


@pytest.mark.parametrize(("answer", "state"), [("n", "queued"), ("y", "canceled")])
def test_on_a_terminal_the_user_is_asked(
    live: Live, queued: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, state: str
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = live("cancel", "--mine", stdin=f"{answer}\n")
    assert "Cancel 3 tasks? [y/N]" in said.err
    assert said.code == (0 if answer == "y" else 1)
    monkeypatch.undo()
    assert states(live, queued) == {state}


@pytest.mark.parametrize(
    "words", [[], ["--all", "--mine"], ["--all", "last"], ["last", "--dry-run"]]
)
def test_what_is_to_be_canceled_is_said_once(live: Live, words: list[str]) -> None:
    said = live("cancel", *words)
    assert said.code == 2
    assert not said.out
