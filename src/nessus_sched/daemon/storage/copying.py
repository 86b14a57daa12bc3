"""Copies a store between state directories and a PostgreSQL database."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nessus_sched.core.store_errors import CopyFailed
from nessus_sched.daemon.storage.places import ledger_mirror, postgres_engine, postgres_exports
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.transfer import check_empty, copy_tasks
from nessus_sched.store.tasks.verify import VerifyReport

if TYPE_CHECKING:
    from nessus_sched.store.postgres.engine import PostgresEngine

LEDGER: Final = "ledger.db"
SCHEMES: Final = ("postgresql://", "postgres://")


def copy_store_between(source: str, destination: str) -> VerifyReport:
    """Each is a state directory or the URL of a database, and no daemon may use it. The tasks come
    last and are verified before they are committed: until then the destination has no tasks, and
    the copy can be repeated. Raises `StoreError`."""
    if source.startswith(SCHEMES) and destination.startswith(SCHEMES):
        raise CopyFailed("both are databases; PostgreSQL's pg_dump and pg_restore copy these")
    if not source.startswith(SCHEMES) and not (Path(source) / FILE_NAME).is_file():
        raise CopyFailed(f"there is no {FILE_NAME} in {source}")
    with ExitStack() as stack:
        for place in (source, destination):
            if not place.startswith(SCHEMES):
                stack.enter_context(hold_state_directory(Path(place)))
        engines: tuple[Engine, Engine]
        copy_results: Callable[[], None]
        if destination.startswith(SCHEMES):
            database = postgres_engine(destination)
            engines = _file(source), database
            copy_results = partial(_store, Path(source), database)
        elif source.startswith(SCHEMES):
            database = postgres_engine(source)
            engines = database, _file(destination)
            copy_results = partial(_fetch, database, Path(destination))
        else:
            engines = _file(source), _file(destination)
            copy_results = partial(_copy_files, Path(source), Path(destination))
        check_empty(engines[1])
        copy_results()
        return copy_tasks(*engines)


def _file(directory: str) -> Engine:
    return SqliteEngine(Path(directory) / FILE_NAME)


def _store(directory: Path, database: PostgresEngine) -> None:
    """Reports and ledger of a state directory, to the database."""
    stored = postgres_exports(directory, database)
    for path in _reports(directory).paths():
        stored.upload(path)
    if (directory / LEDGER).exists():
        ledger_mirror(directory, database).push()


def _fetch(database: PostgresEngine, directory: Path) -> None:
    """Reports and ledger of the database, to a state directory."""
    database.open_writer().close()  # nobody uses it
    mirror = ledger_mirror(directory, database)
    if (directory / LEDGER).exists() and not mirror.mirrored:
        raise _other_ledger(directory)
    _reports(directory)  # what is there stays
    reports = postgres_exports(directory, database, cache="exports")
    for task_id in reports.latest():
        reports.files(task_id)
    mirror.catch_up()


def _copy_files(source: Path, destination: Path) -> None:
    ledger, copy = source / LEDGER, destination / LEDGER
    if copy.exists() and not (ledger.exists() and filecmp.cmp(ledger, copy, shallow=False)):
        raise _other_ledger(destination)
    copies = _reports(destination)
    for path in _reports(source).paths():
        shutil.copy2(path, copies.path(path.name))
    for name in (f"{LEDGER}-wal", LEDGER):
        if (source / name).exists():
            shutil.copy2(source / name, destination / name)


def _other_ledger(directory: Path) -> CopyFailed:
    return CopyFailed(f"{directory} has the ledger of another store; move {LEDGER} away first")


def _reports(directory: Path) -> ExportStore:
    reports = ExportStore(directory / "exports")
    reports.prepare()
    return reports
