"""The Unix socket that clients and relays connect to."""

from __future__ import annotations

import errno
import grp
import itertools
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
import trio

from nessus_sched.core.groups import leaves
from nessus_sched.mcp.peer import Peer
from nessus_sched.mcp.transport import refusal
from nessus_sched.telemetry import events

MAX_PATH: Final = 107
"""Bytes that the kernel takes as the path of a socket."""

MAX_CONNECTIONS: Final = 256
_BACKLOG: Final = 128

Handler = Callable[[trio.SocketStream, Peer], Coroutine[Any, Any, None]]

log = structlog.get_logger("mcp")
_numbers = itertools.count(1)


class SocketTrouble(Exception):
    """The socket cannot be set up; the message says why and what to do."""


@attrs.frozen(kw_only=True)
class Clients:
    """A snapshot: how many clients there are, how many there were, and since when (on
    Trio's clock) there has been none; `idle_since` is None while there is one."""

    connected: int
    total: int
    refused: int
    idle_since: float | None


class Connections:
    """Counts the clients of all listeners and bounds their number."""

    def __init__(self, most: int = MAX_CONNECTIONS) -> None:
        self.most = most
        self._connected = self._total = self._refused = 0
        self._idle_since: float | None = None
        self.changed = trio.Event()
        """Set, and replaced, whenever a client comes or goes."""

    def statistics(self) -> Clients:
        return Clients(
            connected=self._connected,
            total=self._total,
            refused=self._refused,
            idle_since=self._idle_since,
        )

    def started(self) -> None:
        """Nobody is there yet: idle from now on."""
        self._idle_since = trio.current_time()

    def enter(self) -> bool:
        """Counts a client in; False when there are too many."""
        if self._connected >= self.most:
            self._refused += 1
            return False
        self._connected += 1
        self._total += 1
        self._idle_since = None
        self._tell()
        return True

    def leave(self) -> None:
        self._connected -= 1
        if not self._connected:
            self._idle_since = trio.current_time()
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


@asynccontextmanager
async def unix_listener(
    path: Path, *, mode: int = 0o600, group: str | None = None
) -> AsyncIterator[trio.SocketListener]:
    """A listening socket at `path`, which is unlinked at the end.

    It appears there at once with its mode and group. What is there already is replaced
    only when it is a socket that nobody answers. Raises `SocketTrouble`.
    """
    sock = _bound(path, mode, group)
    made = os.stat(path).st_ino
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    try:
        async with listener:
            yield listener
    finally:
        try:
            if os.stat(path).st_ino == made:
                os.unlink(path)
        except FileNotFoundError:
            pass


def inherited_listener(fd: int) -> trio.SocketListener:
    """The listening socket that systemd passed to us as file descriptor `fd`."""
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    sock.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


async def accept(listener: trio.SocketListener, handler: Handler, connections: Connections) -> None:
    """Runs `handler(stream, peer)` for every client, for ever.

    Whatever happens to one client ends that client only. Context variables of its task
    name the connection and the peer, so that every log line of its calls does.
    """

    async def serve(stream: trio.SocketStream) -> None:
        peer = peer_of(stream)
        if not connections.enter():
            log.warning(events.CLIENT_REFUSED, uid=peer.uid)
            await _turn_away(stream, connections.most)
            return
        try:
            await supervised(handler, stream, peer)
        finally:
            connections.leave()

    connections.started()
    await trio.serve_listeners(serve, [listener])


async def _turn_away(stream: trio.SocketStream, most: int) -> None:
    message = f"all {most} connections are taken: close one, or raise limits.connections"
    async with stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(refusal(message))


async def supervised(handler: Handler, stream: Any, peer: Peer) -> None:
    """One client, from its first byte to its last; nothing but cancellation comes out."""
    structlog.contextvars.bind_contextvars(connection=peer.connection)
    log.debug(events.CLIENT_CONNECTED, uid=peer.uid, gid=peer.gid)
    started, error = trio.current_time(), None
    try:
        await handler(stream, peer)
    except* (trio.BrokenResourceError, trio.ClosedResourceError) as gone:
        error = _names(gone)
    except* Exception as crash:
        error = _names(crash)
        log.error(events.CLIENT_GONE, error=error, exc_info=crash)
    log.debug(events.CLIENT_GONE, seconds=trio.current_time() - started, error=error)


def peer_of(stream: trio.SocketStream) -> Peer:
    """Who the kernel says is at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    packed = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert isinstance(packed, bytes)
    _pid, uid, gid = struct.unpack("iII", packed)
    return Peer(connection=f"c{next(_numbers)}", uid=uid, gid=gid)


def own_peer() -> Peer:
    """Ourselves: whoever started us speaks on our stdin."""
    return Peer(connection=f"c{next(_numbers)}", uid=os.getuid(), gid=os.getgid())


def _names(group: BaseExceptionGroup[Exception]) -> str:
    return ", ".join(sorted({type(leaf).__name__ for leaf in leaves(group)}))


def _bound(path: Path, mode: int, group: str | None) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH:
        raise SocketTrouble(f"socket path {path} is longer than {MAX_PATH} bytes: set socket.path")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path.with_name(f".{os.getpid()}")  # the path must not get longer
    try:
        _clear(path)
        temporary.unlink(missing_ok=True)
        sock.bind(os.fspath(temporary))
        os.chmod(temporary, mode)
        if group is not None:
            os.chown(temporary, -1, grp.getgrnam(group).gr_gid)
        sock.listen(_BACKLOG)
        os.rename(temporary, path)
    except KeyError:
        sock.close()
        temporary.unlink(missing_ok=True)
        raise SocketTrouble(f"socket.group: there is no group {group!r}") from None
    except OSError as error:
        sock.close()
        raise SocketTrouble(f"cannot listen at {path}: {error.strerror or error}") from error
    except SocketTrouble:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _clear(path: Path) -> None:
    """Makes way at `path`, unless somebody is there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise SocketTrouble(f"{path} is in the way: it is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                path.unlink()
                return
            raise
    raise SocketTrouble(f"another daemon answers at {path}")
