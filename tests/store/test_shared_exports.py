"""Exports that another machine has, too."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs
import pytest

from nessus_sched.core.store_errors import StoreTakenOver, StoreUnavailable
from nessus_sched.store.exports import BadExportFile, ExportStore, NoExport, open_export
from support import postgres

if TYPE_CHECKING:
    from nessus_sched.store.postgres.exports import PostgresExports

pytestmark = pytest.mark.slow
LARGE = bytes(range(256)) * 1000


class Two:
    """Two directories over one database."""

    def __init__(self, cluster: postgres.Cluster, tmp_path: Path) -> None:
        self.conninfo = cluster.database()
        self.name = self.conninfo.rsplit("=", 1)[1]
        self.cluster = cluster
        self.here, self.there = (
            cast("PostgresExports", postgres.exports(self.conninfo, tmp_path / name))
            for name in ("here", "there")
        )
        self.here.prepare()
        self.there.prepare()

    def sql(self, text: str) -> str:
        return self.cluster.sql(text, database=self.name)


@pytest.fixture
def two(cluster: postgres.Cluster, tmp_path: Path) -> Two:
    return Two(cluster, tmp_path)


def content(store: ExportStore, task_id: str) -> list[bytes]:
    found = []
    for file in store.files(task_id):
        with open_export(file) as stream:
            found.append(stream.read())
    return found


@pytest.mark.parametrize("chunk", [7, 2**20])
def test_another_machine_fetches_what_is_read(
    two: Two, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("nessus_sched.store.postgres.exports.CHUNK", chunk)
    two.here.write("t-1", io.BytesIO(LARGE), attempt=1)
    two.here.write("t-1", io.BytesIO(b"second"), attempt=2)
    two.here.write("t-1-1", io.BytesIO(b"of a part"))
    two.here.write("t-2", io.BytesIO(b""))
    assert set(two.there.latest()) == {"t-1", "t-1-1", "t-2"}
    assert content(two.there, "t-1") == [LARGE, b"second", b"of a part"]
    assert content(two.there, "t-2") == [b""]
    times = [[file.stat().st_mtime for file in each.files("t-1")] for each in (two.here, two.there)]
    assert times[0] == times[1]  # the same age, so the same retention
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in two.there.files("t-1"))


def test_single_files_are_fetched_if_they_are_missing(two: Two) -> None:
    two.here.write("t-1", io.BytesIO(b"one"), attempt=1)
    two.here.write("t-2", io.BytesIO(b"two"))
    two.there.fetch([two.there.path("t-1.1.nessus.gz"), two.there.path("t-9.nessus.gz")])
    assert [path.name for path in two.there.directory.iterdir()] == ["t-1.1.nessus.gz"]


def test_a_replaced_export_is_fetched_again_and_a_deleted_one_is_not(two: Two) -> None:
    two.here.write("t-1", io.BytesIO(b"old"))
    assert content(two.there, "t-1") == [b"old"]
    two.here.write("t-1", io.BytesIO(b"another one"))
    two.here.write("t-2", io.BytesIO(b"two"))
    assert two.here.delete(["t-2"]) == 1
    assert content(two.there, "t-1") == [b"another one"]
    with pytest.raises(NoExport):
        two.there.files("t-2")
    assert two.sql("SELECT count(*) FROM nessus_sched.export_chunk") == "1"


def test_what_another_machine_deleted_is_not_kept_here(two: Two) -> None:
    for name in ("t-1", "t-2"):
        two.here.write(name, io.BytesIO(b"x"))
    assert len(two.there.files("t-1") + two.there.files("t-2")) == 2
    assert two.here.delete(["t-1"]) == 1
    with pytest.raises(NoExport):  # whatever the directory still has
        two.there.files("t-1")
    two.there.prepare()
    assert [path.name for path in two.there.directory.iterdir()] == ["t-2.nessus.gz"]


def test_old_exports_are_those_that_are_old_everywhere(two: Two) -> None:
    two.here.write("t-1", io.BytesIO(b"x"), attempt=1)
    two.sql("UPDATE nessus_sched.export SET stored_at = 1000")
    two.here.write("t-2", io.BytesIO(b"x"))
    assert two.there.older_than(2000) == {"t-1"}
    two.here.write("t-1", io.BytesIO(b"x"), attempt=2)
    assert two.there.older_than(2000) == frozenset()


def test_a_process_that_was_taken_over_stores_and_deletes_nothing(two: Two) -> None:
    two.here.write("t-1", io.BytesIO(b"x"))
    late = attrs.evolve(two.here, owner="another process")
    with pytest.raises(StoreTakenOver):
        late.write("t-2", io.BytesIO(b"x"))
    with pytest.raises(StoreTakenOver):
        late.delete(["t-1"])
    assert set(two.there.latest()) == {"t-1"}


def test_files_of_a_store_that_is_copied_can_be_stored(two: Two, tmp_path: Path) -> None:
    older = ExportStore(tmp_path / "older")
    older.prepare()
    older.write("t-9", io.BytesIO(b"of before"))
    two.here.upload(older.path("t-9.nessus.gz"))
    assert content(two.there, "t-9") == [b"of before"]


def test_what_cannot_be_stored_is_not_in_the_directory_either(two: Two) -> None:
    two.sql("ALTER TABLE nessus_sched.export RENAME TO gone")
    with pytest.raises(StoreUnavailable, match="exports cannot be stored"):
        two.here.write("t-1", io.BytesIO(b"x"))
    assert list(two.here.directory.iterdir()) == []


def test_a_damaged_export_is_not_fetched(two: Two) -> None:
    two.here.write("t-1", io.BytesIO(LARGE))
    two.sql("UPDATE nessus_sched.export_chunk SET content = content || 'x'::bytea")
    with pytest.raises(BadExportFile, match="is damaged"):
        two.there.files("t-1")
    assert list(two.there.directory.iterdir()) == []
    two.there.fetch([two.there.path("t-1.nessus.gz")])
    assert list(two.there.directory.iterdir()) == []
