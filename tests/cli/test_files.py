"""Reports in files: neither a daemon nor a configuration is needed, until one is imported."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from nessus_sched.store.ledger.store import open_ledger
from support.command import Said, fits, one_sentence, typed
from support.nessus_xml import document, element, host, item, output
from support.processes import site

SAMPLES = Path(__file__).parents[2] / ".." / "shared" / "data"
HOSTILE = "\x1b[31m\u202ered[bold]x[/bold]"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration and no daemon of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("NESSUS_SCHED_CONFIG", "NESSUS_SCHED_SOCKET", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Three findings on two hosts, one of them with texts that try to do harm."""
    path = tmp_path / "made.nessus"
    evil = "&#x202e;red[bold]x[/bold]"
    path.write_bytes(
        document(
            host(
                "192.0.2.1",
                item(10, element("cve", "CVE-2021-44228"), severity=4, port=443),
                item(11, output("=1+1"), severity=2),
            ),
            host("192.0.2.2", item(12, severity=0, pluginName="NAME")),
        ).replace(b"NAME", evil.encode())
    )
    return path


def asked(shape: str, *words: str) -> dict[str, object]:
    said = typed(*words, "--json")
    assert said.code == 0, said
    fits(shape, said.json)
    found: dict[str, object] = said.json
    return found


def test_summary_and_findings_of_a_file(report: Path) -> None:
    summary = asked("results summary", "results", "summary", str(report))
    assert (summary["hosts"], summary["findings"], summary["problems"]) == (2, 3, [])
    shown = asked("results show", "results", "show", str(report), "-f", "severity>=medium")
    assert shown["total"] == 2
    assert "CVE-2021-44228" in typed("results", "show", str(report)).out
    record = typed("results", "show", str(report), "--profile", "full", "-f", "plugin_id=11").out
    assert "severity: medium" in record
    both = typed("results", "show", str(report), "--any", "-f", "plugin_id=11", "-f", "port=443")
    assert "2 findings" in both.err


def test_pages_of_a_file_go_on_where_they_ended(report: Path) -> None:
    first = asked("results show", "results", "show", str(report), "-n", "2")
    rest = asked(
        "results show", "results", "show", str(report), "-n", "2",
        "--cursor", str(first["next_cursor"]),
    )  # fmt: skip
    whole = asked("results show", "results", "show", str(report), "-n", "2", "--all")
    assert whole["findings"] == [*first["findings"], *rest["findings"]]  # type: ignore[misc]  # lists
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("words", [("show",), ("show", "--profile", "full"), ("summary",)])
def test_nothing_a_host_wrote_steers_a_terminal(report: Path, words: Sequence[str]) -> None:
    said = typed("results", words[0], str(report), *words[1:])
    assert not set("\x1b\u202e") & set(said.out + said.err)
    if words[0] == "show":
        assert "red[bold]x[/bold]" in said.out


def test_packed_and_piped_reports(report: Path, tmp_path: Path) -> None:
    packed = tmp_path / "made.nessus.gz"
    packed.write_bytes(gzip.compress(report.read_bytes()))
    assert asked("results summary", "results", "summary", str(packed))["findings"] == 3
    piped = typed("results", "summary", "-", "--json", stdin=report.read_text())
    assert piped.json["findings"] == 3


@pytest.mark.slow
def test_exports_of_a_file(report: Path, tmp_path: Path) -> None:
    table = list(csv.DictReader(typed("results", "export", str(report)).out.splitlines()))
    assert [row["severity"] for row in table] == ["critical", "medium", "info"]
    outputs = typed("results", "export", str(report), "--fields", "plugin_output").out
    assert "'=1+1" in outputs
    lines = typed("results", "export", str(report), "--format", "jsonl").out.splitlines()
    assert [json.loads(each)["plugin_id"] for each in lines] == [10, 11, 12]
    page = tmp_path / "made.html"
    assert typed("results", "export", str(report), "--format", "html", "-o", str(page)).code == 0
    assert "CVE-2021-44228" in page.read_text()
    nowhere = str(tmp_path / "no" / "x.csv")
    one_sentence(typed("results", "export", str(report), "-o", nowhere), 1, "cannot write")


@pytest.mark.slow
def test_two_files_compared(report: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.nessus"
    new = item(13, severity=3)
    later.write_bytes(document(host("192.0.2.1", item(10, severity=4, port=443), new)))
    found = asked("results compare", "results", "compare", str(report), str(later))
    severities = found["counts"]["severities"]  # type: ignore[index]  # checked by its shape
    numbers = {change: sum(by.values()) for change, by in severities.items()}
    unproved = {"not_checked": 2, "not_checked_before": 1}
    assert numbers == {"new": 0, "fixed": 0, "persisting": 1, "changed": 0, **unproved}
    said = typed("results", "compare", str(report), str(later), "--change=not_checked_before")
    assert "Check 13" in said.out
    assert "192.0.2.2" in said.err


def test_a_broken_file_tells_where_and_what_was_saved(report: Path) -> None:
    whole = report.read_bytes()
    report.write_bytes(whole[: whole.index(b"192.0.2.2") + 5])
    said = typed("results", "show", str(report))
    assert said.code == 0
    assert "line 2, column" in said.err
    assert "kept" in said.err
    shown = asked("results show", "results", "show", str(report))
    assert shown["complete"] is False
    assert shown["total"] == 2


def test_a_file_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    bad = tmp_path / "bad.nessus"
    bad.write_text("hello")
    one_sentence(typed("results", "show", str(bad)), 1, "nothing could be read: line 1")
    one_sentence(typed("results", "summary", str(bad)), 1, "nothing could be read: line 1")
    said = typed("results", "summary", str(bad), "--json")
    assert (said.code, said.json["problems"][0]["line"]) == (1, 1)
    one_sentence(typed("results", "compare", str(bad), str(bad)), 1, "nothing could be read")


@pytest.mark.parametrize("command", ["show", "summary", "export"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    one_sentence(typed("results", command, "no.nessus"), 1, "no such file")
    one_sentence(typed("results", command, str(tmp_path)), 1, "is a directory")


def test_without_daemon_and_configuration_a_task_is_not_found() -> None:
    one_sentence(typed("results", "show", "t-abc"), 3, "no daemon answers")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample", "counts"),
    [
        ("heimdall2_sample", (1, 1, 5, 2, 140)),
        ("pytenable_example", (7, 77, 9, 2, 135)),
        ("defectdojo_nessus_with_cvssv3", (2, 10, 13, 1, 23)),
    ],
)
def test_samples_have_their_figures(sample: str, counts: tuple[int, ...]) -> None:
    path = SAMPLES / "nessus" / f"{sample}.nessus"
    if not path.exists():
        pytest.skip("the samples are not beside this checkout")
    summary = asked("results summary", "results", "summary", str(path))
    assert tuple(summary["severity_counts"].values()) == counts  # type: ignore[attr-defined]
    shown = asked("results show", "results", "show", str(path), "--all", "-n", "1000")
    assert shown["total"] == sum(counts)


def imported(place: Path, *words: str) -> Said:
    config = place / "config.yaml"
    if not config.exists():
        site(place, [])
    return typed(*words, "--config", str(config))


@pytest.mark.slow
def test_an_imported_report_is_a_task(report: Path, tmp_path: Path) -> None:
    said = imported(tmp_path, "results", "import", str(report), "--json")
    fits("results import", said.json)
    task_id = said.json["task_id"]
    listed = imported(tmp_path, "tasks", "--json")
    assert [(each["name"], each["status"]) for each in listed.json["tasks"]] == [
        ("made.nessus", "completed")
    ]
    assert "no daemon is running" in listed.err
    assert imported(tmp_path, "tasks", "--state", "running").code == 0
    assert imported(tmp_path, "tasks", "--submitter", "root").code == 0
    one_sentence(imported(tmp_path, "tasks", "--scanner", "nowhere"), 1, "no scanner 'nowhere'")
    shown = imported(tmp_path, "results", "show", task_id[-6:], "-f", "severity=critical", "--json")
    assert [row["plugin_id"] for row in shown.json["findings"]] == [10]
    later = imported(tmp_path, "results", "import", str(report), "--name", "again", "--json")
    other = later.json["task_id"]
    compared = imported(tmp_path, "results", "compare", task_id, other, "--json")
    assert sum(compared.json["counts"]["severities"]["persisting"].values()) == 3
    with_file = imported(tmp_path, "results", "compare", task_id, str(report), "--json")
    assert sum(with_file.json["counts"]["severities"]["persisting"].values()) == 3
    found = imported(
        tmp_path, "results", "search", "--history", "-f", "cve contains 44228", "--json"
    )
    assert {row["task_id"] for row in found.json["findings"]} == {task_id, other}
    assert imported(tmp_path, "journal", "verify", "--json").json["ok"]
    assert "imported" in imported(tmp_path, "journal", "show", task_id).out
    assert "completed" in imported(tmp_path, "status", task_id).out
    one_sentence(imported(tmp_path, "scanners", "list"), 3, "no daemon answers")
    copy = imported(tmp_path, "backup", str(tmp_path / "copy.db"))
    assert copy.code == 0


@pytest.mark.slow
def test_a_task_goes_by_its_name_and_the_latest_by_last(report: Path, tmp_path: Path) -> None:
    def named(name: str) -> str:
        said = imported(tmp_path, "results", "import", str(report), "--name", name, "--json")
        return str(said.json["task_id"])

    def status(text: str) -> Said:
        return imported(tmp_path, "status", text, "--json")

    weekly, servers = named("weekly scan"), named("servers")
    assert status("weekly scan").json["task_id"] == weekly
    assert status("last").json["task_id"] == servers
    one_sentence(status("weekly"), 1, "no task 'weekly'")
    one_sentence(status("x" * 100), 1, "no task")
    newest = named("servers")
    found = status("servers")
    assert found.json["task_id"] == newest
    assert f"Several tasks are named 'servers'; this is about {newest}" in found.err
    assert f"this is about {newest}" in imported(tmp_path, "results", "summary", "servers").err
    named(weekly[-6:])
    one_sentence(status(weekly[-6:]), 1, "matches several tasks")
    assert status(weekly).json["task_id"] == weekly


@pytest.mark.slow
def test_what_cannot_be_imported(tmp_path: Path) -> None:
    bad = tmp_path / "bad.nessus"
    bad.write_text("hello")
    one_sentence(imported(tmp_path, "results", "import", str(bad)), 1, "nothing could be read")
    one_sentence(imported(tmp_path, "results", "import", "no.nessus"), 2, "does not exist")
    one_sentence(typed("results", "import", str(bad)), 3, "no daemon answers")


@pytest.mark.slow
def test_the_ledger_is_read_without_a_daemon(report: Path, tmp_path: Path) -> None:
    assert imported(tmp_path, "results", "import", str(report)).code == 0
    questions = (("coverage", "--target", "192.0.2.0/30"), ("hosts", "192.0.2.1"), ("changes",),
                 ("findings", "plugin_id>0"))  # fmt: skip
    for words in questions:
        one_sentence(imported(tmp_path, *words), 1, "no daemon has run")

    async def create() -> None:
        state = tmp_path / "state"
        await (await open_ledger(state / "ledger.db", state / "findings.db")).aclose()

    trio.run(create)
    for words in questions:
        said = imported(tmp_path, *words, "--json")
        assert said.code == (1 if words[0] == "hosts" else 0), "the host is not known to be clean"
        assert any("not entered yet" in note for note in said.json["notes"])


@pytest.mark.slow
def test_a_report_is_exported_as_it_came(report: Path, tmp_path: Path) -> None:
    task_id = imported(tmp_path, "results", "import", str(report), "--json").json["task_id"]

    def export(*words: str) -> Said:
        return imported(tmp_path, "results", "export", task_id, "--format", "nessus", *words)

    copy = tmp_path / "copy.nessus"
    assert export("-o", str(copy)).code == 0
    assert copy.read_bytes() == report.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    one_sentence(export("-o", str(copy)), 1, "--force")
    assert export().out.encode() == report.read_bytes()
    (directory := tmp_path / "reports").mkdir()
    assert export("-o", str(directory)).code == 0
    assert [path.name for path in directory.iterdir()] == [f"{task_id}.nessus"]
    one_sentence(export("-f", "severity=high"), 2, "whole reports: no fields, no filters")
    one_sentence(
        imported(tmp_path, "results", "export", str(report), "--format", "nessus"),
        2, "is a report already",
    )  # fmt: skip
    kept = tmp_path / "state" / "exports" / f"{task_id}.nessus.gz"
    kept.with_name(f"{task_id}-1.nessus.gz").write_bytes(kept.read_bytes())
    one_sentence(export(), 2, "has 2 reports, one for each attempt or part")
    kept.write_bytes(kept.read_bytes()[:-9])
    one_sentence(export("-o", str(directory), "--force"), 1, "is damaged")
    assert not [path for path in directory.iterdir() if path.name.startswith(".")]
    for path in kept.parent.iterdir():
        path.unlink()
    one_sentence(export(), 1, "no export of task")
