"""Reports that are kept for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store import pages
from nessus_sched.store.pages import keep_page


def test_each_gets_a_file_of_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "reports"
    first, second = (keep_page(directory, "team.html", text) for text in ("ä", "b"))
    assert (first.name, second.name) == ("team.html", "team-2.html")
    assert (first.read_text(), second.read_text()) == ("ä", "b")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert first.stat().st_mode & 0o777 == 0o600
    assert len(list(directory.iterdir())) == 2


def test_the_oldest_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "KEPT", 3)
    for number in range(5):
        os.utime(keep_page(tmp_path, f"{number}.html", ""), (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.html", "3.html", "4.html"]


def test_a_full_disk_keeps_no_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_page(tmp_path, "a.html", "whole")

    def written_in_part(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", written_in_part)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        keep_page(tmp_path, "a.html", "more")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_a_report_that_another_deletes_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "gone.html").symlink_to(tmp_path / "nowhere")
    assert keep_page(tmp_path, "a.html", "").exists()


def test_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        keep_page(tmp_path / "file", "a.html", "")
