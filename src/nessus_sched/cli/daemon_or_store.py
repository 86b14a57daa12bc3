"""Asking the daemon, or what it left behind when none runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nessus_sched.cli.client import Asking, NoDaemon, daemon
from nessus_sched.cli.output import note


@contextmanager
def daemon_or_store(config: Path | None) -> Iterator[Asking]:
    """The daemon; without one what it left behind, and a remark that says so.

    Raises `NoDaemon` when there is neither.
    """
    with ExitStack() as stack:
        try:
            asked: Asking = stack.enter_context(daemon(config))
        except NoDaemon as error:
            if config is None or not os.access(config, os.R_OK):  # it is the system's, not ours
                raise
            # Only now: what reads the stores takes longer to import than a daemon to answer.
            from nessus_sched.cli.left import Left
            from nessus_sched.cli.load_config import loaded

            found = loaded(config)
            if not os.path.exists(found.state_directory / "tasks.db"):
                raise
            note(f"no daemon is running; showing what {found.state_directory} holds")
            asked = Left(found, error)
        yield asked
