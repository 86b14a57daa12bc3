"""The journal, and backups of the task store and the ledger, also beside a running daemon."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from nessus_sched.config.schema import Config
from nessus_sched.daemon.storage.places import read_tasks
from nessus_sched.store.backup import copy_store
from nessus_sched.store.ledger.schema import SCHEMA as LEDGER
from nessus_sched.store.reader import snapshot
from nessus_sched.store.sqlite import open_offline
from nessus_sched.store.tasks.journal import JournalHead
from nessus_sched.store.tasks.verify import VerifyReport


def parse_head(text: str) -> JournalHead:
    """The head of a journal as an earlier run printed it. Raises `ValueError`."""
    return JournalHead.parse(text)


def verify_journal(config: Config, expect: JournalHead | None) -> VerifyReport:
    """Checks the hash chain, and every task against it; `expect` is the head of an earlier run.

    Raises `StoreError`.
    """
    with read_tasks(config) as store:
        return store.verify(expect)


def back_up(config: Config, file: Path) -> int:
    """Copies the task store to `file`; returns its size in bytes. Raises `StoreError`."""
    with read_tasks(config) as store:
        return store.backup(file.absolute())


def back_up_ledger(config: Config, file: Path) -> int:
    """Copies the ledger to `file`; returns its size in bytes. Raises `StoreError`."""
    with closing(open_offline(config.state_directory / "ledger.db", LEDGER)) as connection:
        return snapshot(connection, lambda each: copy_store(each, file.absolute()))
