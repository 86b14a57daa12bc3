"""Serves the pages with hypercorn on Trio."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

from nessus_sched.http.app import App

_BACKLOG: Final = 100
_GIVE_UP_MS: Final = 3000
_GRACE: Final = 3.0


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


async def serve(
    app: App,
    sock: socket.socket,
    *,
    stop: Callable[[], Awaitable[None]] = trio.sleep_forever,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves `app` on a listening socket, which it closes; the started value is the URL.

    When `stop` returns, responses in progress have a few seconds. Cancellation ends it as well,
    immediately except for what hypercorn is sending.
    """
    config = Config()
    fd = os.dup(sock.fileno())
    config.bind = [f"fd://{fd}"]
    config.accesslog = None  # it writes decoded paths, line breaks included
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.graceful_timeout = _GRACE
    config.keep_alive_timeout = 30.0
    url = url_of(sock)
    sock.close()
    async with trio.open_nursery() as nursery:
        # hypercorn's types insist on its own names for ASGI messages.
        asgi: Any = app

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await hypercorn_serve(
                asgi, config, shutdown_trigger=stop, task_status=task_status, mode="asgi"
            )

        await nursery.start(run)
        os.set_inheritable(fd, False)  # hypercorn makes it inheritable
        task_status.started(url)
