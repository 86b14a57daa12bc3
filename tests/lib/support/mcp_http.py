"""The MCP server over HTTP, for the official conformance suite, which speaks nothing else.

The program itself has no such door. What is served are our real tools, prompts and resources
without a daemon behind them: the suite judges the protocol, not what a tool does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import INSTRUCTIONS, TOOLS
from nessus_sched.mcp.prompts import PROMPTS
from nessus_sched.mcp.resources import TaskResources
from nessus_sched.mcp.server import ServerParts, build_server


class Listed(TaskResources):
    """Our resources; the queue is empty, and there are no tasks."""

    async def read(self, call: Call, uri: str) -> tuple[str, str]:
        if uri != "nessus-sched://queue":
            raise ToolError("unknown_resource", f"There is no resource {uri}")
        return "application/json", "{}"


@contextmanager
def served() -> Iterator[str]:
    """The URL at which it is served by a thread."""
    nothing: Any = None
    resources = Listed(app=nothing, permits=lambda _peer, _tool: True)
    parts = ServerParts(app=nothing, tools=TOOLS, prompts=PROMPTS, resources=resources)
    server = build_server(parts, version="0", instructions=INSTRUCTIONS)
    told: queue.Queue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def run() -> None:
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.accesslog = config.errorlog = None
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                (address,) = await nursery.start(serve, server.streamable_http_app(), config)
                told.put((f"{address}/mcp", trio.lowlevel.current_trio_token(), scope))

    runner = threading.Thread(target=trio.run, args=(run,))
    runner.start()
    url, token, scope = told.get(timeout=30)
    try:
        yield url
    finally:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)
        runner.join()
