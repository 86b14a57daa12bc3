"""Judges from npm: the TypeScript SDK, the Inspector, the conformance suite, mcpb.

They are not part of the project. Tests that need them look in `$NESSUS_SCHED_NPM` or
`~/.cache/nessus-sched-npm`, and skip when they are not there. To have them:

    mkdir -p ~/.cache/nessus-sched-npm && cd ~/.cache/nessus-sched-npm && npm init -y &&
    npm install node@22 @modelcontextprotocol/sdk@1 @modelcontextprotocol/client@2 \
        @modelcontextprotocol/inspector@0.15.0 \
        @modelcontextprotocol/conformance@0.2.0-alpha.12 @anthropic-ai/mcpb@2.1.2
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def root() -> Path:
    found = os.environ.get("NESSUS_SCHED_NPM")
    return Path(found) if found else Path.home() / ".cache" / "nessus-sched-npm"


def package(name: str) -> Path:
    """The directory of an installed package; skips the test when it is not there."""
    found = root() / "node_modules" / name
    if not found.is_dir():
        pytest.skip(f"npm package {name} is not installed in {root()} (see support.npm)")
    return found


def node() -> str:
    """A node of version 22, which all of them run on."""
    return str(package("node") / "bin" / "node")
