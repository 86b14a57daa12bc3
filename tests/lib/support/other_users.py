"""Connections of other users to a daemon's socket; only root can make them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def connected_as(path: Path, uid: int) -> trio.SocketStream:
    """A connection of that user: the kernel notes who connects."""
    sock = socket.socket(socket.AF_UNIX)
    with as_user(uid):
        sock.connect(os.fspath(path))
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))
