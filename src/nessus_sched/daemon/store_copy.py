"""Copies tasks and journal between a state directory and a PostgreSQL database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from nessus_sched.core.store_errors import CopyFailed
from nessus_sched.store.lock import hold_state_directory
from nessus_sched.store.tasks.engine import Engine, SqliteEngine
from nessus_sched.store.tasks.schema import FILE_NAME
from nessus_sched.store.tasks.transfer import copy_tasks
from nessus_sched.store.tasks.verify import VerifyReport

SCHEMES: Final = ("postgresql://", "postgres://")


def copy_store_between(source: str, destination: str) -> VerifyReport:
    """Each is a state directory or the URL of a database. No daemon may use either; the copy is
    verified before it is committed. Raises `StoreError`, and then the destination is unchanged."""
    if not source.startswith(SCHEMES) and not (Path(source) / FILE_NAME).is_file():
        raise CopyFailed(f"there is no {FILE_NAME} in {source}")
    with ExitStack() as stack:
        for place in (source, destination):
            if not place.startswith(SCHEMES):
                stack.enter_context(hold_state_directory(Path(place)))
        return copy_tasks(_engine(source), _engine(destination))


def _engine(place: str) -> Engine:
    if not place.startswith(SCHEMES):
        return SqliteEngine(Path(place) / FILE_NAME)
    try:
        from nessus_sched.store.postgres.engine import PostgresEngine
    except ImportError as error:
        raise CopyFailed(
            "PostgreSQL needs psycopg: pip install 'nessus-sched[postgres]'"
        ) from error
    return PostgresEngine(place)
