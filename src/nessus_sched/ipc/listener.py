"""The Unix socket that clients and relays connect to."""

from __future__ import annotations

import errno
import grp
import itertools
import math
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
import trio

from nessus_sched.config.limits import LimitSettings
from nessus_sched.core.error_groups import flatten_exceptions
from nessus_sched.ipc.accepting import PatientListener
from nessus_sched.ipc.activity import Activity, Stalled
from nessus_sched.ipc.budget import CONNECTIONS, MEMORY, SHARE, Budget, LimitReached, privileged
from nessus_sched.ipc.framing import closing_line
from nessus_sched.ipc.peer import Peer
from nessus_sched.telemetry import events

MAX_PATH: Final = 107
"""Longest path of a socket that the kernel accepts, in bytes."""

IDLE: Final = 60.0
"""Seconds without a request after which a client may be displaced by a new one."""
_BACKLOG: Final = 128
_FAREWELL: Final = 1.0
_QUIET: Final = 10.0
"""Seconds between two warnings about refused clients; the metrics count all of them."""

log = structlog.get_logger("mcp")
_numbers = itertools.count(1)


class SocketError(Exception):
    """The socket cannot be set up; the message says why and what to do."""


@attrs.frozen(kw_only=True)
class Clients:
    """A snapshot: connected clients, the total so far, and since when (on Trio's clock) there has
    been none; `idle_since` is None while there is one. `refused` counts refusals and long waits
    by limit or rule; `displaced` counts idle clients that made room for others."""

    connected: int
    total: int
    refused: Mapping[str, int]
    displaced: int
    idle_since: float | None


@attrs.frozen(kw_only=True, eq=False)
class Guest:
    """A client that was admitted."""

    peer: Peer
    memory: Budget
    activity: Activity = attrs.field(factory=Activity)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


Handler = Callable[[trio.SocketStream, Guest], Coroutine[Any, Any, None]]
Admit = Callable[[Peer], Awaitable[str | None]]


async def admit_all(_peer: Peer) -> str | None:
    """Why a client may not connect at all; None if it may."""
    return None


class Connections:
    """The clients of all listeners, and their shared limits."""

    def __init__(self, limit: int = CONNECTIONS, memory: int = MEMORY) -> None:
        self.places = Budget("limits.connections", limit)
        self.memory = Budget("limits.connection_memory", memory)
        self._guests: set[Guest] = set()
        self._total = self._displaced = 0
        self._refused: Counter[str] = Counter()
        self._warned_at = -math.inf
        self._idle_since: float | None = None
        self.changed = trio.Event()
        """Set, and replaced, whenever a client connects or disconnects."""

    def apply(self, limits: LimitSettings) -> None:
        """Applies new limits; connected clients stay."""
        self.places.limit = limits.connections
        self.memory.limit = limits.connection_memory

    def statistics(self) -> Clients:
        limits = {each.key: each.refused for each in (self.places, self.memory)}
        return Clients(
            connected=len(self._guests),
            total=self._total,
            refused={**limits, **self._refused},
            displaced=self._displaced,
            idle_since=self._idle_since,
        )

    def started(self) -> None:
        """No client has connected yet: idle from now on."""
        self._idle_since = trio.current_time()

    def enter(self, peer: Peer) -> Guest:
        """Admits a client; an idle one may have to make room. Raises `LimitReached`."""
        if not self.places.fits(peer.uid, 1):
            self._displace(peer.uid)
        if not self.places.fits(peer.uid, 1):
            raise self.places.refusal(peer.uid)
        guest = Guest(peer=peer, memory=self.memory)
        self.places.take(peer.uid, 1)
        self._guests.add(guest)
        self._total += 1
        self._idle_since = None
        self._notify()
        return guest

    def leave(self, guest: Guest) -> None:
        if guest not in self._guests:
            return  # displaced
        self._guests.remove(guest)
        self.places.release(guest.peer.uid, 1)
        if not self._guests:
            self._idle_since = trio.current_time()
        self._notify()

    def refused(self, why: str, uid: int | None) -> None:
        """Counts a client that was refused or disconnected."""
        self._refused[why] += 1
        self.warn(why, uid)

    def warn(self, why: str, uid: int | None) -> None:
        if trio.current_time() >= self._warned_at + _QUIET:
            self._warned_at = trio.current_time()
            log.warning(events.CLIENT_REFUSED, uid=uid, reason=why)

    def _displace(self, newcomer: int | None) -> None:
        """Disconnects the longest idle client of the user with the most connections. For an
        ordinary newcomer, that is the same user, or one with more connections."""
        places, idle_before = self.places, trio.current_time() - IDLE
        own = not privileged(newcomer) and places.used_by(newcomer) >= places.limit // SHARE
        idle = [
            guest
            for guest in self._guests
            if not guest.activity.busy
            and guest.activity.at <= idle_before
            and self._may_displace(newcomer, guest.peer.uid, own=own)
        ]
        if not idle:
            return
        guest = max(
            idle,
            key=lambda each: (
                not privileged(each.peer.uid),
                places.used_by(each.peer.uid),
                -each.activity.at,
            ),
        )
        guest.scope.cancel(reason="idle, and another client needed its place")
        self.leave(guest)
        self._displaced += 1

    def _may_displace(self, newcomer: int | None, uid: int | None, *, own: bool) -> bool:
        if uid == newcomer or own:
            return uid == newcomer
        if privileged(newcomer):
            return True
        return not privileged(uid) and self.places.used_by(uid) > self.places.used_by(newcomer)

    def _notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


@asynccontextmanager
async def unix_listener(
    path: Path, *, mode: int = 0o600, group: str | None = None
) -> AsyncIterator[trio.SocketListener]:
    """A listening socket at `path`, unlinked at the end. It appears there at once with its mode
    and group.

    An existing file is replaced only if it is a socket that does not answer. Raises
    `SocketError`.
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
    """The listening socket that systemd passed as file descriptor `fd`, which stays open: a daemon
    may listen more than once."""
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    sock.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


async def accept(
    listener: trio.SocketListener,
    handler: Handler,
    connections: Connections,
    admit: Admit = admit_all,
) -> None:
    """Runs `handler(stream, guest)` for every client, forever.

    An error of one client ends that client only. Context variables of its task name the
    connection and the peer, so that all log lines of its calls do. A client that is refused, by
    `admit` or for lack of room, gets one line with the reason before anything is read from it.
    """

    async def serve(stream: trio.SocketStream) -> None:
        peer = peer_of(stream)
        unwanted = await admit(peer)
        if unwanted is not None:
            connections.refused("role", peer.uid)
            await _turn_away(stream, unwanted)
            return
        try:
            guest = connections.enter(peer)
        except LimitReached as full:
            connections.warn(connections.places.key, peer.uid)
            await _turn_away(stream, str(full))
            return
        try:
            with guest.scope:
                await supervised(partial(_served, handler, guest, connections), stream, peer)
        finally:
            connections.leave(guest)

    connections.started()
    await trio.serve_listeners(serve, [PatientListener(listener, "socket")])


async def _served(
    handler: Handler,
    guest: Guest,
    connections: Connections,
    stream: trio.SocketStream,
    peer: Peer,
) -> None:
    try:
        await handler(stream, guest)
    except* Stalled as stalled:
        connections.refused("limits.stall", peer.uid)
        log.debug(events.CLIENT_REFUSED, uid=peer.uid, reason=_said(stalled))


async def _turn_away(stream: trio.SocketStream, reason: str) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError), trio.move_on_after(_FAREWELL):
            await stream.send_all(closing_line(reason))


async def supervised(
    handler: Callable[[Any, Peer], Coroutine[Any, Any, None]], stream: Any, peer: Peer
) -> None:
    """Serves one client from its first byte to its last; only cancellation escapes."""
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
    """The peer that the kernel reports for a Unix socket (unix(7), SO_PEERCRED)."""
    packed = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert isinstance(packed, bytes)
    _pid, uid, gid = struct.unpack("iII", packed)
    return Peer(connection=f"c{next(_numbers)}", uid=uid, gid=gid)


def self_peer() -> Peer:
    """The peer on stdin: the user that started this process."""
    return Peer(connection=f"c{next(_numbers)}", uid=os.getuid(), gid=os.getgid())


def _said(group: BaseExceptionGroup[Exception]) -> str:
    return "; ".join(sorted({str(leaf) for leaf in flatten_exceptions(group)}))


def _names(group: BaseExceptionGroup[Exception]) -> str:
    return ", ".join(sorted({type(leaf).__name__ for leaf in flatten_exceptions(group)}))


def _bound(path: Path, mode: int, group: str | None) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH:
        raise SocketError(f"socket path {path} is longer than {MAX_PATH} bytes: set socket.path")
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
        raise SocketError(f"socket.group: there is no group {group!r}") from None
    except OSError as error:
        sock.close()
        raise SocketError(f"cannot listen at {path}: {error.strerror or error}") from error
    except SocketError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _clear(path: Path) -> None:
    """Removes a stale socket at `path`; raises if it is in use."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise SocketError(f"{path} is in the way: it is not a socket")
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
    raise SocketError(f"another daemon answers at {path}")
