"""A tiny app with tools of every temper, served without the real program behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import anyio
import attrs
import trio
import trio.testing
from mcp import types
from mcp.server import Server
from mcp.shared.message import SessionMessage

from nessus_sched.api.operations import Call, Registry, ToolError, tool
from nessus_sched.core.fields import field
from nessus_sched.ipc.activity import Stalled
from nessus_sched.ipc.budget import Budget
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.definitions import PromptArgument, PromptDef, ResourceDef
from nessus_sched.mcp.server import ServerParts, build_server
from nessus_sched.mcp.transport import Limits, serve_stream


class Color(StrEnum):
    RED = "red"
    GREEN = "green"


@attrs.frozen(kw_only=True)
class EchoArgs:
    text: str = field("What to say.", max_length=1000, examples=("hello",))
    times: int = field("How often.", default=1, minimum=1, maximum=5)
    color: Color | None = field("In which color.", default=None)
    tags: tuple[str, ...] = field("Words to go with it.", default=())


@attrs.frozen(kw_only=True)
class Echo:
    text: str
    color: Color | None
    tags: tuple[str, ...]
    actor: str
    trace_id: str | None
    at: datetime


@attrs.frozen(kw_only=True)
class NoArgs:
    pass


@attrs.frozen(kw_only=True)
class Done:
    done: int


@attrs.define(kw_only=True)
class App:
    """Counts what its tools do."""

    calls: int = 0
    running: int = 0
    most: int = 0
    canceled: int = 0
    gate: trio.Event = attrs.field(factory=trio.Event)


@tool(writes=False)
async def echo(app: App, call: Call, args: EchoArgs) -> Echo:
    """Says it back."""
    app.calls += 1
    return Echo(
        text=args.text * args.times,
        color=args.color,
        tags=args.tags,
        actor=call.peer.actor,
        trace_id=call.trace_id,
        at=datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
    )


@tool(writes=True, destructive=True, idempotent=False)
async def crash(app: App, call: Call, args: NoArgs) -> Done:
    """Fails by a mistake of ours."""
    raise RuntimeError("secret detail hunter2")


@tool(writes=False)
async def refuse(app: App, call: Call, args: NoArgs) -> Done:
    """Refuses."""
    raise ToolError("no_such_task", "No task 'x'.", "Call list_tasks.")


@tool(writes=False, timeout=3600)
async def hold(app: App, call: Call, args: NoArgs) -> Done:
    """Answers when the gate opens."""
    app.running += 1
    app.most = max(app.most, app.running)
    try:
        await app.gate.wait()
    except trio.Cancelled:
        app.canceled += 1
        raise
    finally:
        app.running -= 1
    return Done(done=1)


@tool(writes=False, timeout=2)
async def slow(app: App, call: Call, args: NoArgs) -> Done:
    """Never answers in time."""
    await trio.sleep(60)
    return Done(done=1)


@tool(writes=False)
async def steps(app: App, call: Call, args: NoArgs) -> Done:
    """Reports its progress."""
    for step in range(1, 4):
        await call.progress(step, 3, f"step {step}")
        await trio.sleep(0.01)
    return Done(done=3)


@tool(writes=True)
async def drain(app: App, call: Call, args: NoArgs) -> Done:
    """An operator's action."""
    return Done(done=7)


class Notes:
    """One resource, one template."""

    definitions = (
        ResourceDef(uri="note://one", name="one", description="The one note."),
        ResourceDef(uri="note://{name}", name="note", description="A note."),
    )

    async def read(self, call: Call, uri: str) -> tuple[str, str]:
        if uri == "note://crash":
            raise RuntimeError("secret detail hunter2")
        if uri != "note://one":
            raise ToolError("no_such_note", f"No note {uri}.")
        return "text/plain", "first"


async def _hello(arguments: Any, _has_tool: Any) -> str:
    return f"Say hello to {arguments['name']}."


PROMPTS = (
    PromptDef(
        name="hello",
        description="Greets.",
        arguments=(PromptArgument(name="name", description="Whom.", required=True),),
        render=_hello,
    ),
)

TOOLS = Registry((echo, crash, refuse, hold, slow, steps))


def server_parts(app: App, **changes: Any) -> ServerParts:
    """What the tests serve."""
    made = ServerParts(
        app=app, tools=TOOLS, operators=Registry((drain,)), resources=Notes(), prompts=PROMPTS
    )
    return attrs.evolve(made, **changes)


def server_of(app: App, **changes: Any) -> Server[Any]:
    return build_server(server_parts(app, **changes), version="1.2.3", instructions="Say hello.")


@asynccontextmanager
async def client_streams(stream: trio.abc.Stream) -> AsyncIterator[Any]:
    """A transport for the SDK's client over a Trio stream."""
    to_client, at_client = anyio.create_memory_object_stream[SessionMessage | Exception](16)
    from_client, at_wire = anyio.create_memory_object_stream[SessionMessage](16)

    async def read() -> None:
        rest = b""
        async with to_client:
            async for chunk in stream:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                    await to_client.send(SessionMessage(message))

    async def write() -> None:
        async with at_wire:
            async for item in at_wire:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await stream.send_all(text.encode() + b"\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
        yield at_client, from_client
        nursery.cancel_scope.cancel()
        to_client.close()
        from_client.close()
        at_client.close()


@contextmanager
def suppress_stalls() -> Iterator[None]:
    try:
        yield
    except* Stalled:
        pass


@asynccontextmanager
async def wire(
    app: App,
    *,
    limits: Limits | None = None,
    peer: Peer | None = None,
    memory: Budget | None = None,
    **changes: Any,
) -> AsyncIterator[trio.abc.Stream]:
    """The client's end of a connection in memory to a server of `app`; it ends as if the
    server had hung up when the server cuts it off."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with suppress_stalls():
                await serve_stream(
                    server_of(app, **changes),
                    theirs,
                    peer or Peer(connection="t"),
                    limits,
                    memory=memory,
                )

        nursery.start_soon(serve)
        yield ours
        nursery.cancel_scope.cancel()
