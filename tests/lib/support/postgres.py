"""A PostgreSQL of the tests' own: unprivileged, on a Unix socket alone, in a new directory."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from nessus_sched.core.clock import Now
from nessus_sched.core.leading.leader import Daemon
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.tasks.store import TaskStore

if TYPE_CHECKING:
    from nessus_sched.store.postgres.engine import PostgresEngine

USER = "nessus_sched"
"""Owns the databases of tests, without any other right."""
_FAST = "fsync = off\nfull_page_writes = off\n"
_SETTINGS = """
listen_addresses = ''
max_connections = 60
shared_buffers = 32MB
autovacuum = off
log_min_messages = fatal
lc_messages = 'C'
timezone = 'UTC'
"""


def programs() -> Path | None:
    """Where Debian keeps the server's programs, or those of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    other = shutil.which("initdb")
    return Path(other).parent if other else None


@attrs.define
class Cluster:
    """A running server; `database` makes a database with the rights that the manual asks for."""

    directory: Path
    _programs: Path
    _account: str | None
    _made: int = 0
    port: int = 5432

    def database(self, *, encoding: str = "UTF8") -> str:
        """The connection string of a new, empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self.sql(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE template0 ENCODING '{encoding}'")
        return self.conninfo(name)

    def url(self, name: str) -> str:
        """The database of that name as the configuration takes it."""
        return f"postgresql://{USER}@/{name}?host={self.directory}"

    def copy(self, conninfo: str) -> str:
        """A new database with the same contents; nobody may be connected to the other."""
        self._made += 1
        name, template = f"test_{self._made}", conninfo.rsplit("=", 1)[1]
        self.sql(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}")
        return self.conninfo(name)

    def conninfo(self, name: str, user: str = USER) -> str:
        return f"host={self.directory} user={user} dbname={name}"

    def sql(self, text: str, *, database: str = "postgres") -> str:
        """Runs statements as the administrator; returns what they print."""
        own = [
            "psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.directory),
            "-p",
            str(self.port),
        ]
        return self._run(*own, "-U", "postgres", "-d", database, "-c", text)

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-s", "start", "-l", "log")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-s", "stop", "-m", mode)

    def listen(self, port: int, certificate: bytes, key: bytes) -> None:
        """Also listens on the loopback, for encrypted connections with a password."""
        data = self.directory / "data"
        for name, content in (("server.crt", certificate), ("server.key", key)):
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
            if self._account is not None:
                shutil.chown(data / name, self._account)
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n")
        (data / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.stop("fast")
        self.port = port
        self.start()

    def _initialize(self, settings: str) -> None:
        data = self.directory / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-N", "--locale=C")
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}{settings}unix_socket_directories = '{self.directory}'\n")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._account,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.stdout.strip()


Opened = AbstractAsyncContextManager[TaskStore]


def engine(conninfo: str, daemon: Daemon | None = None) -> PostgresEngine:
    from nessus_sched.store.postgres.engine import PostgresEngine

    return PostgresEngine(conninfo, daemon=daemon)


def open_store(conninfo: str, *, now: Now) -> Opened:
    return TaskStore.open_engine(engine(conninfo), now=now)


def exports(conninfo: str, directory: Path) -> ExportStore:
    """An export store in an existing database, whose tables are made as needed."""
    from nessus_sched.store.postgres.engine import PostgresEngine
    from nessus_sched.store.postgres.exports import PostgresExports

    PostgresEngine(conninfo).open_writer().close()
    return PostgresExports(directory, conninfo=conninfo)


@contextmanager
def running(*, durable: bool = False) -> Iterator[Cluster]:
    """A new server until the end of the block. With `durable` it syncs to disk. Raises
    LookupError, with a reason, if there is no PostgreSQL here."""
    found = programs()
    if found is None:
        raise LookupError("needs PostgreSQL (Debian's postgresql)")
    account = _account() if os.geteuid() == 0 else None
    # A socket's path has at most 107 characters, and pytest's directories are others' to enter.
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    cluster = Cluster(directory, found, account)
    try:
        if account is not None:
            shutil.chown(directory, account)
        cluster._initialize("" if durable else _FAST)
        cluster.start()
        try:
            cluster.sql(f"CREATE ROLE {USER} LOGIN")
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory)


def _account() -> str:
    """PostgreSQL does not run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LookupError("needs an account other than root to run PostgreSQL")
