"""What dead daemons left behind goes, and nothing else."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nessus_sched.ipc.cleanup import LOGS_KEPT, remove_stale_files

NOW = 1_800_000_000.0
KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


def listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.fspath(path))
    sock.listen(1)
    return sock


def files(directory: Path, key: str, logged_at: float) -> None:
    """All that an on-demand daemon has there but for its socket."""
    for name in (f"{key}.start", f"{key}.log", f"{key}.77.log"):
        (directory / name).touch()
        os.utime(directory / name, (logged_at, logged_at))


def names(directory: Path) -> set[str]:
    return set(os.listdir(directory))


def test_a_dead_daemon_leaves_only_its_latest_words(tmp_path: Path) -> None:
    listening(tmp_path / f"{KEY}.sock").close()
    files(tmp_path, KEY, NOW - 60)
    (tmp_path / f"{OTHER}.sock").symlink_to(tmp_path / "gone.sock")
    files(tmp_path, OTHER, NOW - LOGS_KEPT - 60)
    removed = remove_stale_files(tmp_path, lambda: NOW)
    assert names(tmp_path) == {f"{KEY}.log", f"{KEY}.77.log"}
    assert len(removed) == 6


def by_a_daemon(directory: Path) -> Callable[[], None]:
    return listening(directory / f"{KEY}.sock").close


def by_a_daemon_elsewhere(directory: Path) -> Callable[[], None]:
    sock = listening(directory / "elsewhere.sock")
    (directory / f"{KEY}.sock").symlink_to(directory / "elsewhere.sock")
    return sock.close


def by_a_relay(directory: Path) -> Callable[[], None]:
    listening(directory / f"{KEY}.sock").close()
    descriptor = os.open(directory / f"{KEY}.start", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return lambda: os.close(descriptor)


@pytest.mark.parametrize("held", [by_a_daemon, by_a_daemon_elsewhere, by_a_relay])
def test_what_is_in_use_stays(tmp_path: Path, held: Callable[[Path], Callable[[], None]]) -> None:
    files(tmp_path, KEY, NOW - LOGS_KEPT - 60)
    let_go = held(tmp_path)
    before = names(tmp_path)
    assert remove_stale_files(tmp_path, lambda: NOW) == []
    assert names(tmp_path) == before
    let_go()
    remove_stale_files(tmp_path, lambda: NOW)
    assert names(tmp_path) <= {"elsewhere.sock"}


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    for name in ("mcp.sock", "notes.log", f"{KEY}.txt", f"{KEY}.sock.bak", "0123.log"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    before = names(tmp_path)
    assert remove_stale_files(tmp_path, lambda: NOW) == []
    assert names(tmp_path) == before
