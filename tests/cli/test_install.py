"""`install`, `uninstall` and `man` as they are typed, into another root."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.command import Said, one_sentence, typed

PROGRAM = "/opt/nessus-sched/bin/nessus-sched"


def install(root: Path, *words: str) -> Said:
    return typed("install", "--systemd", "--root", str(root), "--program", PROGRAM, *words)


def uninstall(root: Path, *words: str) -> Said:
    return typed("uninstall", "--root", str(root), "--program", PROGRAM, *words)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_each_file_is_told_and_what_is_left_to_do(tmp_path: Path) -> None:
    said = install(tmp_path)
    told = [line.split() for line in said.out.split("\n\n")[0].splitlines()]
    assert {word for word, _ in told} == {"made"}
    assert set(files(tmp_path)) <= {os.path.relpath(path, tmp_path) for _, path in told}
    assert "  1. write /etc/nessus-sched/config.yaml: `nessus-sched config init`" in said.out
    assert "  2. on the running system: run this command again\n" in said.out
    assert "let the service read it" not in said.out
    (tmp_path / "etc/nessus-sched/config.yaml").touch()
    again = install(tmp_path)
    assert {line.split()[0] for line in again.out.split("\n\n")[0].splitlines()} == {"unchanged"}
    assert "  1. on the running system" in again.out


def test_nothing_is_done_without_a_word_for_what(tmp_path: Path) -> None:
    said = typed("install", "--root", str(tmp_path), "--program", PROGRAM)
    one_sentence(said, 2, "give --systemd")
    assert files(tmp_path) == []


@pytest.mark.parametrize("prefix", ["/usr", "usr", "/", ""])
def test_everything_stays_below_the_root(tmp_path: Path, prefix: str) -> None:
    root = tmp_path / "root"
    assert install(root, "--prefix", prefix).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    unit = root / prefix.strip("/") / "lib/systemd/system/nessus-sched.service"
    assert f"\nExecStart={PROGRAM} serve " in unit.read_text()
    assert uninstall(root, "--prefix", prefix).code == 0
    assert files(root) == []


@pytest.mark.parametrize("prefix", ["../../usr", "/usr/../../etc", ".."])
def test_a_prefix_never_leads_out_of_the_root(tmp_path: Path, prefix: str) -> None:
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    for command in (install, uninstall):
        one_sentence(command(root, "--prefix", prefix), 2, "a prefix has no '..'")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("program", "part"),
    [
        ("/opt/../home/a/x", "a unit cannot name"), ("//home/a/x", "a unit cannot name"),
        ("/opt/x\nUser=root", "a unit cannot name"), ("/opt/%i/x", "a unit cannot name"),
        ("/opt/$HOME/x", "a unit cannot name"), ("x", "a unit cannot name"),
        ("/home/x", "is below /home, which is hidden from the service"),
    ],
)  # fmt: skip
def test_a_program_that_a_unit_cannot_run_is_refused(
    tmp_path: Path, program: str, part: str
) -> None:
    one_sentence(install(tmp_path, "--program", program), 1, part)
    assert files(tmp_path) == []


def test_a_link_to_an_older_program_is_replaced_and_only_ours_removed(tmp_path: Path) -> None:
    link = tmp_path / "usr/local/bin/nessus-sched"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/older/bin/nessus-sched")
    assert install(tmp_path).code == 0
    assert os.readlink(link) == PROGRAM
    assert "removed" in uninstall(tmp_path, "--dry-run").out
    assert link.is_symlink()
    link.unlink()
    link.symlink_to("/opt/another")
    uninstall(tmp_path)
    assert os.readlink(link) == "/opt/another"


@pytest.mark.parametrize("name", ["usr", "etc"])
def test_a_file_in_the_way_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    said = install(tmp_path)
    assert (said.code, said.err) == (1, f"Error: {tmp_path / name}: File exists\n")
    assert (tmp_path / name).read_text() == "mine"


def test_a_full_disk_leaves_no_half_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # Python ignores SIGXFSZ
    try:
        said = install(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said.code == 1
    assert "File too large" in said.err
    assert files(tmp_path) == []


def test_purge_does_not_follow_a_link(tmp_path: Path) -> None:
    root, data = tmp_path / "root", tmp_path / "data"
    install(root)
    data.mkdir()
    (data / "tasks.db").write_text("tasks")
    state = root / "var/lib/nessus-sched"
    state.parent.mkdir(parents=True)
    state.symlink_to(data)
    said = uninstall(root, "--purge")
    assert said.code == 1
    assert f"{state} is a symbolic link" in said.err
    assert (data / "tasks.db").read_text() == "tasks"


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    before = files(tmp_path)
    dry = uninstall(tmp_path, "--purge", "--dry-run").out.splitlines()
    assert dry[0] == "Dry run: nothing is changed."
    assert files(tmp_path) == before
    assert uninstall(tmp_path, "--purge").out.splitlines() == dry[1:]
    assert files(tmp_path) == []


# -- the manual page


def page(lines: Sequence[str]) -> str:
    return "\n".join(line for line in lines if not line.startswith("."))


def test_the_manual_shows_what_can_be_typed() -> None:
    said = typed("man")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith(".TH NESSUS-SCHED 1 ")
    assert not set("`~^'") & set(page(lines))
    assert r"\(ti/.config/nessus\-sched/config.yaml" in said.out
    assert r".SS nessus\-sched journal verify [OPTIONS]" in lines
    assert not any(line.startswith(("'", "\\&'")) or "\b" in line for line in lines)
    assert not any(line.endswith(r"\-\-help\fR") for line in lines)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_can_be_copied_from() -> None:
    made = typed("man").out
    words = ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=200n"]
    shown = subprocess.run(words, input=made, capture_output=True, text=True, check=True).stdout
    for text in ("`nessus-sched demo`", "~/.config/nessus-sched/config.yaml", "--dry-run"):
        assert text in shown
