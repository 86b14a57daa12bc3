"""Reports for people through the command line, with and without a daemon."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from click import ClickException

from nessus_sched.cli.client import daemon
from support.command import one_sentence, typed
from support.live_daemon import Live, asked
from support.nessus_xml import document, element, host, item, output
from support.reading import Page

NETWORK = "198.51.100.96/28"
HOSTILE = "<script>alert(1)</script>]]>\"'<svg onload=alert(1)>"


@pytest.fixture(scope="module")
def scanned(live: Live) -> str:
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "linux", "--wait")
    return str(asked(live, "submit --wait", *words)["task_id"])


def page_of(live: Live, tmp_path: Path, *words: str) -> Page:
    path = tmp_path / "report.html"
    said = live("report", *words, "-o", str(path), "--force")
    assert said.code == 0, said
    assert path.stat().st_mode & 0o777 == 0o600
    return Page(path.read_text())


def test_management_counts_what_is_open(live: Live, scanned: str, tmp_path: Path) -> None:
    found = asked(
        live, "findings", "findings", "--host", NETWORK, "--severity", "low", "-n", "200"
    )  # fmt: skip
    known = Counter(row["severity"] for row in found["findings"])
    for scope in (("--network", NETWORK), ("--task", scanned)):
        shown = page_of(live, tmp_path, "management", *scope).tiles()
        for name in ("critical", "high", "medium", "low"):
            assert int(shown[name]) == known[name]


def test_a_team_gets_its_findings_as_a_table(live: Live, scanned: str) -> None:
    found = asked(
        live, "findings", "findings", "--host", NETWORK, "--severity", "low", "-n", "200"
    )  # fmt: skip
    expected = sorted((row["host"], row["plugin_id"], row["port"]) for row in found["findings"])
    said = live("report", "team", "--network", NETWORK, "--format", "jsonl", "-o", "-")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert sorted((row["host"], row["plugin_id"], row["port"]) for row in rows) == expected
    said = live("report", "team", "--network", NETWORK, "--format", "csv", "-o", "-")
    table = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["solution"] for row in table] == [row["solution"] for row in rows]
    page = live("report", "team", "--network", NETWORK, "-o", "-")
    assert f"{len(rows)} findings of severity low or higher on " in Page(page.out).words


@pytest.mark.slow
def test_technical_is_the_same_as_the_export(live: Live, scanned: str, tmp_path: Path) -> None:
    page = page_of(live, tmp_path, "technical", scanned)
    exported = Page(live("results", "export", scanned, "--format", "html").out)
    titles = page.texts("section.card h3")
    assert titles
    assert titles == exported.texts("section.card h3")
    assert page.texts("pre") == exported.texts("pre")


@pytest.mark.slow
def test_comparison_of_two_scans(live: Live, scanned: str, tmp_path: Path) -> None:
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "linux", "--wait")
    later = str(asked(live, "submit --wait", *words)["task_id"])
    counts = asked(live, "results compare", "results", "compare", scanned, later)["counts"]
    for before, after, note in (
        (scanned, later, None), (scanned, scanned, "are the same one"),
        (later, scanned, "Swap the two"),
    ):  # fmt: skip
        compared = asked(live, "results compare", "results", "compare", before, after)
        notes = " ".join(compared["page"]["notes"])
        told = page_of(live, tmp_path, "comparison", before, after).words
        for said in ("are the same one", "Swap the two"):
            assert (said in notes, said in told) == (said == note,) * 2
    page = page_of(live, tmp_path, "comparison", scanned, later)
    stayed = sum(n for name, n in counts["severities"]["persisting"].items() if name != "info")
    assert f"{stayed} findings of severity low or higher remained." in page.words
    page = page_of(live, tmp_path, "comparison", "--since", "1d", "--network", NETWORK)
    assert "from the first scan of a host: they are its baseline." in page.words


@pytest.mark.slow
def test_without_a_daemon_the_state_directory_answers(
    live: Live, scanned: str, tmp_path: Path
) -> None:
    """The socket is hidden; the stores are read while the daemon has them open."""
    env = {"NESSUS_SCHED_CONFIG": str(live.place.file), "NESSUS_SCHED_SOCKET": "/nonexistent"}
    for kind in (("management",), ("team",), ("technical", scanned), ("comparison",)):
        words = () if kind[0] == "technical" else ("--network", NETWORK)
        said = typed("report", *kind, *words, "-o", "-", env=env)
        assert said.code == 0, said
        there = Page(live("report", *kind, *words, "-o", "-").out)
        here = Page(said.out)
        assert here.texts("main h2") == there.texts("main h2")
        assert here.tiles() == there.tiles()


def test_a_model_is_told_where_the_file_is(
    live: Live, scanned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", live.place.environ["XDG_RUNTIME_DIR"])
    with daemon(live.place.file) as api:
        answer = api.call("create_report", kind="technical", task_id=scanned)
    path = Path(answer["path"])
    assert path.parent.name == "reports"
    page = Page(path.read_text())
    assert page.texts("section.card h3") == Page(
        live("report", "technical", scanned, "-o", "-").out
    ).texts("section.card h3")


def test_a_daemon_of_another_release_does_not_know_every_operation(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", live.place.environ["XDG_RUNTIME_DIR"])
    with daemon(live.place.file) as api, pytest.raises(ClickException) as caught:
        api.operate("read_horoscope")
    assert caught.value.message.startswith("the daemon does not know read_horoscope: ")


def test_mistakes_are_one_sentence(live: Live, scanned: str, tmp_path: Path) -> None:
    one_sentence(live("report", "management", "--task", "nosuch"), 1, "nosuch")
    one_sentence(live("report", "management", "--schedule", "nosuch"), 1, "'nosuch'")
    one_sentence(live("report", "team", "--task", scanned, "--network", NETWORK), 1, "give one of")
    one_sentence(live("report", "comparison", scanned), 2, "give two tasks")
    one_sentence(live("report", "comparison", scanned, scanned, "--since", "1d"), 2, "--since")
    one_sentence(live("report", "comparison", "--last", "month"), 2, "No such option")
    path = tmp_path / "there.html"
    path.write_text("mine")
    one_sentence(live("report", "team", "-o", str(path)), 1, "it exists")
    assert path.read_text() == "mine"


def test_a_file_of_its_own_name_by_default(
    live: Live, scanned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert live("report", "team", "--network", NETWORK).code == 0
    assert len(list(tmp_path.glob("team-20??-??-??.html"))) == 1
    assert len(list(tmp_path.glob("team-20??-??-??-2.html"))) == 1


def test_a_file_needs_neither_daemon_nor_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "a scan.nessus"
    texts = [element(name, HOSTILE) for name in ("synopsis", "solution", "cve")]
    found = item(1, *texts, output(HOSTILE), severity=3, pluginName=HOSTILE, port=1)
    report.write_bytes(document(host(HOSTILE, found)))
    assert typed("report", "technical", str(report)).code == 0
    page = Page((tmp_path / "technical-a-scan.html").read_text())
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert not page.attributes("onload")
    assert page.text.count("<script>") >= 4
    assert typed("report", "technical", str(report), "--format", "csv", "-o", "-").out.count(",")


@pytest.mark.slow
def test_own_templates(live: Live, scanned: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    said = typed("report", "templates", str(own))
    assert said.code == 0
    assert {"management.html", "report.css"} < {path.name for path in own.iterdir()}
    one_sentence(typed("report", "templates", str(own)), 1, "it exists")
    config = tmp_path / "config.yaml"
    config.write_text(f"state_directory: {tmp_path}/state\nreports: {{templates: {own}}}\n")
    assert typed("config", "check", "-c", str(config)).code == 0
    team = own / "team.html"
    lines = team.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "group.solution" in line)
    lines[place] = lines[place].replace("group.solution", "group.nosuch")
    team.write_text("\n".join(lines))
    said = typed("config", "check", "-c", str(config))
    assert said.code == 78
    assert f"{team}:{place + 1}:1: " in said.err
    assert "nosuch" in said.err
    found = typed("config", "check", "-c", str(config), "--json").json
    assert [(each["file"], each["line"]) for each in found["problems"]] == [(str(team), place + 1)]
