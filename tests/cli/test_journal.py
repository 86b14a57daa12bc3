"""The journal and backups, read from the state directory."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.command import one_sentence, typed
from support.live_daemon import Live
from support.stopped import TASK, Stopped, never_started

GENESIS = f"0:{'0' * 64}"


def test_the_history_of_a_task_is_a_table_oldest_first(left: Stopped) -> None:
    said = left("--tz", "Asia/Tokyo", "journal", "show", TASK)
    title, heading, *rows = said.out.splitlines()
    assert title == f"{TASK}  completed  scan 2"
    assert heading.split() == ["row", "time", "event", "state", "by", "why"]
    assert [row.split("  ")[0] for row in rows] == sorted(row.split("  ")[0] for row in rows)
    assert [row.split()[6] for row in rows] == [
        "submitted", "taken", "running", "exporting", "completed",
    ]  # fmt: skip
    assert all("+09:00 (" in row for row in rows)
    assert "scanner_instance east, attempt 1" in rows[1]
    assert "outcome" not in said.out
    assert said.err.startswith("no daemon is running; showing what ")
    found = left.asked("journal show", "journal", "show", "0003")
    assert str(found["task"]["task_id"]) == TASK  # type: ignore[index]  # JSON
    one_sentence(left("status", "t0000000"), 1, "matches several tasks; give more of the id")


def test_verify_prints_a_head_that_it_later_asks_for(left: Stopped, tmp_path: Path) -> None:
    found = left.asked("journal verify", "journal", "verify")
    assert (found["ok"], found["problems"]) == (True, [])
    head = str(found["head"])
    assert left("journal", "verify").out == (
        f"ok: {found['rows']} rows, {found['tasks']} tasks\nhead {head}\n"
    )
    for expected in (head, GENESIS):
        assert left("journal", "verify", "--expect", expected).code == 0
    row, digest = head.split(":")
    for wrong in (f"{row}:{digest[::-1]}", f"{int(row) + 1}:{digest}"):
        said = left("journal", "verify", "--expect", wrong)
        assert said.code == 1
        assert said.out.startswith("1 problem: ")
        assert "is not the one it once ended with" in said.err
        forged = left.asked("journal verify", "journal", "verify", "--expect", wrong, code=1)
        assert not forged["ok"]
    one_sentence(never_started(tmp_path)("journal", "verify"), 1, "no daemon has run")


@pytest.mark.parametrize("head", ["x", "1", ":", "1:zz", "-1:" + "0" * 64, "9" * 5000, "1:00"])
def test_what_is_no_head_proves_nothing(left: Stopped, head: str) -> None:
    one_sentence(left("journal", "verify", "--expect", head), 2, "--expect takes a head")


def test_a_row_that_was_changed_is_found(left: Stopped, tmp_path: Path) -> None:
    here = never_started(tmp_path)
    shutil.copytree(left.state, here.state)
    forge = "UPDATE journal SET content = replace(content, 'uid:1000', 'uid:2000') WHERE seq = 1"
    with closing(sqlite3.connect(here.state / "tasks.db")) as tasks, tasks:
        assert tasks.execute(forge).rowcount == 1
    said = here("journal", "verify")
    assert said.code == 1
    assert "row 1" in said.err
    assert "problem" in said.out


def test_a_backup_is_whole_and_private(left: Stopped, tmp_path: Path) -> None:
    tasks, ledger = tmp_path / "tasks.bak", tmp_path / "ledger.bak"
    words = ("backup", str(tasks), "--ledger", str(ledger))
    said = left(*words)
    assert [line.split(": ")[0] for line in said.out.splitlines()] == [str(tasks), str(ledger)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.bak", "tasks.bak"]
    assert {path.stat().st_mode & 0o777 for path in (tasks, ledger)} == {0o600}
    found = left.asked("backup", *words, "--force")
    assert found["bytes"] == tasks.stat().st_size
    assert found["ledger_bytes"] == ledger.stat().st_size
    here = never_started(tmp_path)
    here.state.mkdir()
    tasks.rename(here.state / "tasks.db")
    assert here("journal", "verify").out == left("journal", "verify").out


def test_a_backup_replaces_nothing_that_it_must_not(left: Stopped, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(there)
    for file, part in ((there, "--force"), (link, "it is a symbolic link")):
        one_sentence(left("backup", str(file)), 1, part)
        one_sentence(left("backup", str(tmp_path / "new"), "--ledger", str(file)), 1, part)
    one_sentence(left("backup", str(link), "--force"), 1, "it is a symbolic link")
    one_sentence(left("backup", str(tmp_path / "no" / "x")), 1, "cannot back up to ")
    one_sentence(left("backup", str(tmp_path)), 2, "is a directory")
    assert there.read_text() == "mine"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["tasks.db", "tasks.db-wal", "tasks.db-shm", "ledger.db"])
def test_a_backup_never_takes_the_place_of_a_store(
    left: Stopped, tmp_path: Path, name: str
) -> None:
    before = left("journal", "verify").out
    (tmp_path / "other way").symlink_to(left.state)
    for file in (left.state / name, tmp_path / "other way" / name):
        one_sentence(left("backup", str(file), "--force"), 1, "it belongs to the daemon")
        words = ("backup", str(tmp_path / "x"), "--ledger", str(file), "--force")
        one_sentence(left(*words), 1, "it belongs to the daemon")
    assert left("journal", "verify").out == before
    assert not (tmp_path / "x").exists()


def test_tasks_and_ledger_need_two_files(left: Stopped, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    for other in (tmp_path / "x", tmp_path / "here" / "x"):
        said = left("backup", str(tmp_path / "x"), "--ledger", str(other))
        one_sentence(said, 2, "FILE and --ledger are the same file")
    assert not (tmp_path / "x").exists()


def test_a_daemon_is_asked_when_one_runs(live: Live, tmp_path: Path) -> None:
    assert not live("journal", "show", "nosuch").err.startswith("no daemon")
    config = ("--config", str(tmp_path / "none.yaml"))
    one_sentence(typed("journal", "show", "last", *config), 78, "no such file")
    one_sentence(typed("journal", "verify", *config), 78, "none.yaml")
