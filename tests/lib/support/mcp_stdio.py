"""A server of test tools on stdin and stdout, as `serve --stdio` is one; noisy on purpose."""

from __future__ import annotations

import os
import signal

import trio

from nessus_sched.ipc.listener import self_peer
from nessus_sched.ipc.stdio import claim_stdio
from nessus_sched.mcp.transport import serve_stream
from support.mcp_app import App, server_of


async def main() -> None:
    stream = claim_stdio()
    _be_noisy()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_stream(server_of(App()), stream, self_peer())
            nursery.cancel_scope.cancel()

        nursery.start_soon(serve)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


def _be_noisy() -> None:
    print("printed after the claim")
    os.system("echo from a child")  # noqa: S605 - writes to its inherited stdout


if __name__ == "__main__":
    trio.run(main)
