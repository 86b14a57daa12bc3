"""`store copy` between directories and databases, as it is typed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nessus_sched.store.lock import hold_state_directory
from support import postgres
from support.command import typed
from support.stopped import Stopped


def tasks(directory: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{directory}/tasks.db?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT task_id, document FROM task ORDER BY ord").fetchall()


def test_a_copy_in_another_directory_has_the_same_journal(left: Stopped, tmp_path: Path) -> None:
    head = left.asked("journal verify", "journal", "verify")["head"]
    copied = left.asked("store copy", "store", "copy", str(left.state), str(tmp_path / "new"))
    assert copied["head"] == head
    assert tasks(tmp_path / "new") == tasks(left.state) != []
    again = left("store", "copy", str(left.state), str(tmp_path / "new"))
    assert (again.code, "is not empty; nothing was copied" in again.err) == (1, True)


@pytest.mark.slow
def test_there_and_back_through_postgresql(
    left: Stopped, tmp_path: Path, cluster: postgres.Cluster
) -> None:
    parts = dict(part.split("=") for part in cluster.database().split())
    url = f"postgresql:///{parts['dbname']}?host={parts['host']}&user={parts['user']}"
    there = left.asked("store copy", "store", "copy", str(left.state), url)
    back = left.asked("store copy", "store", "copy", url, str(tmp_path / "back"))
    assert there == back
    assert tasks(tmp_path / "back") == tasks(left.state)
    full = left("store", "copy", str(left.state), url)
    assert (full.code, "is not empty; nothing was copied" in full.err) == (1, True)


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("postgresql://me:hush@db.example.com/tasks", 2, "a URL takes no password"),
        ("postgresql://db.example.com/tasks?password=hush", 2, "a URL takes no password"),
        ("postgresql://[", 2, "this is not a URL"),
        ("no/such/directory", 1, "there is no tasks.db in no/such/directory"),
    ],
)
def test_places_that_cannot_be_copied_from(
    tmp_path: Path, place: str, code: int, said: str
) -> None:
    answer = typed("store", "copy", place, str(tmp_path / "new"))
    assert (answer.code, said in answer.err, "hush" in answer.err) == (code, True, False)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_database_that_does_not_answer(left: Stopped, tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra nessus-sched[postgres]")
    url = f"postgresql:///tasks?host={tmp_path}"
    answer = left("store", "copy", str(left.state), url)
    assert (answer.code, "cannot connect to PostgreSQL at" in answer.err) == (1, True)


def test_a_store_in_use_is_left_alone(left: Stopped, tmp_path: Path) -> None:
    used = tmp_path / "used"
    with hold_state_directory(used):
        answer = left("store", "copy", str(left.state), str(used))
    assert (answer.code, "already uses state directory" in answer.err) == (1, True)
    assert not (used / "tasks.db").exists()


def test_what_is_in_the_destination_is_not_lost(left: Stopped, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (new / "exports").mkdir(parents=True, mode=0o700)
    new.chmod(0o700)
    (new / "ledger.db").write_bytes(b"of another store")
    refused = left("store", "copy", str(left.state), str(new))
    assert (refused.code, "has the ledger of another store" in refused.err) == (1, True)
    assert (new / "ledger.db").read_bytes() == b"of another store"
    (new / "ledger.db").unlink()
    left.asked("store copy", "store", "copy", str(left.state), str(new))


@pytest.mark.slow
def test_what_is_in_the_destination_is_not_lost_to_a_database(
    left: Stopped, tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    left.asked("store copy", "store", "copy", str(left.state), url)
    new = tmp_path / "new"
    (new / "exports").mkdir(parents=True, mode=0o700)
    new.chmod(0o700)
    report = new / "exports/t-another.nessus.gz"
    report.write_bytes(b"of a task of another store")
    (new / "ledger.db").write_bytes(b"of another store")
    refused = left("store", "copy", url, str(new))
    assert (refused.code, "has the ledger of another store" in refused.err) == (1, True)
    (new / "ledger.db").unlink()
    left.asked("store copy", "store", "copy", url, str(new))
    assert report.exists()
