"""What Claude Desktop is given to start: programs and files by their absolute paths, because
a desktop has neither the shell's PATH nor its directory."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def program() -> list[str]:
    """This program."""
    beside = Path(sys.executable).with_name("nessus-sched")
    called = shutil.which(sys.argv[0]) or ""
    for path in (called, str(beside), shutil.which("nessus-sched") or ""):
        if Path(path).name == "nessus-sched" and os.access(path, os.X_OK):
            return [os.path.abspath(path)]
    return [sys.executable, "-m", "nessus_sched"]


def client_of(config: str | Path) -> list[str]:
    """The command that connects to the daemon of a configuration."""
    return [*program(), "mcp", "--config", os.path.abspath(config)]


def desktop_entry(words: Sequence[str]) -> str:
    """The JSON to paste for a command."""
    entry = {"command": words[0], "args": list(words[1:])}
    return json.dumps({"mcpServers": {"nessus": entry}}, indent=2)
