"""Reports that are imported without a daemon, and come out again as they were."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from support.command import one_sentence
from support.nessus_xml import document, host, item
from support.stopped import Stopped, never_started

REPORT = document(host("192.0.2.1", item(10, severity=4)), host("192.0.2.2", item(11)))


@pytest.fixture
def here(tmp_path: Path) -> Stopped:
    return never_started(tmp_path)


def imported(here: Stopped, name: str, content: bytes = REPORT, *words: str) -> str:
    file = here.place.directory / name
    file.write_bytes(content)
    answer = here.asked("results import", "results", "import", str(file), *words)
    return str(answer["task_id"])


def test_what_went_in_comes_out_byte_for_byte(here: Stopped, tmp_path: Path) -> None:
    task_id = imported(here, "a.nessus", REPORT, "--name", "x" * 150)
    assert here.asked("status", "status", task_id)["name"] == "x" * 100
    words = ("results", "export", task_id, "--format", "nessus")
    assert here(*words).out == REPORT.decode()
    file = tmp_path / "out.nessus"
    said = here(*words, "-o", str(file))
    assert said.err.endswith(f"{file}: {len(REPORT)} bytes\n")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (REPORT, 0o600)
    one_sentence(here(*words, "-o", str(file)), 1, "it exists; replace it with --force")
    (tmp_path / "d").mkdir()
    assert here(*words, "-o", str(tmp_path / "d")).code == 0
    (copied,) = (tmp_path / "d").iterdir()
    assert copied.read_bytes() == REPORT
    assert copied.name.startswith(task_id)


def test_several_reports_of_a_task_need_a_directory(here: Stopped, tmp_path: Path) -> None:
    task_id = imported(here, "a.nessus")
    (only,) = (here.state / "exports").iterdir()
    for attempt in (2, 3):
        only.with_name(f"{task_id}.{attempt}.nessus.gz").write_bytes(gzip.compress(b"<x/>"))
    words = ("results", "export", task_id, "--format", "nessus", "-o")
    for output in ("-", str(tmp_path / "one.nessus")):
        one_sentence(here(*words, output), 2, "has 3 reports, one for each attempt or part")
    there = tmp_path / "there"
    there.mkdir()
    (there / f"{task_id}.3.nessus").write_text("mine")
    one_sentence(here(*words, str(there)), 1, "it exists")
    assert [path.read_text() for path in there.iterdir()] == ["mine"]
    assert here(*words, str(there), "--force").code == 0
    assert len(list(there.iterdir())) == 3


def test_a_damaged_or_lost_report_leaves_no_file(here: Stopped, tmp_path: Path) -> None:
    task_id = imported(here, "a.nessus")
    (only,) = (here.state / "exports").iterdir()
    words = ("results", "export", task_id, "--format", "nessus", "-o", str(tmp_path / "out"))
    only.write_bytes(only.read_bytes()[:40])
    said = here(*words)
    assert said.code == 1
    assert "Traceback" not in said.err
    assert not (tmp_path / "out").exists()
    only.unlink()
    assert here(*words).code == 1
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is empty"), (b"nothing to see", "nothing could be read"),
        (gzip.compress(REPORT)[:60], "damaged or truncated"),
    ],
    ids=["empty", "text", "torn"],
)  # fmt: skip
def test_what_is_no_report_is_not_stored(here: Stopped, content: bytes, part: str) -> None:
    imported(here, "good.nessus")
    file = here.place.directory / "bad.nessus"
    file.write_bytes(content)
    said = here("results", "import", str(file))
    assert (said.code, said.out) == (1, "")
    assert part in said.err
    assert "Traceback" not in said.err
    assert len(here("tasks", "--json").json["tasks"]) == 1
    assert len(list((here.state / "exports").iterdir())) == 1
    assert here("journal", "verify").code == 0


def test_the_original_of_a_file_or_of_no_task(here: Stopped) -> None:
    task_id = imported(here, "a.nessus")
    file = str(here.place.directory / "a.nessus")
    words = ("--format", "nessus")
    one_sentence(here("results", "export", file, *words), 2, "is a report already")
    one_sentence(here("results", "export", "nosuch", *words), 1, "no task 'nosuch'")
    said = here("results", "export", task_id, *words, "--fields", "host")
    one_sentence(said, 2, "no fields, no filters")


def test_stdin_and_gzip_are_reports_too(here: Stopped) -> None:
    said = here("results", "import", "-", stdin=gzip.compress(REPORT))
    assert said.code == 0, said
    (task,) = here("tasks", "--json").json["tasks"]
    assert (task["name"], task["status"]) == ("stdin", "completed")
    exported = here("results", "export", task["task_id"], "--format", "nessus").out
    assert exported == REPORT.decode()
