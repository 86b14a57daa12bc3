"""Databases that a daemon cannot use: one clear line each, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socket import socket

import pytest
import trio

from support import postgres
from support.processes import Site, client, daemon, site
from support.tls_server import Shown, by_trustme

pytestmark = pytest.mark.slow


async def said(place: Site, *words: str) -> tuple[int, str]:
    done = await trio.run_process(
        place.argv(*words), env=place.environ, capture_stdout=True, capture_stderr=True, check=False
    )
    output = (done.stdout + done.stderr).decode()
    assert "Traceback" not in output
    return done.returncode, " ".join(output.split())


def new(cluster: postgres.Cluster, sql: str = "", **how: str) -> str:
    name = cluster.database(**how).rsplit("=", 1)[1]
    if sql:
        cluster.sql(sql, database=name)
    return name


def newer(cluster: postgres.Cluster) -> str:
    return cluster.url(
        new(
            cluster,
            "CREATE SCHEMA nessus_sched AUTHORIZATION nessus_sched;"
            "CREATE TABLE nessus_sched.version (version bigint);"
            "INSERT INTO nessus_sched.version VALUES (99);"
            "GRANT ALL ON nessus_sched.version TO nessus_sched",
        )
    )


def of_another_program(cluster: postgres.Cluster) -> str:
    sql = "CREATE SCHEMA nessus_sched; CREATE TABLE nessus_sched.stuff (a int)"
    return cluster.url(new(cluster, sql))


def without_rights(cluster: postgres.Cluster) -> str:
    cluster.sql("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    return cluster.url(new(cluster)).replace(f"{postgres.USER}@", "guest@")


CASES: list[tuple[Callable[[postgres.Cluster], str], str]] = [
    (lambda cluster: cluster.url("nowhere"), 'database "nowhere" does not exist'),
    (lambda cluster: cluster.url(new(cluster)).replace("nessus_sched@", "ghost@"), '"ghost"'),
    (lambda cluster: cluster.url(new(cluster)) + "&foo=bar", 'query parameter: "foo"'),
    (lambda cluster: cluster.url(new(cluster, encoding="LATIN1")), "encoding LATIN1, not UTF8"),
    (without_rights, "permission denied"),
    (newer, "written by a newer nessus-sched"),
    (of_another_program, "belongs to another program"),
]


@pytest.mark.parametrize(("url", "why"), CASES, ids=[why for _, why in CASES])
async def test_the_daemon_says_why_it_does_not_start(
    tmp_path: Path, cluster: postgres.Cluster, url: Callable[[postgres.Cluster], str], why: str
) -> None:
    place = site(tmp_path, [], store=url(cluster))
    with trio.fail_after(60):
        code, output = await said(place, "serve")
    assert code != 0
    assert why in output
    _, output = await said(place, "doctor", "--offline")
    assert why in output or "there is none in postgresql://" in output


async def test_a_database_that_is_away_is_a_failed_check(tmp_path: Path) -> None:
    """The daemon waits for it: `test_standby`."""
    place = site(tmp_path, [], store="postgresql://127.0.0.1:1/scans")
    code, output = await said(place, "doctor", "--offline")
    assert (code, "Connection refused" in output) == (1, True)


async def test_over_tls_with_a_password_that_is_never_shown(tmp_path: Path) -> None:
    shown, other = by_trustme("localhost"), by_trustme("localhost")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        with postgres.running() as cluster:
            cluster.listen(port, shown.cert_pem, shown.key_pem)
            cluster.sql(f"ALTER ROLE {postgres.USER} PASSWORD 'xyzzy-plugh-4711'")
            name = new(cluster)
            # What the manual asks for, and nothing else.
            cluster.sql(f"ALTER DATABASE {name} OWNER TO postgres")
            cluster.sql(
                f"REVOKE ALL ON SCHEMA public FROM public;"
                f"CREATE SCHEMA nessus_sched AUTHORIZATION {postgres.USER}",
                database=name,
            )
            await _check_tls(tmp_path, f"localhost:{port}/{name}", shown, other)
    except LookupError as error:
        pytest.skip(str(error))


async def _check_tls(tmp_path: Path, where: str, shown: Shown, other: Shown) -> None:
    ca, wrong = shown.ca_file(tmp_path), tmp_path / "wrong"
    wrong.mkdir()
    base = f"postgresql://{postgres.USER}@{where}"
    secure = f"{base}?sslmode=verify-full&sslrootcert={ca}"
    place = site(tmp_path, [], store=secure, store_password="xyzzy-plugh-4711")
    async with daemon(place), client(place, "--no-start") as tools:
        await tools.call("list_tasks")
        code, output = await said(place, "journal", "verify")
        assert (code, "ok:" in output) == (0, True)
    refused = {
        "certificate verify failed": {
            "store": f"{base}?sslmode=verify-full&sslrootcert={other.ca_file(wrong)}"
        },
        "does not match host name": {"store": secure.replace("localhost", "127.0.0.1")},
        "password authentication failed": {"store_password": "frotz-4711"},
        "no encryption": {"store": f"{base}?sslmode=disable"},
    }
    for why, changes in refused.items():
        place.config.update({"store": secure, "store_password": "xyzzy-plugh-4711", **changes})
        place.write()
        code, output = await said(place, "serve")
        assert (code, why in output) == (1, True), output
    everything = (tmp_path / "daemon.log").read_text() + output
    assert "xyzzy" not in everything
