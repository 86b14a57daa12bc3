"""The state directory of a stopped daemon, for commands that need none."""

from __future__ import annotations

from pathlib import Path

import attrs
import trio

from support.audited_quarter import until_the_end
from support.command import Said, fits, typed
from support.processes import Site, site

TASK = "t00000003"
"""A task there that completed, with findings; `t00000002` came before it."""


@attrs.frozen(kw_only=True)
class Stopped:
    """Call it with the words of a command."""

    place: Site

    @property
    def state(self) -> Path:
        return Path(self.place.config["state_directory"])

    def __call__(self, *words: str, stdin: str | bytes = "") -> Said:
        environ = {
            "NESSUS_SCHED_CONFIG": str(self.place.file),
            "NESSUS_SCHED_SOCKET": None,
            "XDG_RUNTIME_DIR": self.place.environ["XDG_RUNTIME_DIR"],
        }
        return typed(*words, env=environ, stdin=stdin)

    def asked(self, shape: str, *words: str, code: int = 0) -> dict[str, object]:
        """What a command prints with --json, once it has the documented shape."""
        said = self(*words, "--json")
        assert said.code == code, said
        fits(shape, said.json)
        found: dict[str, object] = said.json
        return found


def never_started(directory: Path) -> Stopped:
    """A configuration whose daemon has never run."""
    return Stopped(place=site(directory, []))


def stopped(directory: Path) -> Stopped:
    """With the tasks, findings, ledger and journal of `support.audited_quarter`."""
    made = never_started(directory)
    trio.run(until_the_end, made.state)
    return made
