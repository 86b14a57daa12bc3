"""Asking the daemon or, when none runs, its state directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nessus_sched.cli.client import DaemonApi, NoDaemon, Refused, check_text, daemon
from nessus_sched.cli.output import print_note
from nessus_sched.config.schema import Config

if TYPE_CHECKING:
    from nessus_sched.api.operations import Registry


@contextmanager
def daemon_or_store(config: Path | None) -> Iterator[DaemonApi]:
    """The daemon; without one its state directory, with a note that says so.

    Raises `NoDaemon` when there is neither.
    """
    with ExitStack() as stack:
        try:
            api: DaemonApi = stack.enter_context(daemon(config))
        except NoDaemon as error:
            if config is None or not os.access(config, os.R_OK):  # the system's, not this user's
                raise
            from nessus_sched.cli.load_config import load_config_or_exit

            found = load_config_or_exit(config)
            if found.store is None and not os.path.exists(found.state_directory / "tasks.db"):
                raise
            from nessus_sched.daemon.storage.places import place_of

            print_note(f"no daemon is running; showing what {place_of(found)} holds")
            api = StateDirectory(found, error)
        yield api


class StateDirectory:
    """Answers what the stores alone can answer; raises `reason` for anything else."""

    def __init__(self, config: Config, reason: NoDaemon) -> None:
        self._config = config
        self._reason = reason

    # Imported late: the stores take longer to import than a daemon takes to answer.

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        from nessus_sched.api.tools import TOOLS

        return self._answer(TOOLS, tool, arguments)

    def operate(self, action: str, /, **arguments: Any) -> dict[str, Any]:
        from nessus_sched.api.tools import OPERATORS

        return self._answer(OPERATORS, action, arguments)

    def _answer(self, registry: Registry, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        from nessus_sched.api.operations import ToolError
        from nessus_sched.api.validation import BadArguments
        from nessus_sched.core.store_errors import StoreError
        from nessus_sched.daemon.offline import OFFLINE, answer_offline

        if name not in OFFLINE:
            raise self._reason
        check_text(arguments)
        try:
            return answer_offline(self._config, registry, name, arguments)
        except ToolError as error:
            raise Refused(error.message, error.code) from error
        except BadArguments as error:
            raise Refused(str(error), error.code) from error
        except StoreError as error:
            raise click.ClickException(str(error)) from error
