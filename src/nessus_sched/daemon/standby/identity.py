"""What daemons that share a store know of each other."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nessus_sched.config.render import effective
from nessus_sched.config.schema import Config
from nessus_sched.core.leading.leader import Daemon
from nessus_sched.ipc import discovery

OWN: Final = frozenset(
    {
        "state_directory", "store", "store_password", "leaders", "socket", "http", "log", "limits",
        "polling",
    }
)  # fmt: skip
"""Sections that concern one machine only."""


def socket_path(config: Config, file: Path, environ: Mapping[str, str]) -> Path:
    """Where the daemon of this configuration listens."""
    return config.socket.path or Path(discovery.default_socket(str(file), environ))


def identity(config: Config, file: Path, environ: Mapping[str, str]) -> Daemon:
    """Of the daemon with this configuration on this machine."""
    path = os.path.abspath(socket_path(config, file, environ))
    return Daemon(host=socket.gethostname(), addresses=(path,), sections=digests_of(config))


def digests_of(config: Config) -> dict[str, str]:
    """A digest of each section in which daemons that share a store must agree. Secrets are left
    out, because their digests could be tried against guesses."""
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
        for name, value in effective(config).items()
        if name not in OWN
    }
