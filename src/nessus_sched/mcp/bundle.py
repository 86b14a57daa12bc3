"""Builds the `.mcpb` bundle for Claude Desktop: `python -m nessus_sched.mcp.bundle OUT.mcpb`.

The bundle contains only the relay (a few files of standard library Python); the operator
installs the daemon. Format: MCPB manifest 0.3; the official validator is `npx
@anthropic-ai/mcpb validate`.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from nessus_sched import __version__
from nessus_sched.api.tools import TOOLS

RELAY: Final = (
    "__init__.py",
    "ipc/__init__.py",
    "ipc/relay.py",
    "ipc/relay_messages.py",
    "ipc/leaders.py",
    "ipc/framing.py",
    "ipc/discovery.py",
)
MAIN: Final = """\
import sys

from nessus_sched.ipc.relay import main

sys.exit(main(["--no-start", *sys.argv[1:]]))
"""
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the same sources make the same bundle
_BRIEF: Final = 200


def manifest() -> Mapping[str, Any]:
    return {
        "manifest_version": "0.3",
        "name": "nessus-sched",
        "display_name": "Nessus scan scheduler",
        "version": __version__,
        "description": "Queues vulnerability scans on your Nessus scanners and returns results.",
        "long_description": "Connects to the nessus-sched daemon on this machine through its Unix "
        "socket. The daemon is installed and configured by its operator.",
        "author": {"name": "The nessus-sched authors"},
        "license": "MIT",
        "keywords": ["nessus", "security", "vulnerabilities"],
        "server": {
            "type": "python",
            "entry_point": "server/main.py",
            "mcp_config": {
                "command": "python3",
                "args": ["${__dirname}/server/main.py", "--socket", "${user_config.socket}"],
                "env": {},
            },
        },
        "user_config": {
            "socket": {
                "type": "string",
                "title": "Socket of the daemon",
                "description": "Leave empty for the system service.",
                "default": "",
                "required": False,
            }
        },
        "tools": [{"name": tool.name, "description": _first(tool.description)} for tool in TOOLS],
        "prompts_generated": True,
        "compatibility": {
            "platforms": ["linux", "darwin"],
            "runtimes": {"python": ">=3.11"},
        },
    }


def build(destination: Path) -> None:
    """Writes the bundle; the same sources make the same bytes."""
    package = files("nessus_sched")
    contents = {
        "manifest.json": json.dumps(manifest(), indent=2) + "\n",
        "server/main.py": MAIN,
        **{
            f"server/nessus_sched/{name}": package.joinpath(name).read_text("utf-8")
            for name in RELAY
        },
    }
    with zipfile.ZipFile(destination, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in contents.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, text)


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m nessus_sched.mcp.bundle OUT.mcpb\n")
        return 2
    try:
        build(Path(arguments[0]))
    except OSError as error:
        sys.stderr.write(f"cannot write {arguments[0]}: {error.strerror or error}\n")
        return 1
    return 0


def _first(description: str) -> str:
    """The first sentence, cut between words if it is long."""
    return shorten(description.split("\n")[0].split(". ")[0], _BRIEF, placeholder=" ...")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
