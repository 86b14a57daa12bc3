"""What only a store in PostgreSQL has: logins, rights, schemas, and other daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import (
    AlreadyRunning,
    StoreError,
    StoreUnavailable,
    StoreUnreachable,
    WrongSchema,
)
from nessus_sched.store.connection import DatabaseFailure
from support import postgres
from support.stored import START, a_request, a_task, moved, submitted

pytestmark = pytest.mark.slow


def name_of(conninfo: str) -> str:
    return conninfo.rsplit("=", 1)[1]


def opened(conninfo: str) -> postgres.Opened:
    return postgres.open_store(conninfo, now=lambda: START)


async def refusal(conninfo: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        async with opened(conninfo):
            raise AssertionError("opened")
    assert "geheim" not in str(caught.value)
    return caught.value


def content(cluster: postgres.Cluster, conninfo: str) -> str:
    sql = "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    return cluster.sql(f"{sql} WHERE nspname !~ '^pg_' ORDER BY 1, 2", database=name_of(conninfo))


@pytest.mark.parametrize(
    ("conninfo", "says"),
    [
        ("postgresql://x:geheim@127.0.0.1:1/db", "PostgreSQL at 127.0.0.1:1, database db"),
        ("postgresql://x:geheim@127.0.0.1:1,127.0.0.2:2/db", "127.0.0.1:1, 127.0.0.2:2, database"),
        ("postgresql://x:geheim@127.0.0.1,127.0.0.2/db", "PostgreSQL at 127.0.0.1, 127.0.0.2, "),
        ("postgresql://x:geheim@no-such-host.example/db", "no-such-host.example"),
        ("host={directory} user=nobody dbname=postgres password=geheim", 'role "nobody"'),
        ("host={directory} user=nessus_sched dbname=nonesuch password=geheim", '"nonesuch"'),
        ("postgresql://x:geheim@localhost/db?sslmod=1", "sslmod"),
        ("postgresql://x:geheim@localhost:port/db", "port"),
        ("what is this geheim", "not a connection string of PostgreSQL"),
    ],
)
async def test_a_wrong_address_or_login_is_named(
    cluster: postgres.Cluster, conninfo: str, says: str
) -> None:
    error = await refusal(conninfo.format(directory=cluster.directory))
    assert isinstance(error, StoreUnavailable)
    assert says in str(error)
    assert isinstance(error, StoreUnreachable) == ("127.0.0.1" in conninfo)


async def test_missing_rights_are_named_and_nothing_is_changed(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    name = name_of(conninfo)
    cluster.sql(f"ALTER DATABASE {name} OWNER TO postgres")
    before = content(cluster, conninfo)
    error = await refusal(conninfo)
    assert f"permission denied for database {name}" in str(error)
    assert content(cluster, conninfo) == before


async def test_a_schema_of_its_own_is_all_the_right_it_needs(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    name = name_of(conninfo)
    cluster.sql(f"ALTER DATABASE {name} OWNER TO postgres")
    cluster.sql(f"CREATE SCHEMA nessus_sched AUTHORIZATION {postgres.USER}", database=name)
    async with opened(conninfo) as store:
        await store.submit(a_task(), submitted(a_task()))
        assert (await store.verify()).ok


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_hold_every_text_is_refused(
    cluster: postgres.Cluster, encoding: str
) -> None:
    conninfo = cluster.database(encoding=encoding)
    error = await refusal(conninfo)
    assert f"has the encoding {encoding}, not UTF8" in str(error)
    assert content(cluster, conninfo).count("nessus_sched") == 0


async def test_the_schema_of_a_newer_version_is_left_alone(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    name = name_of(conninfo)
    async with opened(conninfo) as store:
        await store.submit(a_task(), submitted(a_task()))
    cluster.sql("UPDATE nessus_sched.version SET version = 99", database=name)
    state = "SELECT epoch, batch, owner FROM nessus_sched.writer"
    before = cluster.sql(state, database=name)
    error = await refusal(conninfo)
    assert isinstance(error, WrongSchema)
    assert "schema 99" in str(error)
    assert cluster.sql(state, database=name) == before


async def test_the_schema_of_another_program_is_left_alone(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    setup = f"CREATE SCHEMA nessus_sched AUTHORIZATION {postgres.USER}"
    cluster.sql(setup, database=name_of(conninfo))
    cluster.sql("CREATE TABLE nessus_sched.theirs (x int)", database=name_of(conninfo))
    before = content(cluster, conninfo)
    assert isinstance(await refusal(conninfo), WrongSchema)
    assert content(cluster, conninfo) == before


async def test_a_second_daemon_is_refused_while_the_first_works(cluster: postgres.Cluster) -> None:
    conninfo = cluster.database()
    async with opened(conninfo) as store:
        assert isinstance(await refusal(conninfo), AlreadyRunning)
        await store.submit(a_task(), submitted(a_task()))
        async with opened(cluster.database()):  # another database is another store
            pass
    async with opened(conninfo) as store:
        assert store.journal_head == 1


async def test_a_value_that_cannot_be_stored_harms_only_its_own_change(
    cluster: postgres.Cluster,
) -> None:
    async with opened(cluster.database()) as store:
        odd = a_task(1, actor="cli:al\0ice")
        with pytest.raises(StoreError, match="NUL"):
            await store.submit(odd, submitted(odd))
        await store.submit(a_task(2), submitted(a_task(2)))
        assert store.health.ok
        assert await store.get("t\0") is None
        assert await store.by_id_part("\0", limit=3) == []
        assert await store.journal_of("\0") == ()
        assert (await store.list()).tasks == (a_task(2),)


async def test_server_settings_that_would_lose_answers_are_overridden(
    cluster: postgres.Cluster,
) -> None:
    conninfo = cluster.database()
    cluster.sql(f"ALTER DATABASE {name_of(conninfo)} SET synchronous_commit = off")
    shown: list[str] = []
    async with opened(conninfo) as store:
        await store._writer.write(
            lambda t: shown.append(t.connection.execute("SHOW synchronous_commit").fetchone()[0])
        )
    assert shown == ["on"]


async def test_a_large_task_is_stored(cluster: postgres.Cluster) -> None:
    targets = tuple(f"host-{number}.example.com" for number in range(50_000))
    task = a_task(request=a_request(targets=targets))
    async with opened(cluster.database()) as store:
        await store.submit(task, submitted(task))
        assert await store.get(task.task_id) == task
        # More than the socket takes at once, and looked at right away.
        after, entry = moved(task, TaskState.CANCELED, summary={"text": "x" * 5_000_000})
        await store.record(after, entry)
        assert await store.get(task.task_id) == after


async def test_numbers_may_be_large(cluster: postgres.Cluster) -> None:
    task = a_task(2**40)
    conninfo = cluster.database()
    async with opened(conninfo) as store:
        cluster.sql(
            "UPDATE nessus_sched.chain SET head_seq = 5000000000", database=name_of(conninfo)
        )
    async with opened(conninfo) as store:
        await store.submit(task, submitted(task))
        assert await store.last_order() == 2**40
        assert store.journal_head == 5_000_000_001


def test_a_commit_that_the_server_turns_into_a_rollback_is_a_failure(
    cluster: postgres.Cluster,
) -> None:
    from nessus_sched.store.postgres.connection import connect

    connection = connect(cluster.database())
    connection.execute("BEGIN")
    with pytest.raises(DatabaseFailure):
        connection.execute("SELECT nonsense")
    with pytest.raises(DatabaseFailure, match="rolled back"):
        connection.commit()
    connection.close()


async def test_a_server_that_is_starting_or_gone_is_away_for_the_moment(
    cluster: postgres.Cluster, tmp_path: Path
) -> None:
    conninfo = cluster.database()
    gone = conninfo.replace(str(cluster.directory), str(tmp_path))
    assert isinstance(await refusal(gone), StoreUnreachable)
    name = name_of(conninfo)
    cluster.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    assert not isinstance(await refusal(conninfo), StoreUnreachable)


async def test_what_a_server_refuses_for_the_moment_passes_by_itself(
    cluster: postgres.Cluster,
) -> None:
    conninfo = cluster.database()
    async with opened(conninfo):
        name = name_of(conninfo)
    cluster.sql(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    assert isinstance(await refusal(conninfo), StoreUnreachable)
    cluster.sql(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    cluster.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert isinstance(await refusal(conninfo), StoreUnreachable)
    with pytest.raises(StoreUnreachable):  # so it waits, instead of failing to lead
        postgres.engine(conninfo).candidate.look()
    cluster.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    cluster.sql("ALTER TABLE nessus_sched.writer OWNER TO postgres", database=name)
    found = await refusal(conninfo)  # which somebody has to grant
    assert isinstance(found, StoreUnavailable)
    assert not isinstance(found, StoreUnreachable)
