"""Exports to files and to stdout: whole or not at all, and nothing of anybody else's replaced."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from nessus_sched.cli.output_file import whole_file
from support.command import one_sentence, typed
from support.nessus_xml import document, host, item

GOOD = "severity\nhigh\n"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "made.nessus"
    path.write_bytes(document(host("192.0.2.1", item(10, severity=4)), host("192.0.2.2")))
    return path


@pytest.fixture
def cut(report: Path) -> Path:
    """The report without its end; one finding can still be read."""
    path = report.with_name("cut.nessus")
    whole = report.read_bytes()
    path.write_bytes(whole[: whole.index(b"192.0.2.2") + 5])
    return path


def parts(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.endswith(".part")]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "html"])
def test_an_incomplete_report_is_exported_and_exits_with_1(cut: Path, form: str) -> None:
    said = typed("results", "export", str(cut), "--format", form)
    assert said.code == 1
    assert "is incomplete: line 2, column" in said.err
    assert "192.0.2.1" in said.out
    new = cut.with_name("new")
    said = typed("results", "export", str(cut), "--format", form, "-o", str(new))
    assert (said.code, "192.0.2.1" in new.read_text()) == (1, True)


@pytest.mark.parametrize("form", ["csv", "jsonl", "html"])
def test_an_incomplete_report_never_replaces_a_file(cut: Path, form: str) -> None:
    good = cut.with_name("good")
    good.write_text(GOOD)
    said = typed("results", "export", str(cut), "--format", form, "-o", str(good), "--force")
    one_sentence(said, 1, "was not replaced")
    assert good.read_text() == GOOD
    assert not parts(cut.parent)


def test_an_export_replaces_files_only_by_force(report: Path) -> None:
    out = report.with_name("out.csv")
    out.write_text(GOOD)
    out.chmod(0o644)
    one_sentence(typed("results", "export", str(report), "-o", str(out)), 1, "--force")
    assert out.read_text() == GOOD
    assert typed("results", "export", str(report), "-o", str(out), "--force").code == 0
    assert "192.0.2.1" in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text(GOOD)
    path.symlink_to(target)


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (link, "symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "symbolic link"),
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "directory"),
    ],
    ids=["link", "dangling link", "fifo", "directory"],
)
def test_only_regular_files_are_replaced(
    report: Path, make: Callable[[Path], None], problem: str, force: tuple[str, ...]
) -> None:
    out = report.with_name("out.csv")
    make(out)
    before = os.lstat(out)
    one_sentence(typed("results", "export", str(report), "-o", str(out), *force), 1, problem)
    assert os.lstat(out) == before
    target = report.with_name("target")
    assert not target.exists() or target.read_text() == GOOD


def test_devices_are_left_alone(report: Path) -> None:
    said = typed("results", "export", str(report), "-o", "/dev/null", "--force")
    one_sentence(said, 1, "not a regular file")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_dash_is_stdout(report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "192.0.2.1" in typed("results", "export", str(report), "-o", "-").out
    assert not (tmp_path / "-").exists()


def test_a_piped_report_is_exported_whole_as_a_page(report: Path) -> None:
    said = typed("results", "export", "-", "--format", "html", stdin=report.read_text())
    assert said.code == 0
    assert "Check 10" in said.out


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def write() -> None:
        with whole_file(out, force=False) as file:
            file.write("ours")
            out.write_text("theirs")

    with pytest.raises(click.ClickException, match="it exists"):
        write()
    assert out.read_text() == "theirs"
    assert not parts(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    out.write_text(GOOD)

    def write() -> None:
        with whole_file(out, force=True) as file:
            file.write("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert out.read_text() == GOOD
    assert os.listdir(tmp_path) == ["out"]
