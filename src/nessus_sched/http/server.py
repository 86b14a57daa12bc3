"""Serves the pages with hypercorn on Trio."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from nessus_sched.http.app import App
from nessus_sched.ipc.accepting import PatientListener

_BACKLOG: Final = 100
_GIVE_UP_MS: Final = 3000
_GRACE: Final = 3.0
_IDLE: Final = 30.0
"""Seconds for which a connection may be without a request, or with an unfinished one."""
CONNECTIONS: Final = 128
"""Connections at once; each takes some 100 KiB at most."""


class HttpTrouble(Exception):
    """The pages cannot be served; the message says why and what to do."""


def listen(bind: str) -> socket.socket:
    """A listening TCP socket at `bind`: `host:port`, `[v6]:port`; port 0 for any.

    Raises `HttpTrouble`, for instance when the port is in use.
    """
    host, _, port = bind.rpartition(":")
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as error:
        raise HttpTrouble(f"http.bind: cannot listen at {bind}: {error}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # hypercorn shields its sends from cancellation: a client that does not read would
        # block shutdown forever if the kernel did not give up on it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP_MS)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        why = os.strerror(error.errno or 0)
        hint = "set http.bind to another address, or to null"
        raise HttpTrouble(f"http.bind: cannot listen at {bind}: {why}; {hint}") from error
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@attrs.define(eq=False)
class PageConnections:
    """The open connections, oldest first.

    One more than `limit` closes the oldest. A response takes milliseconds, so only clients that
    send or read slowly, or are idle, become the oldest, and however many connections they open,
    others get their pages.
    """

    limit: int = CONNECTIONS
    displaced: int = 0
    """How many were closed to make room."""
    _open: dict[trio.SocketStream, None] = attrs.field(factory=dict)

    @property
    def used(self) -> int:
        return len(self._open)

    @contextmanager
    def holding(self, stream: trio.SocketStream) -> Iterator[None]:
        if len(self._open) >= self.limit:
            self._close(next(iter(self._open)))
            self.displaced += 1
        self._open[stream] = None
        try:
            yield
        finally:
            self._open.pop(stream, None)

    def close(self) -> None:
        """Closes all: hypercorn shields its sends from cancellation."""
        for stream in list(self._open):
            self._close(stream)

    def _close(self, stream: trio.SocketStream) -> None:
        del self._open[stream]
        with suppress(OSError):  # the client has left already
            stream.socket.shutdown(socket.SHUT_RDWR)


async def serve(
    app: App,
    sock: socket.socket,
    *,
    connections: PageConnections | None = None,
    stop: Callable[[], Awaitable[None]] = trio.sleep_forever,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves `app` on a listening socket, which it closes; the started value is the URL.

    When `stop` returns, responses in progress have a few seconds. Cancellation ends it at once.
    A request must be complete within `_IDLE` seconds, and its headers within 64 KiB.
    """
    places = connections or PageConnections()
    config = Config()
    config.accesslog = None  # it writes decoded paths, line breaks included
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE
    context = WorkerContext(None)
    # hypercorn's types insist on its own names for ASGI messages.
    asgi: Any = app

    async def respond(stream: trio.SocketStream) -> None:
        # hypercorn's own server would accept any number of connections.
        with places.holding(stream):
            http: Any = stream  # it takes plain streams as well as those with TLS
            await TCPServer(ASGIWrapper(asgi), config, context, ConnectionState({}), http)

    accepted = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    listener = PatientListener(accepted, "http")
    accept = partial(trio.serve_listeners, respond, [listener])
    async with trio.open_nursery() as responding:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(partial(accept, handler_nursery=responding))
                task_status.started(url_of(sock))
                await stop()
                accepting.cancel_scope.cancel(reason="no more requests are accepted")
        except trio.Cancelled:
            places.close()
            raise
        await context.terminated.set()
        responding.cancel_scope.deadline = trio.current_time() + _GRACE
