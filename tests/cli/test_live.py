"""Every command against a running daemon and simulated scanners."""

from __future__ import annotations

import gzip
import json
import re
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from nessus_sched.cli import output
from nessus_sched.cli.json_schemas import OUTPUTS
from support.command import Said, one_sentence
from support.live_daemon import CANARIES, Live, asked, submitted
from support.nessus_xml import document, host, item

BASIC = ("submit", "192.0.2.10", "--name", "web tier")


def completed(live: Live, *words: str) -> str:
    return str(asked(live, "submit --wait", "submit", *words, "--wait")["task_id"])


@pytest.fixture(scope="module")
def done(live: Live) -> str:
    """A completed task."""
    return completed(live, "192.0.2.10", "198.51.100.0/29", "--name", "web tier")


@pytest.fixture
def dead(live: Live) -> str:
    """A dead letter."""
    audit = ("--kind", "compliance", "--credential", "linux", "--audit", "nonesuch")
    task_id = submitted(live, "192.0.2.99", *audit)
    asked(live, "watch", "watch", task_id, code=1)
    return task_id


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("--kind", "basic", "--description", "why", "--pool", "nessus", "--priority", "high"),
        ("--kind", "trusted", "--credential", "linux"),
        ("--kind", "privileged", "--credential", "linux", "--max-runtime", "90m"),
        ("--kind", "custom", "--template", "advanced", "--set", "portscan_range=1-1024"),
        ("--kind", "compliance", "--credential", "linux", "--audit", "cis"),
        ("--kind", "quick", "--discovery", "ports", "--scanner", "west"),
    ],
)
def test_each_kind_is_accepted(live: Live, words: Sequence[str]) -> None:
    answer = asked(live, "submit", "submit", "192.0.2.50", *words)
    assert answer["created"]
    status = asked(live, "status", "status", answer["task_id"])
    assert status["kind"] == words[1]
    asked(live, "cancel", "cancel", answer["task_id"])


def test_a_scan_that_ran_with_other_ports_than_it_was_asked_says_so(live: Live) -> None:
    """The scanner expands the mode and so drops the range."""
    task_id = completed(
        live, "192.0.2.20", "--set", "portscan_range=1-100",
        "--set", "discovery_mode=Port scan (common ports)",
    )  # fmt: skip
    status = asked(live, "status", "status", task_id)
    assert (status["asked"]["template"], status["asked"]["port_range"]) == ("basic", "1-100")
    (warning,) = status["validation"]["warnings"]
    assert (warning["code"], warning["differs"]) == ("port_range_differs", "port_range")
    said = "The port range was default, not 1-100."
    for words in (("status", task_id), ("results", "summary", task_id),
                  ("results", "show", task_id, "--filter", "plugin_id=1")):  # fmt: skip
        shown = live(*words)
        assert said in " ".join((shown.out + shown.err).split()), words


def test_a_key_gives_the_same_task_and_a_dry_run_none(live: Live) -> None:
    first = submitted(live, "192.0.2.60", "--key", "weekly")
    again = asked(live, "submit", "submit", "192.0.2.60", "--key", "weekly")
    assert (again["task_id"], again["created"]) == (first, False)
    assert asked(live, "submit", "submit", "192.0.2.61", "--dry-run")["task_id"] is None
    assert "would be accepted" in live("submit", "192.0.2.61", "--dry-run").out


@pytest.mark.slow
def test_a_task_by_the_beginning_or_end_of_its_id(live: Live, done: str) -> None:
    assert asked(live, "status", "status", done[-6:])["task_id"] == done
    assert asked(live, "status", "status", done[:-1])["task_id"] == done
    assert done in live("status", done[2:-1]).out
    assert asked(live, "status", "status", done.upper())["task_id"] == done
    another = submitted(live, "192.0.2.71", "--name", "another")
    several = live("status", "t")
    one_sentence(several, 1, "'t' matches several tasks")
    assert re.search(r"  t-\w+  completed, ", several.err)
    assert re.search(rf"  {another}  \w+, \w+ ago  another\n", several.err)
    live("watch", another)
    one_sentence(live("status", "nonesuch"), 1, "no task 'nonesuch'")


def test_tasks_by_every_filter(live: Live, done: str) -> None:
    def listed(*words: str) -> list[str]:
        return [task["task_id"] for task in asked(live, "tasks", "tasks", *words)["tasks"]]

    assert done in listed("--state", "completed")
    assert done not in listed("--unfinished")
    assert listed("--target", "192.0.2.10", "--text", "WEB") == [done]
    assert done in listed("--since", "1h", "--kind", "basic", "--pool", "nessus")
    assert done not in listed("--until", "1h")
    completed(live, "192.0.2.73")  # so that there is more than one page
    first = asked(live, "tasks", "tasks", "--limit", "1")
    assert len(first["tasks"]) == 1
    assert first["tasks"][0]["task_id"] not in listed("--cursor", first["next_cursor"])
    assert "web tier" in live("tasks", "-n", "100").out


def test_watch_tells_every_change(live: Live) -> None:
    task_id = submitted(live, "192.0.2.70")
    said = live("watch", task_id[-8:])
    assert said.code == 0
    assert f"{task_id}  completed 100 %" in said.out
    assert asked(live, "watch", "watch", task_id)["tasks"][0]["settled"]


def test_cancel_goes_on_behind_a_refusal(live: Live, done: str) -> None:
    asked(live, "pause-all", "pause-all")
    waiting = submitted(live, "192.0.2.80")
    answer = live("cancel", done, "nonesuch", waiting)
    assert answer.code == 1
    assert f"{waiting}  canceled" in answer.out
    assert f"task {done} is already completed" in answer.err
    assert "no task 'nonesuch'" in answer.err
    one_sentence(live("pause", done), 1, "is completed and cannot be paused")
    one_sentence(live("resume", done), 1, "is completed and cannot be resumed")
    asked(live, "resume-all", "resume-all")


def test_everything_paused_is_said_everywhere(live: Live) -> None:
    assert "no scans start" in live("pause-all", "--running", "keep").out
    waiting = submitted(live, "192.0.2.81")
    assert "Paused" in live("queue").err
    queue = asked(live, "queue", "queue")
    assert waiting in [row["task_id"] for row in queue["waiting"]]
    assert "PAUSED" in live("top").out
    assert "paused" in live("doctor", "--offline").out
    assert "may start" in live("resume-all").out
    asked(live, "watch", "watch", waiting)


@contextmanager
def long_scans(live: Live) -> Iterator[None]:
    """Scans that are launched meanwhile do not end by themselves."""
    usual = [sim.nessus.scans_take for sim in live.sims]
    for sim in live.sims:
        sim.nessus.scans_take = 3600.0
    try:
        yield
    finally:
        for sim, seconds in zip(live.sims, usual, strict=True):
            sim.nessus.scans_take = seconds


def test_a_scan_that_is_queued_already_is_pointed_out(live: Live) -> None:
    with long_scans(live):
        first = submitted(live, "192.0.2.84")
        for again in (("--dry-run",), ()):
            shown = live("submit", "192.0.2.84", *again)
            assert f"Task {first} asks for the same scan" in shown.err
            assert shown.code == 0
        live("cancel", "last", first)


@pytest.mark.slow
def test_scans_that_stay_paused_are_counted(live: Live) -> None:
    def reaches(state: str) -> bool:
        return any(live("status", task_id, "--json").json["status"] == state for _ in range(1000))

    with long_scans(live):
        task_id = submitted(live, "192.0.2.82")
        assert reaches("running")
        assert "pausing 1 running scan" in live("pause-all", "--running", "pause").out
        assert reaches("paused")
        assert "1 scan resumed" in live("resume-all").out
        assert reaches("running")
        asked(live, "pause", "pause", task_id)
        assert reaches("paused")
        assert asked(live, "resume-all", "resume-all")["paused_scans"] == 1
        assert "1 scan stays paused" in live("resume-all").out
        asked(live, "cancel", "cancel", task_id)


def test_scanners_are_listed_switched_and_tested(live: Live) -> None:
    rows = asked(live, "scanners list", "scanners", "list")["scanners"]
    assert [row["scanner_instance"] for row in rows] == ["east", "west", "north"]
    for action, key, value in (
        ("drain", "draining", True),
        ("undrain", "draining", False),
        ("disable", "enabled", False),
        ("enable", "enabled", True),
        ("retry", "enabled", True),
    ):
        assert asked(live, f"scanners {action}", "scanners", action, "east")[key] is value
    assert "draining" in (live("scanners", "drain", "east"), live("scanners", "list"))[1].out
    live("scanners", "undrain", "east")
    planned = asked(
        live, "scanners drain", "scanners", "drain", "east", "--at", "9h", "--until", "8d"
    )
    assert planned["drain_from"] < planned["drain_until"]
    assert "drains from" in live("scanners", "list").out
    one_sentence(
        live("scanners", "drain", "east", "--at", "teatime"), 1, "write one such as '06:00'"
    )
    assert asked(live, "scanners undrain", "scanners", "undrain", "east")["drain_from"] is None
    assert asked(live, "scanners test", "scanners", "test", "west")["passed"]
    assert asked(live, "scanners test", "scanners", "test", "north", code=1)["passed"] is False
    one_sentence(live("scanners", "drain", "south"), 1, "known: east, north, west")


def test_what_can_be_named(live: Live) -> None:
    templates = asked(live, "scanners templates", "scanners", "templates", "west")["templates"]
    assert templates[0]["name"] in live("scanners", "templates").out
    found = asked(live, "credentials", "credentials")
    assert [each["name"] for each in found["credentials"]] == ["linux", "windows", "stale"]
    assert "cis" in live("credentials").out
    one_sentence(live("scanners", "templates", "south"), 1, "south")


def test_on_a_terminal_everything_is_drawn(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    name = "[red]x[/red]"
    task_id = completed(live, "192.0.2.90", "--name", name)
    assert name in live("tasks", "--text", name).out
    drawn = live("watch", task_id).out
    assert name in drawn
    assert "━" in drawn
    assert name in live("status", task_id).out
    assert live("results", "summary", task_id).code == 0
    assert "no such tasks" in live("tasks", "--text", "nobody called it so").out


def test_on_a_terminal_that_cannot_move_its_cursor_lines_are_printed(
    live: Live, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    followed = live("watch", done).out
    assert f"{done}  completed 100 %" in followed
    assert "━" not in followed
    assert "Scanners" in live("top").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tasks", "--text", "nobody called it so"], "no such tasks"),
        (["exceptions", "list", "--host", "203.0.113.77"], "no such exceptions"),
        (["outbox", "list", "--dead"], "no such messages: everything is delivered"),
        (["plan", "--for", "1h"], "no scan waits, and no schedule fires in this time"),
    ],
)
def test_an_empty_table_is_explained_to_whoever_reads_it(
    live: Live, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = live(*words)
    assert (piped.code, piped.err) == (0, f"{said}\n")
    assert piped.out.splitlines()[-1].split()[0] in ("task", "exception", "message", "name")
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    assert live(*words).out.splitlines()[-1] == said


def test_results_of_a_task(live: Live, done: str) -> None:
    summary = asked(live, "results summary", "results", "summary", done)
    shown = asked(live, "results show", "results", "show", done, "--all", "-n", "7")
    assert len(shown["findings"]) == shown["total"] == summary["findings"]
    serious = asked(live, "results show", "results", "show", done, "-f", "severity>=medium")
    assert all(row["severity"] in {"medium", "high", "critical"} for row in serious["findings"])
    counts = summary["severity_counts"]
    assert serious["total"] == sum(counts[each] for each in ("critical", "high", "medium"))
    assert str(summary["hosts"]) in live("results", "summary", done).out
    assert "plugin" in live("results", "show", done, "--sort", "-cvss_score").out
    search = ("results", "search", "-f", "severity>=low", "-n", "1000")  # others scan as well
    found = asked(live, "results search", *search)
    assert done in {row["task_id"] for row in found["findings"]}


def test_exports_of_a_task_have_every_finding(live: Live, done: str, tmp_path: Path) -> None:
    total = asked(live, "results summary", "results", "summary", done)["findings"]
    lines = live("results", "export", done, "--format", "jsonl").out.splitlines()
    assert len([json.loads(line) for line in lines]) == total
    table = live("results", "export", done, "--fields", "host,severity").out.splitlines()
    assert table[0] == "host,severity"
    assert len(table) == total + 1
    page = tmp_path / "report.html"
    assert live("results", "export", done, "--format", "html", "-o", str(page)).code == 0
    assert "<svg" in page.read_text()


def test_compare_two_tasks(live: Live, done: str) -> None:
    later = completed(live, "192.0.2.10", "--name", "again")
    found = asked(live, "results compare", "results", "compare", done, later)
    assert found["counts"]["hosts_in_both"] <= 1
    assert "persisting" in live("results", "compare", done, later, "--change", "persisting").out


def test_dead_letters(live: Live, dead: str) -> None:
    letters = asked(live, "dlq list", "dlq", "list")
    (letter,) = [task for task in letters["tasks"] if task["task_id"] == dead]
    assert dead in live("dlq", "list").out
    assert f"nessus-sched dlq retry {dead}" in live("status", dead).out
    assert letter["error"]["code"] in live("dlq", "show", dead).out
    assert asked(live, "dlq show", "dlq", "show", dead)["entries"][0]["event"] == "submitted"
    assert asked(live, "dlq retry", "dlq", "retry", dead)["tasks"][0]["status"] == "queued"
    asked(live, "watch", "watch", dead, code=1)
    one_sentence(live("dlq", "purge"), 2, "name TASKs")
    one_sentence(live("dlq", "purge", dead), 2, "--yes")
    kept = asked(live, "dlq purge", "dlq", "purge", dead, "--older-than", "1d", "--yes")
    assert kept["task_ids"] == []
    code = letter["error"]["code"]
    wanted = ("dlq", "purge", "--class", code, "--older-than", "0s")
    assert dead in asked(live, "dlq purge", *wanted, "--dry-run")["task_ids"]
    assert dead in asked(live, "dlq purge", *wanted, "--yes")["task_ids"]
    one_sentence(live("status", dead), 1, "no task")
    assert asked(live, "journal verify", "journal", "verify")["ok"]


def test_a_task_that_lives_is_never_purged(live: Live, done: str) -> None:
    one_sentence(live("dlq", "purge", done, "--yes"), 1, "not a dead letter")
    one_sentence(live("dlq", "retry", done), 1, "not a dead letter")
    one_sentence(live("dlq", "show", done), 1, "not a dead letter")


@pytest.mark.slow
def test_journal_and_backup_beside_the_daemon(live: Live, done: str, tmp_path: Path) -> None:
    events = [row["event"] for row in
              asked(live, "journal show", "journal", "show", done)["entries"]]  # fmt: skip
    assert events[0] == "submitted"
    assert events[-1] == "completed"
    assert "submitted" in live("journal", "show", done).out
    head = asked(live, "journal verify", "journal", "verify")["head"]
    assert live("journal", "verify", "--expect", head).code == 0
    assert live("journal", "verify", "--expect", f"1:{'0' * 64}").code == 1
    one_sentence(live("journal", "verify", "--expect", "x"), 2, "--expect takes a head")
    copy = tmp_path / "copy.db"
    assert asked(live, "backup", "backup", str(copy))["bytes"] == copy.stat().st_size
    one_sentence(live("backup", str(copy)), 1, "--force")
    one_sentence(live("backup", str(tmp_path / "x.db"), "--ledger", str(copy)), 1, "--force")
    assert not (tmp_path / "x.db").exists()
    both = asked(
        live, "backup", "backup", str(copy), "--force", "--ledger", str(tmp_path / "ledger.db")
    )
    assert both["ledger_bytes"] == (tmp_path / "ledger.db").stat().st_size
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ledger.execute("SELECT name FROM sqlite_master WHERE name = 'entries'").fetchone()
    one_sentence(live("backup", str(tmp_path / "no" / "x.db")), 1, "cannot back up")


def test_reload_applies_or_says_what_is_wrong(live: Live) -> None:
    assert asked(live, "reload", "reload")["applied"]
    right = live.place.file.read_text()
    live.place.file.write_text(right.replace('"max_concurrent_scans": 2', '"max_scans": 2'))
    try:
        assert not asked(live, "reload", "reload", code=78)["applied"]
        one_sentence(live("reload"), 78, "max_scans")
    finally:
        live.place.file.write_text(right)
    assert "configuration reloaded" in live("reload").out


def test_reload_tells_what_changed_and_what_needs_a_restart(live: Live) -> None:
    right = live.place.file.read_text()
    changed = json.loads(right)
    changed["http"]["bind"] = "127.0.0.1:9999"
    changed["scanners"][0]["labels"] = {"site": "east"}
    live.place.file.write_text(json.dumps(changed))
    try:
        answer = asked(live, "reload", "reload")
        assert answer["changes"][0] == "scanner east changed: labels"
        assert answer["needs_restart"] == ["http.bind"]
        again = live("reload").out
        assert again.endswith(
            "configuration reloaded, except http.bind: restart the daemon to apply it\n"
        )
    finally:
        live.place.file.write_text(right)
    assert asked(live, "reload", "reload")["needs_restart"] == []


def test_a_reload_changes_how_many_may_connect(live: Live) -> None:
    right = live.place.file.read_text()
    changed = json.loads(right) | {"limits": {"connections": 1}}
    live.place.file.write_text(json.dumps(changed))
    try:
        assert asked(live, "reload", "reload")["changes"] == ["limits changed"]
        with connected(live.place.socket):
            one_sentence(live("queue"), 1, "limits.connections: the limit is reached (1)")
    finally:
        live.place.file.write_text(right)
    # It may take the daemon a moment to notice that the other has gone.
    assert any(live("reload").code == 0 for _ in range(100))


def connected(path: Path) -> socket.socket:
    """A connection that the daemon has taken; it may have to notice first that another has
    gone."""
    for _ in range(100):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
            sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
            answer = sock.recv(1000)
            if answer and json.loads(answer)["id"] == 1:
                return sock
        except OSError:
            pass
        sock.close()
    raise AssertionError("the daemon takes no connection")


def test_housekeeping(live: Live, done: str) -> None:
    live("housekeeping")  # deletes the scans of tests that have just ended
    counts = asked(live, "housekeeping", "housekeeping", "--dry-run")["deleted"]
    assert not any(counts.values())
    assert "deleted: nothing" in live("housekeeping").out
    assert done in live("tasks").out


def test_log_level(live: Live) -> None:
    changed = asked(live, "log-level", "log-level", "debug", "nessus")
    assert changed["components"]["nessus"] == "debug"
    assert "info" in live("log-level", "info").out
    one_sentence(live("log-level", "loud"), 2, "loud")
    one_sentence(live("log-level", "debug", "nesus"), 1, "did you mean 'nessus'")


@pytest.mark.slow
def test_top_and_doctor(live: Live) -> None:
    # A task of its own: top shows the latest ends only.
    assert completed(live, "192.0.2.20") in live("top", "--once").out
    steps = asked(live, "doctor", "doctor", code=1)["steps"]
    failed = [step["check"] for step in steps if step["status"] == "failed"]
    assert failed == ["scanner north: reach"]
    assert "running and answering" in live("doctor").out


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_a_report_is_imported_beside_the_daemon(live: Live, tmp_path: Path, packed: bool) -> None:
    # Two pieces and a bit.
    text = document(*(host(f"192.0.2.{number}", item(10, severity=4)) for number in range(1, 9)))
    padded = text.replace(b"</NessusClientData_v2>", b" " * 2**21 + b"</NessusClientData_v2>")
    file = tmp_path / "some.nessus"
    file.write_bytes(gzip.compress(padded) if packed else padded)
    before = set((live.place.directory / "state/exports").iterdir())
    answer = asked(live, "results import", "results", "import", str(file), "--name", "last year")
    assert (answer["hosts"], answer["findings"], answer["complete"]) == (8, 8, True)
    status = asked(live, "status", "status", answer["task_id"])
    assert (status["status"], status["name"]) == ("completed", "last year")
    found = live("results", "show", answer["task_id"], "-f", "host=192.0.2.8", "--json").json
    assert [row["plugin_id"] for row in found["findings"]] == [10]
    after = set((live.place.directory / "state/exports").iterdir())
    assert f"{answer['task_id']}.nessus.gz" in {path.name for path in after - before}
    submitted(live, "192.0.2.72")  # the next place in the order is free
    assert asked(live, "journal verify", "journal", "verify")["ok"]


def test_what_cannot_be_imported_beside_the_daemon_leaves_nothing(
    live: Live, tmp_path: Path
) -> None:
    before = _ids(live)
    for content, said in ((b"", "is not a .nessus report"), (b"hello", "nothing could be read")):
        file = tmp_path / "some.nessus"
        file.write_bytes(content)
        one_sentence(live("results", "import", str(file)), 1, said)
    parts = (live.place.directory / "state/exports").glob("*.part")
    scratch = {part.name.removeprefix(".").partition(".")[0] for part in parts}
    assert scratch <= set(before)  # of running tasks
    assert _ids(live) == before


def _ids(live: Live) -> list[str]:
    return [task["task_id"] for task in asked(live, "tasks", "tasks")["tasks"]]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("submit", "203.0.113.1"), 1, "allow-list"),
        (("submit", "not a target"), 1, "not"),
        (("submit", "192.0.2.1", "--kind", "trusted"), 2, "needs --credential"),
        (("submit", "192.0.2.1", "--audit", "cis"), 2, "cannot be used with --kind basic"),
        (("submit", "192.0.2.1", "--kind", "trusted", "--credential", "x"), 1, "known: linux"),
        (("submit", "192.0.2.1", "--kind", "custom", "--set", "x"), 2, "NAME=VALUE"),
        (("submit", "192.0.2.1", "--scanner", "south"), 1, "see 'nessus-sched scanners list'"),
        (("submit", "192.0.2.1", "--scanner", "eest"), 1, "did you mean 'west' or 'east'?"),
        (("submit", "192.0.2.1", "--max-runtime", "soon"), 2, "not a duration"),
        (("submit",), 2, "TARGETS"),
        (("tasks", "--state", "lost"), 2, "lost"),
        (("tasks", "--since", "whenever"), 2, "not a time"),
        (("tasks", "--scanner", "eest"), 1, "did you mean 'west' or 'east'?"),
        (("tasks", "--pool", "nesus"), 1, "did you mean 'nessus'?"),
        (("tasks", "--target", "x y z!"), 1, "target"),
        (("tasks", "--cursor", "x"), 1, "cursor"),
        (("journal", "show", "nonesuch"), 1, "no task"),
        (("results", "show", "nonesuch"), 1, "no task"),
        (("results", "search", "-f", "sevrity=1"), 2, "did you mean 'severity'"),
        (("scanners", "test", "south"), 1, "south"),
        (("cancl",), 2, "Did you mean 'cancel'"),
    ],
)
def test_bad_input_is_one_sentence(live: Live, words: Sequence[str], code: int, part: str) -> None:
    one_sentence(live(*words), code, part)


def test_a_filter_on_a_task_that_cannot_be_read(live: Live, done: str) -> None:
    one_sentence(live("results", "show", done, "-f", "sevrity=1"), 2, "did you mean 'severity'")
    one_sentence(live("results", "show", done, "--fields", "x"), 2, "unknown field")
    one_sentence(live("results", "export", done, "--fields", "x"), 2, "unknown field")


@pytest.mark.slow
def test_no_command_shows_a_secret(live: Live, done: str) -> None:
    secrets = [*CANARIES, *(sim.access_key for sim in live.sims),
               *(sim.secret_key for sim in live.sims)]  # fmt: skip
    said: list[Said] = [
        live(*words)
        for words in (
            ("config", "show"), ("config", "show", "--json"), ("config", "check"), ("doctor",),
            ("scanners", "list", "--json"), ("scanners", "test", "north"), ("status", done),
            ("journal", "show", done, "--json"), ("queue", "--json"), ("top",), ("reload",),
        )
    ]  # fmt: skip
    for each in said:
        assert not [secret for secret in secrets if secret in each.out + each.err]


def test_every_documented_shape_is_compared_with_what_is_printed() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    switches = {f"scanners {word}" for word in ("drain", "undrain", "enable", "disable", "retry")}
    assert not [shape for shape in OUTPUTS.keys() - switches if f'"{shape}"' not in text]


@pytest.mark.slow
def test_a_scanner_is_certified(live: Live) -> None:
    words = ("scanners", "certify", "east", "--target", "192.0.2.10")
    answer = asked(live, "scanners certify", *words, "--yes")
    assert answer["passed"]
    assert answer["clean"]
    assert Path(answer["recording"]).stat().st_size
    certified = {step["check"]: step["status"] for step in live("doctor", "--json").json["steps"]}
    assert certified["scanner east: certified"] == "ok"
    assert certified["scanner west: certified"] == "warning"


def test_no_scanner_is_certified_without_consent(live: Live) -> None:
    before = live.sims[1].nessus.ledger.totals["create"]
    said = live("scanners", "certify", "west", "--target", "192.0.2.10")
    assert said.code != 0
    assert "start a basic scan of 192.0.2.10, pause it" in said.err
    assert live.sims[1].nessus.ledger.totals["create"] == before
