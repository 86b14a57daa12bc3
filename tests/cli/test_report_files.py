"""Reports from anywhere: packed, piped, through a FIFO; and what is mistaken for one."""

from __future__ import annotations

import gzip
import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import one_sentence, typed
from support.nessus_xml import document, host, item
from support.processes import site

REPORT = document(host("192.0.2.1", *(item(number, severity=2) for number in range(10, 400))))
POLICY = b"""<?xml version="1.0" ?><NessusClientData_v2><Policy><policyName>weekly</policyName>
<Preferences/></Policy></NessusClientData_v2>"""


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("made.nessus", REPORT)
    return packed.getvalue()


MISTAKEN = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n", "it is blank"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>", "it is an HTML page"),
    "csv": (
        b"Plugin ID,CVE,CVSS v2.0 Base Score,Risk,Host\r\n10,,,None,192.0.2.1\r\n",
        "it is CSV",
    ),
    "json": (b'{"info": {"name": "weekly"}}', "it is JSON"),
    "zip": (zipped(), "it is a ZIP archive"),
    "pdf": (b"%PDF-1.7\n%", "it is a PDF report"),
    "database": (b"SQLite format 3\x00\x10", "it is an SQLite database"),
    "packed twice": (gzip.compress(gzip.compress(REPORT)), "gzipped twice"),
    "packed page": (gzip.compress(b"<html></html>"), "it is an HTML page"),
    "policy": (POLICY, "the document holds no report, only a scan policy"),
    "no report": (b"<NessusClientData_v2/>", "the document holds no report"),
    "other XML": (b"<?xml version='1.0'?><nmaprun></nmaprun>", "the document is a <nmaprun>"),
    "gzip cut off": (gzip.compress(REPORT)[:-30], "gzip data is damaged or truncated"),
    "gzip damaged": (gzip.compress(REPORT)[:40] + b"\xff" * 60, "gzip data is damaged"),
    "gzip checksum": (gzip.compress(REPORT)[:-8] + b"\x00" * 8, "gzip data is damaged"),
    "gzip header": (b"\x1f\x8b\x00", "cannot be read"),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration and no daemon of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("NESSUS_SCHED_CONFIG", "NESSUS_SCHED_SOCKET", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MISTAKEN)
def test_what_is_no_report_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    content, problem = MISTAKEN[kind]
    path = tmp_path / "made.nessus"
    path.write_bytes(content)
    one_sentence(typed("results", "show", str(path)), 1, problem)
    one_sentence(typed("results", "summary", "-", stdin=content), 1, problem)


@pytest.mark.parametrize("kind", ["page", "policy", "gzip cut off"])
@pytest.mark.parametrize("command", ["summary", "export", "compare"])
def test_every_command_refuses_what_is_no_report(kind: str, command: str, tmp_path: Path) -> None:
    content, problem = MISTAKEN[kind]
    path = tmp_path / "made.nessus"
    path.write_bytes(content)
    words = [str(path)] * (2 if command == "compare" else 1)
    one_sentence(typed("results", command, *words), 1, problem)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["page", "policy", "gzip checksum"])
def test_what_is_no_report_is_not_imported(kind: str, tmp_path: Path) -> None:
    content, problem = MISTAKEN[kind]
    path = tmp_path / "made.nessus"
    path.write_bytes(content)
    site(tmp_path, [])
    config = ("--config", str(tmp_path / "config.yaml"))
    one_sentence(typed("results", "import", str(path), *config), 1, problem)
    assert not [found for found in tmp_path.rglob("*") if "part" in found.suffix]
    listed = typed("tasks", "--json", *config)
    assert listed.code == 3 or listed.json["tasks"] == []  # no store, or an empty one


def through_fifo(tmp_path: Path, content: bytes, read: Callable[[str], None]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    try:
        read(str(fifo))
    finally:
        writer.join()


@pytest.mark.slow
@pytest.mark.parametrize("content", [REPORT, gzip.compress(REPORT)], ids=["plain", "packed"])
@pytest.mark.parametrize("command", ["summary", "show", "export"])
def test_a_report_comes_through_a_fifo(tmp_path: Path, content: bytes, command: str) -> None:
    def read(path: str) -> None:
        said = typed("results", command, path)
        assert (said.code, "Check 10" in said.out) == (0, True)

    through_fifo(tmp_path, content, read)


def test_a_packed_report_comes_through_stdin() -> None:
    said = typed("results", "summary", "-", "--json", stdin=gzip.compress(REPORT))
    assert said.json["findings"] == 390


@pytest.mark.slow
def test_a_packed_report_is_imported_from_stdin(tmp_path: Path) -> None:
    site(tmp_path, [])
    config = ("--config", str(tmp_path / "config.yaml"))
    said = typed("results", "import", "-", *config, stdin=gzip.compress(REPORT))
    assert said.code == 0
    assert [each["name"] for each in typed("tasks", "--json", *config).json["tasks"]] == ["stdin"]
