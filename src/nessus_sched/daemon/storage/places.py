"""Where a daemon's stores are: in the state directory alone, or also in a database."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nessus_sched.config.schema import Config
from nessus_sched.core.seal import Seal
from nessus_sched.core.secret import Secret
from nessus_sched.core.store_errors import StateDirectoryError, StoreUnavailable
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.schema import SCHEMA as FINDINGS
from nessus_sched.store.ledger.copied import CopiedLedger
from nessus_sched.store.ledger.schema import SCHEMA as LEDGER
from nessus_sched.store.sqlite import open_offline
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.offline import OfflineStore, read_engine, read_offline
from nessus_sched.store.tasks.schema import FILE_NAME, TASKS

if TYPE_CHECKING:
    from nessus_sched.store.postgres.engine import PostgresEngine
    from nessus_sched.store.postgres.exports import PostgresExports
    from nessus_sched.store.postgres.leading import Candidate
    from nessus_sched.store.postgres.mirror import Mirror

CACHE: Final = "exports-cache"
"""Directory of the reports that are in the database."""


def engine_of(config: Config) -> Engine:
    """Raises `StoreUnavailable` for a database without its driver."""
    if config.store is None:
        return SqliteEngine(config.state_directory / FILE_NAME)
    return postgres_engine(config.store, config.store_password)


def postgres_engine(url: str, password: Secret | None = None) -> PostgresEngine:
    """Raises `StoreUnavailable` if its driver is not installed."""
    try:
        from nessus_sched.store.postgres.engine import PostgresEngine
    except ImportError as error:
        message = "PostgreSQL needs psycopg: pip install 'nessus-sched[postgres]'"
        raise StoreUnavailable(message) from error
    return PostgresEngine(url, None if password is None else password.reveal())


def candidate_of(engine: Engine) -> Candidate | None:
    """With which a daemon waits to lead; None if its store is nobody else's."""
    return None if isinstance(engine, SqliteEngine) else _postgres(engine).candidate


def exports_of(config: Config, engine: Engine | None = None) -> ExportStore:
    """`engine`: the one whose daemon writes."""
    if config.store is None:
        return ExportStore(config.state_directory / "exports")
    found = postgres_engine(config.store, config.store_password) if engine is None else engine
    owner = None if engine is None else _postgres(found).owner
    return postgres_exports(config.state_directory, _postgres(found), owner)


def postgres_exports(
    directory: Path, engine: PostgresEngine, owner: str | None = None, *, cache: str = CACHE
) -> PostgresExports:
    from nessus_sched.store.postgres.exports import PostgresExports

    return PostgresExports(directory / cache, conninfo=engine.conninfo, owner=owner)


def ledger_mirror(directory: Path, engine: PostgresEngine) -> Mirror:
    """The ledger of a state directory in the database of `engine`."""
    from nessus_sched.store.postgres.mirror import Mirror

    return Mirror(engine.conninfo, directory / "ledger.db", LEDGER, engine.owner)


def refuse_newer(directory: Path) -> None:
    """Raises `WrongSchema` if a newer program wrote a database of a state directory, before any of
    them is migrated."""
    for name, schema in ((FILE_NAME, TASKS), ("findings.db", FINDINGS), ("ledger.db", LEDGER)):
        with suppress(StoreUnavailable):  # missing or damaged, which whoever needs it reports
            open_offline(directory / name, schema).close()


def mirror_of(config: Config, engine: Engine) -> Mirror | None:
    """None if the ledger is only here."""
    if config.store is None:
        return None
    return ledger_mirror(config.state_directory, _postgres(engine))


def copied_ledger(config: Config, mirror: Mirror) -> CopiedLedger:
    """For reading the ledger that a mirror replaces."""
    return CopiedLedger(config.state_directory / LEDGER.name, mirror.guard)


def read_tasks(config: Config) -> AbstractContextManager[OfflineStore]:
    """The task store, with or without a running daemon. Raises `StoreUnavailable` and
    `WrongSchema`."""
    if config.store is None:
        return read_offline(config.state_directory)
    return read_engine(engine_of(config))


def place_of(config: Config) -> str:
    """For people: where the tasks are."""
    return str(config.state_directory) if config.store is None else config.store.partition("?")[0]


def set_aside(directory: Path, seal: Seal) -> None:
    """Renames the task store of a state directory that was copied to the database, so that nobody
    runs its tasks again. Raises `StateDirectoryError` if it is another one."""
    file = directory / FILE_NAME
    if not file.exists():
        return
    with read_offline(directory) as store:
        if store.seal() != seal:
            raise StateDirectoryError(
                f"{file} is not what the database began with: copy it there with "
                "'nessus-sched store copy', move it away, or change `store`"
            )
    for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        with suppress(FileNotFoundError):
            (directory / name).replace(directory / f"{name}.copied")


def _postgres(engine: Engine) -> PostgresEngine:
    from nessus_sched.store.postgres.engine import PostgresEngine

    assert isinstance(engine, PostgresEngine)
    return engine
