"""Many long lines at once do not hold up short messages."""

from __future__ import annotations

from typing import Any, Final

import attrs
import pytest
import trio

from nessus_sched.ipc.activity import Stalled
from nessus_sched.ipc.budget import Budget
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.transport import Limits, serve_stream
from support.mcp_app import App, server_of, wire
from support.mcp_wire import call, opened

CLIENTS: Final = 50
CHUNKS: Final = 12
CHUNK: Final = b"x" * 65_536


@attrs.define(eq=False)
class Passes(trio.abc.Instrument):
    """Counts the passes of Trio's loop, and the chunks read in the present one."""

    number: int = 0
    read: int = 0
    most: int = 0

    def after_io_wait(self, timeout: float) -> None:
        self.number += 1
        self.read = 0

    def note(self) -> None:
        self.read += 1
        self.most = max(self.most, self.read)


@attrs.define(eq=False)
class Flood(trio.abc.Stream):
    """A client that has chunks of a long line ready, and never ends the line."""

    passes: Passes
    left: int = CHUNKS
    done: trio.Event = attrs.field(factory=trio.Event)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.left:
            self.done.set()
            await trio.sleep_forever()
        if self.left < CHUNKS:
            self.passes.note()
        self.left -= 1
        return CHUNK

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def serve(flood: Flood, memory: Budget, limits: Limits) -> None:
    peer = Peer(connection="f")
    await serve_stream(server_of(App()), flood, peer, limits, memory=memory)


@pytest.mark.slow
@pytest.mark.parametrize("max_line", [2**23, 2**18], ids=["kept", "dropped"])
async def test_long_lines_are_read_a_chunk_a_pass_in_turn(max_line: int) -> None:
    passes, memory = Passes(), Budget("limits.connection_memory", 2**30)
    trio.lowlevel.add_instrument(passes)
    floods = [Flood(passes) for _ in range(CLIENTS)]
    async with wire(App(), memory=memory) as stream, trio.open_nursery() as nursery:
        lines = await opened(stream)
        for flood in floods:
            nursery.start_soon(serve, flood, memory, Limits(max_line=max_line))
        answers = 0
        while any(flood.left > 2 for flood in floods):
            began = passes.number
            await stream.send_all(call(answers, "echo", text="x"))
            assert "result" in await lines.next()
            assert passes.number - began < 40, "a short message waited for long lines"
            answers += 1
            left = [flood.left for flood in floods]
            assert max(left) - min(left) <= 2, "one long line overtook the others"
        assert answers > 20
        for flood in floods:
            await flood.done.wait()
        nursery.cancel_scope.cancel()
    assert passes.most == 1
    assert memory.used == 0


async def test_waiting_for_a_turn_is_not_the_clients_fault(autojump_clock: Any) -> None:
    memory = Budget("limits.connection_memory", 2**30)
    flood = Flood(Passes(), left=2)
    with pytest.RaisesGroup(Stalled, flatten_subgroups=True):
        async with trio.open_nursery() as nursery, memory.long_lines:
            nursery.start_soon(serve, flood, memory, Limits(stall=30.0))
            await trio.sleep(3600)
            assert flood.left == 1
    assert 3630 <= trio.current_time() < 3632
