"""One daemon per state directory, and a directory that is ours."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.core.store_errors import AlreadyRunning, StateDirectoryError
from nessus_sched.store.lock import LOCK_NAME, hold_state_directory, holder

HOLD = """
import sys, pathlib
from nessus_sched.store.lock import hold_state_directory
with hold_state_directory(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_in_another_process(directory: Path, log: Any = None) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_process_is_told_which_one_is_there(tmp_path: Path) -> None:
    with hold_in_another_process(tmp_path) as process:
        assert holder(tmp_path) == process.pid
        with (
            pytest.raises(AlreadyRunning, match=f"process {process.pid} ") as caught,
            hold_state_directory(tmp_path),
        ):
            pass
        assert caught.value.pid == process.pid
        process.kill()
    assert holder(tmp_path) is None
    with hold_state_directory(tmp_path):
        assert holder(tmp_path) == os.getpid()


def refusal(directory: Path) -> str:
    with pytest.raises(AlreadyRunning) as caught, hold_state_directory(directory):
        pass
    return str(caught.value)


@pytest.mark.slow
def test_it_is_told_where_the_log_of_that_one_is(tmp_path: Path) -> None:
    """Also when it was renamed since, as the relay does once the daemon answers."""
    first, log = tmp_path / "first.log", tmp_path / "daemon.log"
    with first.open("w") as file, hold_in_another_process(tmp_path, file) as process:
        first.rename(log)
        assert f"its log is {log}; stop it with 'kill {process.pid}'" in refusal(tmp_path)
        process.kill()
    ours, journal = socket.socketpair()
    with ours, journal, hold_in_another_process(tmp_path, journal) as process:
        assert f"'journalctl _PID={process.pid}' shows its log" in refusal(tmp_path)
        process.kill()
    with hold_in_another_process(tmp_path, subprocess.DEVNULL) as process:
        assert "log" not in refusal(tmp_path).replace(str(tmp_path), "")
        process.kill()


def test_the_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    directory = tmp_path / "var" / "state"
    with hold_state_directory(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / LOCK_NAME).stat().st_mode) == 0o600
    with hold_state_directory(directory):
        pass


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(StateDirectoryError, match="chmod 700"), hold_state_directory(tmp_path):
        pass


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirectoryError, match="cannot open"), hold_state_directory(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_of_someone_else_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the refusal is played.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StateDirectoryError, match="not writable by user"):
        hold_state_directory(tmp_path).__enter__()


def test_nobody_holds_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "nothing") is None


@pytest.mark.parametrize("below", ["", "state"])
def test_a_file_in_place_of_the_directory_is_called_one(tmp_path: Path, below: str) -> None:
    file = tmp_path / "passwd"
    file.write_text("root:x:0:0")
    with (
        pytest.raises(StateDirectoryError, match="is a file or lies below one"),
        hold_state_directory(file / below),
    ):
        pass


def test_only_a_holder_that_died_is_told_of(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_state_directory(tmp_path) as died:
            assert died is None
    with hold_in_another_process(tmp_path) as process:
        process.kill()
    with hold_state_directory(tmp_path) as died:
        assert died == process.pid
