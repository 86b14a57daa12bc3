"""A daemon of test tools at a Unix socket: in the test's own process, or in one of its
own (`python -m support.mcp_daemon PATH`) that can be killed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from nessus_sched.ipc.budget import CONNECTIONS
from nessus_sched.ipc.listener import Admit, Connections, Guest, accept, admit_all, unix_listener
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.transport import Limits, serve_stream
from support.mcp_app import App, server_of


def turned_away(why: str) -> Admit:
    """Lets nobody in."""

    async def admit(_peer: Peer) -> str | None:
        return why

    return admit


@asynccontextmanager
async def daemon(
    path: Path,
    app: App,
    most: int = CONNECTIONS,
    admit: Admit = admit_all,
    limits: Limits | None = None,
) -> AsyncIterator[Connections]:
    """Serves `app` at `path` for as long as it is entered."""
    server, connections = server_of(app), Connections(most)

    async def handler(stream: trio.SocketStream, guest: Guest) -> None:
        await serve_stream(
            server, stream, guest.peer, limits, memory=guest.memory, activity=guest.activity
        )

    async with unix_listener(path) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(accept, listener, handler, connections, admit)
        yield connections
        nursery.cancel_scope.cancel()


async def _serve_for_ever(path: Path) -> None:
    async with daemon(path, App()):
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(_serve_for_ever, Path(sys.argv[1]))
