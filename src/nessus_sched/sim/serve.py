"""Serves the simulated Nessus over HTTPS with hypercorn on Trio, with breakable connections.

Hypercorn's own `serve` does not expose its connections, but a fault must be able to reset one
during a request, or to refuse new ones for a while. So we have our own listeners, and
hypercorn's `TCPServer` handles HTTP on each accepted connection.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from nessus_sched.sim.app import ABORT, asgi_app
from nessus_sched.sim.certificate import Certificate, make_certificate, tls_context
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.state import SimulatedNessus

_IDLE_SECONDS = 75.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_answering: ContextVar[trio.SocketStream | None] = ContextVar("answering", default=None)
"""The connection whose request is being served in this task."""


@attrs.define(kw_only=True)
class RunningSim:
    """A running simulator. `certificate` changes when that fault is injected."""

    url: str
    certificate: Certificate
    nessus: SimulatedNessus = attrs.field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex."""
        return self.certificate.fingerprint

    @property
    def access_key(self) -> str:
        return self.nessus.accounts.access_key

    @property
    def secret_key(self) -> str:
        return self.nessus.accounts.secret_key

    @property
    def username(self) -> str:
        return self.nessus.accounts.username

    @property
    def password(self) -> str:
        return self.nessus.accounts.password


async def serve_sim(
    options: SimOptions,
    *,
    task_status: trio.TaskStatus[RunningSim] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves a simulated Nessus until canceled; `nursery.start` returns the `RunningSim`.

    Raises `OSError` if the address cannot be bound. Installs no signal handlers.
    """
    nessus = SimulatedNessus(options, now=_system_time)
    listeners = await _bind(options.host, options.port)
    port = listeners[0].socket.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    running = RunningSim(
        url=f"https://{host}:{port}",
        certificate=_certificate(options, 0),
        nessus=nessus,
    )
    server = _Server(running, port)
    async with trio.open_nursery() as connections:
        try:
            task_status.started(running)
            await server.run(listeners, connections)
        finally:
            # A connection whose client does not read would survive the cancellation.
            server.break_connections()


def _certificate(options: SimOptions, generation: int) -> Certificate:
    return make_certificate(
        options.host,
        seed=options.seed,
        generation=generation,
        names=options.assumes("certificate_has_names"),
    )


def _system_time() -> float:
    return time.time()  # noqa: TID251 - a simulator that is served lives in real time


async def _bind(host: str, port: int) -> Sequence[trio.SocketListener]:
    listeners = await trio.open_tcp_listeners(port, host=host)
    if port != 0:
        return listeners
    for surplus in listeners[1:]:  # each would have a different port
        await surplus.aclose()
    return listeners[:1]


class _Server:
    """Accepts, refuses or breaks connections, and changes its certificate, as the simulated
    Nessus requires."""

    def __init__(self, running: RunningSim, port: int) -> None:
        self._running = running
        self._nessus = running.nessus
        self._port = port
        self._app = asgi_app(self._nessus)
        self._tls = tls_context(running.certificate)
        self._generation = self._nessus.certificate_generation
        self._config = Config()
        self._config.keep_alive_timeout = _IDLE_SECONDS
        self._config.include_server_header = False
        self._context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()
        self._spared: set[trio.SocketStream] = set()
        self._changed = trio.Event()
        self._nessus.on_change = self._note_change

    async def run(
        self, listeners: Sequence[trio.SocketListener], connections: trio.Nursery
    ) -> None:
        while True:
            await self._accept_until_change(listeners, connections)
            self._changed = trio.Event()
            self._renew_certificate()
            await trio.sleep(max(0.0, self._nessus.refusing_until - self._nessus.now()))
            listeners = await _bind(self._nessus.options.host, self._port)

    def break_connections(self) -> None:
        for stream in self._open:
            _reset(stream)

    def _note_change(self) -> None:
        """Breaks all connections immediately, but answers the request that caused it."""
        asking = _answering.get()
        if asking is not None:
            self._spared.add(asking)
        for stream in self._open - self._spared:
            _reset(stream)
        self._changed.set()

    async def _accept_until_change(
        self, listeners: Sequence[trio.SocketListener], connections: trio.Nursery
    ) -> None:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(self._accept, listeners, connections)
            await self._changed.wait()
            accepting.cancel_scope.cancel()

    async def _accept(
        self, listeners: Sequence[trio.SocketListener], connections: trio.Nursery
    ) -> None:
        await trio.serve_listeners(self._connection, list(listeners), handler_nursery=connections)

    def _renew_certificate(self) -> None:
        if self._generation != self._nessus.certificate_generation:
            self._generation = self._nessus.certificate_generation
            options = self._nessus.options
            certificate = _certificate(options, self._generation)
            self._running.certificate = certificate
            self._tls = tls_context(certificate)

    async def _connection(self, stream: trio.SocketStream) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            extensions = {**scope.get("extensions", {}), ABORT: lambda: _reset(stream)}
            _answering.set(stream)
            await self._app({**scope, "extensions": extensions}, receive, send)
            if stream in self._spared:
                stream.socket.close()

        tls: trio.SSLStream[trio.SocketStream] = trio.SSLStream(
            stream, self._tls, server_side=True, https_compatible=True
        )
        self._open.add(stream)
        try:
            await TCPServer(ASGIWrapper(app), self._config, self._context, ConnectionState({}), tls)
        except trio.ClosedResourceError:
            pass  # we broke it during the handshake, where hypercorn expects only clients to do so
        finally:
            self._open.discard(stream)
            self._spared.discard(stream)


def _reset(stream: trio.SocketStream) -> None:
    """Closes immediately with a TCP reset."""
    if stream.socket.fileno() >= 0:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        stream.socket.close()
