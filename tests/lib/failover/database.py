"""PostgreSQL on two machines: a primary that commits only what its replica has as well.

What a careful administrator does by hand or has a tool do: fails over only to a replica that has
every commit, lets the new primary go on alone, and makes the other one its replica again.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import psycopg
import trio

from failover.network import SERVICE, Network, address
from failover.processes import ended, send, start, stop
from support.postgres import programs

USER: Final = "nessus_sched"
DATABASE: Final = "scans"
START: Final = 60.0
STREAMING: Final = 60.0
"""Seconds for a replica to have everything."""
_SETTINGS: Final = """
listen_addresses = '*'
max_connections = 60
shared_buffers = 32MB
wal_keep_size = 512MB
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
wal_retrieve_retry_interval = 1s
tcp_keepalives_idle = 5
tcp_keepalives_interval = 3
tcp_keepalives_count = 3
lc_messages = 'C'
timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
"""
_ADDRESSES: Final = """
local all all trust
host all all 203.0.113.0/24 trust
host replication all 203.0.113.0/24 trust
"""
_CAUGHT_UP: Final = """
SELECT count(*) FROM pg_stat_replication
WHERE state = 'streaming' AND flush_lsn >= pg_current_wal_flush_lsn()"""


def lacking() -> str | None:
    return "needs PostgreSQL (Debian's postgresql)" if programs() is None else None


@attrs.define
class Server:
    """One machine's PostgreSQL; `process` is None while it is down."""

    node: str
    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"


@attrs.define
class Database:
    """`primary` serves, `replica` follows. `synchronous`: commits wait for the replica; without
    it a failover loses some that were acknowledged."""

    _network: Network
    _programs: Path
    primary: Server
    replica: Server
    synchronous: bool = True
    durable: bool = True

    def url(self, *, address_moves: bool) -> str:
        """For daemons: by the address that moves to the primary, or by both machines'."""
        options = "connect_timeout=3"
        if address_moves:
            return f"postgresql://{USER}@{SERVICE}/{DATABASE}?{options}"
        hosts = ",".join(address(each) for each in ("db1", "db2"))
        return f"postgresql://{USER}@{hosts}/{DATABASE}?{options}&target_session_attrs=read-write"

    def sql(self, text: str, server: Server | None = None, *, database: str = "postgres") -> Any:
        """The first row, as the administrator on the machine itself; None if there is none."""
        where = self.primary if server is None else server
        given = f"host={where.directory} user=postgres dbname={database}"
        timeout = "-c statement_timeout=5000"
        with psycopg.connect(
            given, autocommit=True, connect_timeout=5, options=timeout
        ) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchone() if cursor.description else None

    async def prepare(self) -> None:
        """A new cluster with its replica and an empty database."""
        await self._run("initdb", "-D", str(self.primary.data), "-A", "trust", "-U", "postgres",
                        "-N", "--locale=C")  # fmt: skip
        with (self.primary.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS if self.durable else f"{_SETTINGS}fsync = off\n")
        (self.primary.data / "pg_hba.conf").write_text(_ADDRESSES)
        await self.start(self.primary)
        for each in (
            f"CREATE ROLE {USER} LOGIN",
            f"CREATE DATABASE {DATABASE} OWNER {USER} TEMPLATE template0 ENCODING 'UTF8'",
        ):
            self.sql(each)
        await self.make_replica()

    async def start(self, server: Server) -> None:
        """Returns when it accepts connections."""
        argv = [str(self._programs / "postgres"), "-D", str(server.data),
                "-k", str(server.directory)]  # fmt: skip
        log = server.directory / "postgres.log"
        server.process = start([*self._on(server), *argv], log)
        with trio.fail_after(START):
            while not self._accepts(server):
                assert server.process.poll() is None, log.read_text()[-2000:]
                await trio.sleep(0.05)

    async def stop(self, server: Server, number: int) -> None:
        """SIGINT: fast, SIGQUIT: immediate, SIGKILL: the machine is gone."""
        if server.process is not None:
            await stop(server.process, number, within=20.0)
            server.process = None

    async def freeze(self, server: Server, seconds: float) -> None:
        """All its processes are stopped for a while."""
        assert server.process is not None
        pids = [server.process.pid, *_children(server.process.pid)]
        for each in pids:
            _kill(each, signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            for each in pids:
                _kill(each, signal.SIGCONT)

    async def promote(self) -> None:
        """The replica becomes the primary, and its address that of the database. What the old
        primary does from now on is nobody's business; `make_replica` ends it."""
        self.primary, self.replica = self.replica, self.primary
        self._commits_wait(False)
        self.sql("SELECT pg_promote(true, 30)")
        self._network.serve_from(self.primary.node)

    async def make_replica(self) -> None:
        """The other machine starts over as a replica; returns when it has everything."""
        await self.stop(self.replica, signal.SIGKILL)
        if self.replica.data.exists():
            shutil.rmtree(self.replica.data)
        source = f"host={address(self.primary.node)} user=postgres application_name=replica"
        await self._run("pg_basebackup", "-D", str(self.replica.data), "-d", source,
                        "-R", "-X", "stream", "-c", "fast", server=self.replica)  # fmt: skip
        await self.start(self.replica)
        await self.caught_up()
        self._commits_wait(self.synchronous)

    async def caught_up(self) -> None:
        """Returns when the replica has every commit."""
        with trio.fail_after(STREAMING):
            while not self.has_everything():  # noqa: ASYNC110 - the server tells nobody
                await trio.sleep(0.1)

    def has_everything(self) -> bool:
        try:
            return bool(self.sql(_CAUGHT_UP)[0])
        except psycopg.Error:
            return False

    def _commits_wait(self, wait: bool) -> None:
        names = "*" if wait else ""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.sql("SELECT pg_reload_conf()")

    def _accepts(self, server: Server) -> bool:
        try:
            self.sql("SELECT 1", server)
        except psycopg.Error:
            return False
        return True

    def _on(self, server: Server) -> list[str]:
        account = pwd.getpwnam("postgres")
        become = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return [*self._network.inside(server.node)[:-1], *become, "--"]

    async def _run(self, program: str, *arguments: str, server: Server | None = None) -> None:
        where = self.primary if server is None else server
        log = where.directory / "postgres.log"
        process = start([*self._on(where), str(self._programs / program), *arguments], log)
        try:
            if await ended(process):
                raise RuntimeError(f"{program}: {log.read_text()[-2000:]}")
        finally:
            send(process, signal.SIGKILL)
            process.wait()


@asynccontextmanager
async def database(
    network: Network, *, synchronous: bool = True, durable: bool = True
) -> AsyncIterator[Database]:
    """Ends with the block, whatever state it is in. Raises LookupError without PostgreSQL."""
    found = programs()
    if found is None:
        raise LookupError(lacking())
    # A socket's path has at most 107 characters, and the account has to get there.
    root = Path(tempfile.mkdtemp(prefix="failover-pg-"))
    root.chmod(0o755)
    servers = [Server(node, root / node) for node in ("db1", "db2")]
    made = Database(network, found, servers[0], servers[1], synchronous, durable)
    try:
        for each in servers:
            each.directory.mkdir()
            shutil.chown(each.directory, "postgres")
        await made.prepare()
        yield made
    finally:
        for each in servers:
            if each.process is not None:
                for pid in (each.process.pid, *_children(each.process.pid)):
                    _kill(pid, signal.SIGKILL)
                each.process.wait()
        shutil.rmtree(root)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in found.read_text().split()] if found.exists() else []


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
