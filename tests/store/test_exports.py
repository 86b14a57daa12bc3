"""Exports on disk: whole or not there."""

from __future__ import annotations

import errno
import gzip
import io
import os
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.exports import (
    BadExportFile,
    ExportStore,
    NoExport,
    open_export,
)
from support import postgres
from support.engines import ENGINES

DOCUMENT = b"<NessusClientData_v2>" + b"x" * 3_000_000 + b"</NessusClientData_v2>"


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ExportStore:
    store = ExportStore(tmp_path / "exports")
    if request.param == "postgres":
        cluster: postgres.Cluster = request.getfixturevalue("cluster")
        store = postgres.exports(cluster.database(), tmp_path / "exports")
    store.prepare()
    return store


def content(store: ExportStore, task_id: str) -> bytes:
    (file,) = store.files(task_id)
    with open_export(file) as stream:
        return stream.read()


def test_what_was_written_is_read_and_takes_less_space(store: ExportStore) -> None:
    name = store.write("t-1", io.BytesIO(DOCUMENT))
    assert content(store, "t-1") == DOCUMENT
    assert gzip.decompress((store.directory / name).read_bytes()) == DOCUMENT
    statistics = store.statistics()
    assert statistics.files == 1
    assert 0 < statistics.bytes < len(DOCUMENT) // 100
    assert set(store.latest()) == {"t-1"}


def test_nobody_else_may_read_it(store: ExportStore) -> None:
    store.write("t", io.BytesIO(DOCUMENT))
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in store.directory.iterdir())


def test_a_second_export_replaces_the_first(store: ExportStore) -> None:
    store.write("t", io.BytesIO(b"one"))
    store.write("t", io.BytesIO(b"two"))
    assert content(store, "t") == b"two"


def test_a_broken_stream_leaves_what_was_there(store: ExportStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "broken")
            return super().read(size)

    store.write("t", io.BytesIO(b"one"))
    with pytest.raises(StoreUnavailable, match="broken"):
        store.write("t", Broken(DOCUMENT))
    assert content(store, "t") == b"one"
    assert len(list(store.directory.iterdir())) == 1


def test_giving_up_leaves_what_was_there(store: ExportStore) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write("t", io.BytesIO(DOCUMENT), check=check)
    assert list(store.directory.iterdir()) == []


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_too(
    store: ExportStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        done.append("directory" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    store.write("t", io.BytesIO(b"one"))
    assert done == ["file", "rename", "directory"]


def test_a_full_disk_is_told_and_leaves_nothing(
    store: ExportStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        store.write("t", io.BytesIO(DOCUMENT))
    assert list(store.directory.iterdir()) == []


def test_what_a_killed_process_left_is_removed_at_start(store: ExportStore) -> None:
    store.write("t", io.BytesIO(b"one"))
    (store.directory / "u.nessus.gz.part").write_bytes(b"half")
    store.prepare()
    assert [file.name for file in store.directory.iterdir()] == ["t.nessus.gz"]
    (store.directory / "t.nessus.gz.part").write_bytes(b"half")
    store.write("t", io.BytesIO(b"two"))
    assert content(store, "t") == b"two"


def test_deleting(store: ExportStore) -> None:
    store.write("t", io.BytesIO(b"one"))
    assert store.delete(["t"]) == 1
    assert store.delete(["t"]) == 0
    with pytest.raises(NoExport):
        content(store, "t")


@pytest.mark.parametrize("task_id", ["", "../t", "a/b", ".hidden", "x" * 101, "a\0b"])
def test_an_id_that_is_no_file_name_is_refused(store: ExportStore, task_id: str) -> None:
    with pytest.raises(NoExport):
        store.write(task_id, io.BytesIO(b"one"))


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_file_is_told(tmp_path: Path, damage: str) -> None:
    store = ExportStore(tmp_path / "exports")
    store.prepare()
    name = store.write("t", io.BytesIO(os.urandom(10_000)))
    file = store.directory / name
    data = bytearray(file.read_bytes())
    if damage == "cut":
        del data[5000:]
    elif damage == "flip":
        data[5000] ^= 255
    else:
        data[:] = b"not gzip"
    file.write_bytes(data)
    with pytest.raises(BadExportFile):
        content(store, "t")
