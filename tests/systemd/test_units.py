"""The units, judged by systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
THRESHOLD = 15
"""Ten times the exposure score that is allowed."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which the units are installed and what they start exists."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in ("nessus-sched.service", "nessus-sched.socket"):
        shutil.copy(UNITS / name, units)
    for program in ("opt/nessus-sched/bin/nessus-sched", "bin/kill"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    for target in (
        "multi-user",
        "network-online",
        "time-sync",
        "sockets",
        "sysinit",
        "basic",
        "shutdown",
    ):
        (units / f"{target}.target").write_text("[Unit]\nDescription=stub\n")
    return tmp_path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_PAGER": ""},
        timeout=60,
    )


def test_systemd_finds_nothing_to_complain_about(root: Path) -> None:
    found = analyze(f"--root={root}", "--man=no", "verify", "nessus-sched.service")
    assert "nessus-sched" not in found.stderr, found.stderr
    assert found.returncode == 0, found.stderr


def test_the_service_is_hardened(root: Path) -> None:
    unit = root / "etc/systemd/system/nessus-sched.service"
    found = analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", str(unit))
    assert found.returncode == 0, found.stdout[-2000:]
