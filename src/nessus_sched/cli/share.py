"""The files that travel with the program: units, and the example configuration."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import nessus_sched


def shared(name: str) -> str:
    """The text of a file of `etc/` or `systemd/`, such as `systemd/nessus-sched.service`."""
    return _place().joinpath(name).read_text(encoding="utf-8")


def _place() -> Traversable:
    """In an installed package it is a folder of the package; in a checkout its root."""
    installed = files("nessus_sched").joinpath("share")
    return installed if installed.is_dir() else Path(nessus_sched.__file__).parents[2]
