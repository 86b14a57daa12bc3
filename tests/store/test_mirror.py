"""An SQLite file in PostgreSQL: another machine goes on with what was pushed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nessus_sched.core.store_errors import StoreTakenOver, StoreUnavailable
from nessus_sched.store.migrations import Schema
from nessus_sched.store.sqlite import open_writer
from support import postgres

if TYPE_CHECKING:
    from nessus_sched.store.postgres.mirror import Mirror

pytestmark = pytest.mark.slow
SCHEMA = Schema(
    name="book.db", application_id=77, steps=("CREATE TABLE line (id INTEGER PRIMARY KEY, x);",)
)


class Machines:
    """Directories of machines that share a database; the latest one writes the store."""

    def __init__(self, cluster: postgres.Cluster, tmp_path: Path) -> None:
        self.cluster, self.tmp_path = cluster, tmp_path
        self.conninfo = cluster.database()
        self.count = 0

    def new(self) -> tuple[Mirror, Path]:
        from nessus_sched.store.postgres.engine import PostgresEngine
        from nessus_sched.store.postgres.mirror import Mirror

        engine = PostgresEngine(self.conninfo)
        engine.open_writer().close()
        self.count += 1
        path = self.tmp_path / str(self.count) / "book.db"
        path.parent.mkdir()
        return Mirror(self.conninfo, path, SCHEMA, engine.owner), path

    def sql(self, text: str) -> str:
        return self.cluster.sql(text, database=self.conninfo.rsplit("=", 1)[1])


@pytest.fixture
def machines(cluster: postgres.Cluster, tmp_path: Path) -> Machines:
    return Machines(cluster, tmp_path)


def lines(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, x FROM line ORDER BY id").fetchall()


def test_another_machine_goes_on_with_what_was_pushed(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.executemany("INSERT INTO line VALUES (?, ?)", [(n, "x" * 500) for n in range(5000)])
        whole = mirror.push()
        assert whole > 100
        assert mirror.push() == 0
        book.execute("UPDATE line SET x = 'changed' WHERE id = 2500")
        assert 0 < mirror.push() <= 4  # with the log still unread by the file
        book.execute("DELETE FROM line WHERE id > 2600")
        book.execute("PRAGMA incremental_vacuum").fetchall()
        mirror.push()
        book.execute("INSERT INTO line VALUES (9999, 'not pushed')")
    pushed = [line for line in lines(path) if line[0] != 9999]
    second, there = machines.new()
    assert second.catch_up()
    assert lines(there) == pushed
    with closing(open_writer(there, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (7777, 'second')")
        assert 0 < second.push() < whole
    third, last = machines.new()
    assert third.catch_up()
    assert lines(last) == [*pushed, (7777, "second")]


def test_who_was_taken_over_pushes_nothing(machines: Machines) -> None:
    mirror, path = machines.new()
    open_writer(path, SCHEMA).close()
    mirror.push()
    machines.new()
    state = "SELECT version FROM nessus_sched.mirror"
    before = machines.sql(state)
    with pytest.raises(StoreTakenOver):
        mirror.push()
    assert machines.sql(state) == before


def test_where_nothing_was_pushed_nothing_is_replaced(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'mine')")
    assert not mirror.catch_up()
    assert lines(path) == [(1, "mine")]


def test_a_log_of_the_replaced_file_is_not_applied_to_the_new_one(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'mine')")
        mirror.push()
    second, there = machines.new()
    left = open_writer(there, SCHEMA)
    left.execute("INSERT INTO line VALUES (2, 'older')")
    wal = there.with_name("book.db-wal").read_bytes()
    left.close()
    there.with_name("book.db-wal").write_bytes(wal)
    assert second.catch_up()
    assert lines(there) == [(1, "mine")]


def test_damage_is_noticed_and_the_file_stays(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.executemany("INSERT INTO line VALUES (?, ?)", [(n, "x" * 500) for n in range(500)])
        mirror.push()
    machines.sql("DELETE FROM nessus_sched.mirror_block WHERE number = 1")
    second, there = machines.new()
    with closing(open_writer(there, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'mine')")
    with pytest.raises(StoreUnavailable, match="is damaged"):
        second.catch_up()
    assert lines(there) == [(1, "mine")]


def test_the_file_is_not_replaced_while_somebody_reads_it(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'pushed')")
        mirror.push()
    second, there = machines.new()
    with closing(open_writer(there, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'mine')")
    with ThreadPoolExecutor(1) as threads:
        with second.guard:
            replaced = threads.submit(second.catch_up)
            with pytest.raises(TimeoutError):
                replaced.result(timeout=1.0)
            assert lines(there) == [(1, "mine")]
        assert replaced.result(timeout=10.0)
    assert lines(there) == [(1, "pushed")]


def test_a_machine_goes_on_with_its_own_file_if_nobody_pushed_since(machines: Machines) -> None:
    mirror, path = machines.new()
    with closing(open_writer(path, SCHEMA)) as book:
        book.execute("INSERT INTO line VALUES (1, 'pushed')")
        mirror.push()
        book.execute("INSERT INTO line VALUES (2, 'not pushed')")
    assert not again(machines, path).catch_up()
    assert lines(path) == [(1, "pushed"), (2, "not pushed")]
    other, _ = machines.new()
    assert other.catch_up()
    other.push()
    assert again(machines, path).catch_up()
    assert lines(path) == [(1, "pushed")]
    path.unlink()
    assert again(machines, path).catch_up()


def again(machines: Machines, path: Path) -> Mirror:
    """The same machine, later."""
    from nessus_sched.store.postgres.mirror import Mirror

    return Mirror(machines.conninfo, path, SCHEMA, "")
