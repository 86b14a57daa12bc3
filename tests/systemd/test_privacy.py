"""What the daemon keeps from others on its machine, with and without systemd's help."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.crash import crashed
from support.processes import daemon, site

_ASK = """
import ctypes, os, resource
from nessus_sched.cli.serve import keep_private
keep_private()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
print(*resource.getrlimit(resource.RLIMIT_CORE), os.umask(0))
"""


@pytest.mark.slow
def test_no_core_can_be_taken_and_files_are_ours_alone() -> None:
    said = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["0", "0", "0", str(0o077)]


@pytest.mark.slow
async def test_a_daemon_takes_care_of_that_and_of_its_directory(tmp_path: Path) -> None:
    place = site(tmp_path, [])
    async with daemon(place) as process:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        for path in (tmp_path / "state", *(tmp_path / "state").rglob("*"), place.socket.parent):
            assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


@pytest.mark.slow
def test_a_crash_is_logged_without_secrets(tmp_path: Path) -> None:
    login = {"access_key": "an-access-key", "secret_key": "canary-key-40417"}
    scanner = {"id": "east", "url": "https://127.0.0.1:9", "auth": {"api_keys": login}}
    place = site(tmp_path, [{**scanner, "max_concurrent_scans": 1}])
    said = crashed(place, "ValueError('cannot log in with canary-key-40417')")
    assert "ValueError: cannot log in with" in said
    assert "canary" not in said
