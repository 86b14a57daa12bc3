"""The manual page: every command is in it, and groff has nothing to complain about."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from nessus_sched.cli.main import COMMANDS
from nessus_sched.cli.man import man_page


def test_every_command_is_described() -> None:
    page = man_page()
    for commands in COMMANDS.values():
        for name in commands:
            heading = f".SS nessus-sched {name}".replace("-", r"\-")
            assert heading in page, name


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_it_is_set_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=man_page(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
