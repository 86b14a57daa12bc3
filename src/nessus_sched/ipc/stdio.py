"""The process's stdin and stdout as a Trio stream that carries only the protocol."""

from __future__ import annotations

import os
import select
import sys

import trio


def claim_stdio() -> trio.StapledStream[trio.abc.SendStream, trio.abc.ReceiveStream]:
    """Takes over file descriptors 0 and 1: from now on stdin reads as empty, and anything printed
    goes to stderr. Call it inside `trio.run`, before other work."""
    sys.stdout.flush()
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return trio.StapledStream(_sender(outgoing), _receiver(incoming))


def _receiver(fd: int) -> trio.abc.ReceiveStream:
    return trio.lowlevel.FdStream(fd) if _pollable(fd) else _FileReceiver(fd)


def _sender(fd: int) -> trio.abc.SendStream:
    return trio.lowlevel.FdStream(fd) if _pollable(fd) else _FileSender(fd)


def _pollable(fd: int) -> bool:
    """Whether epoll takes `fd`: pipes, sockets and terminals, not files or /dev/null."""
    with select.epoll() as poll:
        try:
            poll.register(fd)
        except PermissionError:
            return False
    return True


class _FileReceiver(trio.abc.ReceiveStream):
    """A regular file or /dev/null as stdin; reading it never blocks for long."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.to_thread.run_sync(os.read, self._fd, max_bytes or 65_536)

    async def aclose(self) -> None:
        os.close(self._fd)
        await trio.lowlevel.checkpoint()


class _FileSender(trio.abc.SendStream):
    """A regular file or /dev/null as stdout."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            written = await trio.to_thread.run_sync(os.write, self._fd, rest)
            rest = rest[written:]

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        os.close(self._fd)
        await trio.lowlevel.checkpoint()
