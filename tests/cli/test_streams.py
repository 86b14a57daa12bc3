"""Standard output that is full, closed, or of another encoding; words that are no text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from support.nessus_xml import document, host, item, output
from support.processes import PROGRAM, environment, site

REPORT = document(host("192.0.2.1", item(10, output("caf\u00e9 \u2026 \U0001f600"), severity=3)))
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
LATIN = {"PYTHONIOENCODING": "latin-1"}


def ran(
    tmp_path: Path,
    words: Sequence[str | bytes],
    redirect: str = "",
    changes: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    environ = environment(tmp_path, HOME=str(tmp_path), **(changes or {}))
    argv = ["sh", "-c", f'exec "$@" {redirect}', "sh", *PROGRAM, *words]
    return subprocess.run(argv, capture_output=True, env=environ, check=False)


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "made.nessus"
    path.write_bytes(REPORT)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [("--help",), ("results", "export", "FILE")],
    ids=lambda words: " ".join(words),
)
@pytest.mark.parametrize("redirect", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, report: str, words: Sequence[str], redirect: str
) -> None:
    said = ran(tmp_path, [report if word == "FILE" else word for word in words], redirect)
    assert said.returncode == 1
    assert said.stderr.startswith(b"Error: cannot write to standard output: ")
    assert said.stderr.count(b"\n") == 1


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error_to_speak_of(tmp_path: Path, report: str) -> None:
    said = ran(tmp_path, ["results", "export", report, "--format", "html"], "| head -c 10")
    assert said.stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize("locale", [ASCII, LATIN], ids=["ascii", "latin-1"])
@pytest.mark.parametrize("profile", ["full", "summary"])
def test_characters_that_a_locale_lacks_are_replaced(
    tmp_path: Path, report: str, locale: Mapping[str, str], profile: str
) -> None:
    said = ran(tmp_path, ["results", "show", report, "--profile", profile], changes=locale)
    assert (said.returncode, b"Traceback" in said.stderr) == (0, False)
    if profile == "full" and locale is LATIN:  # click writes UTF-8 where the locale is ASCII
        assert "caf\u00e9 ? ?".encode("latin-1") in said.stdout


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "html"])
def test_exports_are_utf_8_in_every_locale(tmp_path: Path, report: str, form: str) -> None:
    words = ["results", "export", report, "--format", form]
    words += ["--fields", "plugin_output"] if form == "csv" else []
    here = ran(tmp_path, words)
    assert "\U0001f600".encode() in here.stdout
    assert ran(tmp_path, words, changes=ASCII).stdout == here.stdout


@pytest.mark.slow
def test_words_that_are_no_text_are_refused(tmp_path: Path) -> None:
    site(tmp_path, [])
    config = ["--config", str(tmp_path / "config.yaml")]
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "tasks.db").touch()
    said = ran(tmp_path, ["tasks", "--text", b"caf\xe9", *config])
    assert (said.returncode, b"'caf\\xe9' is not UTF-8 text" in said.stderr) == (2, True)


@pytest.mark.slow
def test_files_whose_names_are_no_text_can_be_read(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.nessus")
    with open(path, "wb") as file:
        file.write(REPORT)
    assert ran(tmp_path, ["results", "summary", path]).returncode == 0
    page = ran(tmp_path, ["results", "export", path, "--format", "html"])
    assert (page.returncode, "caf\ufffd.nessus".encode() in page.stdout) == (0, True)
