"""`nessus-sched install` into a directory: what lies where, and what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nessus_sched.cli.install import command as install
from nessus_sched.cli.install import plan as install_plan
from nessus_sched.cli.install.command import install_command, uninstall_command
from nessus_sched.cli.install.plan import out_of_reach

PROGRAM = "/opt/elsewhere/bin/nessus-sched"
UNIT = "usr/local/lib/systemd/system/nessus-sched.service"

ROOTS_OWN = os.path.expanduser("~root/venv/bin/x")


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(
        install_command, ["--systemd", "--root", str(root), "--program", PROGRAM, *words]
    )


def tree(root: Path) -> dict[str, tuple[str, str]]:
    """Every file with its mode and what is in it."""
    return {
        str(path.relative_to(root)): (oct(stat.S_IMODE(path.lstat().st_mode)), content(path))
        for path in sorted(root.rglob("*"))
    }


def content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_text() if path.is_file() else ""


def test_everything_is_put_in_place_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert run(tmp_path).exit_code == 0
    finally:
        os.umask(before)
    found = {path: mode for path, (mode, _) in tree(tmp_path).items()}
    assert found.pop("etc/nessus-sched/credentials") == "0o700"
    assert found.pop("usr/local/bin/nessus-sched") == "0o777"
    files = {path for path in found if (tmp_path / path).is_file()}
    assert files == {
        UNIT,
        "usr/local/lib/systemd/system/nessus-sched.socket",
        "usr/local/lib/sysusers.d/nessus-sched.conf",
        "usr/local/lib/tmpfiles.d/nessus-sched.conf",
        "usr/local/share/man/man1/nessus-sched.1",
        "etc/nessus-sched/example.yaml",
    }
    assert {found[path] for path in files} == {"0o644"}
    assert {found[path] for path in found if path not in files} == {"0o755"}
    assert content(tmp_path / "usr/local/bin/nessus-sched") == PROGRAM


def test_the_unit_starts_the_program_where_it_is(tmp_path: Path) -> None:
    run(tmp_path)
    lines = (tmp_path / UNIT).read_text().splitlines()
    assert f"ExecStart={PROGRAM} serve --config /etc/nessus-sched/config.yaml" in lines


def test_a_second_time_changes_nothing_and_an_upgrade_only_what_differs(tmp_path: Path) -> None:
    run(tmp_path)
    config = tmp_path / "etc/nessus-sched/config.yaml"
    config.write_text("mine")
    before = tree(tmp_path)
    said = run(tmp_path).output
    assert tree(tmp_path) == before
    assert "made" not in said
    assert "replaced" not in said
    (tmp_path / UNIT).write_text("an older one")
    assert "replaced" in run(tmp_path).output
    assert tree(tmp_path) == before


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    said = run(tmp_path, "--dry-run")
    assert said.exit_code == 0
    assert "nothing is changed" in said.output
    assert UNIT in said.output
    assert tree(tmp_path) == {}


def test_a_command_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    command = tmp_path / "usr/local/bin/nessus-sched"
    command.parent.mkdir(parents=True)
    command.write_text("someone else's")
    assert "in the way, kept" in run(tmp_path).output
    uninstall(tmp_path)
    assert command.read_text() == "someone else's"


def uninstall(root: Path, *words: str) -> Result:
    return CliRunner().invoke(
        uninstall_command, ["--root", str(root), "--program", PROGRAM, *words]
    )


def test_uninstall_keeps_tasks_and_configuration_and_purge_deletes_them(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "etc/nessus-sched/config.yaml").write_text("mine")
    state = tmp_path / "var/lib/nessus-sched"
    state.mkdir(parents=True)
    (state / "tasks.db").write_text("tasks")
    assert uninstall(tmp_path).exit_code == 0
    left = {path for path in tree(tmp_path) if (tmp_path / path).is_file()}
    assert left == {"etc/nessus-sched/config.yaml", "var/lib/nessus-sched/tasks.db"}
    uninstall(tmp_path, "--purge", "--dry-run")
    assert state.exists()
    uninstall(tmp_path, "--purge")
    assert {path for path in tree(tmp_path) if (tmp_path / path).is_file()} == set()
    assert not state.exists()


def test_users_who_are_not_root_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command, words in ((install_command, ["--systemd"]), (uninstall_command, [])):
        refused = CliRunner().invoke(command, [*words, "--program", PROGRAM])
        assert refused.exit_code == 1
        assert "only root" in refused.output


@pytest.mark.parametrize("program", [ROOTS_OWN, "/home/a/x", "/opt/a b/x", "opt/x"])
def test_a_program_that_the_service_could_not_run_is_refused(tmp_path: Path, program: str) -> None:
    refused = run(tmp_path, "--program", program)
    assert refused.exit_code == 1
    assert install._INSTEAD in refused.output
    assert tree(tmp_path) == {}


def test_a_program_that_others_may_not_reach_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_plan, "_HIDDEN", ())
    place = tmp_path / "venv"
    program = place / "program"
    place.mkdir(mode=0o700)
    program.write_text("")
    said = out_of_reach([program])
    assert said is not None
    assert "not readable by every user" in said
    assert out_of_reach([Path("/usr/bin/env")]) is None
