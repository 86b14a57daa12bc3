"""The simulated Nessus as an ASGI application, for a server or an in-process client."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import trio

from nessus_sched.sim.api import respond
from nessus_sched.sim.control import PREFIX, control
from nessus_sched.sim.messages import Answer, Hang, Request, Reset, Response
from nessus_sched.sim.state import SimulatedNessus

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ABORT = "nessus_sched.abort"
"""The scope extension that lets the application break the connection."""


class ConnectionBroken(ConnectionResetError):
    """The connection was broken on purpose. An in-process client gets this error; with the
    server it becomes a TCP reset."""


def asgi_app(nessus: SimulatedNessus) -> AsgiApp:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        request = await _read(scope, receive)
        try:
            answer = _answer(nessus, request)
            if isinstance(answer, Hang):
                await _hang(answer, receive)
            await _deliver(answer, send)
        except ConnectionBroken:
            abort = (scope.get("extensions") or {}).get(ABORT)
            if abort is None:
                raise
            abort()

    return app


def _answer(nessus: SimulatedNessus, request: Request) -> Answer:
    if nessus.now() < nessus.refusing_until:
        return Reset()  # the server closes its listeners; this is for in-process clients
    if nessus.options.control and request.path.startswith(PREFIX):
        return control(nessus, request)
    if nessus.recording is not None:
        return nessus.recording.answer(request, nessus.now())
    return respond(nessus, request)


async def _read(scope: MutableMapping[str, Any], receive: Receive) -> Request:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    client = scope.get("client") or ("127.0.0.1", 0)
    query = scope.get("query_string", b"").decode("latin-1")
    return Request.build(
        scope["method"],
        f"{scope['path'].replace('?', '%3F')}?{query}",
        headers=[
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ],
        body=bytes(body),
        client=str(client[0]),
    )


async def _hang(answer: Hang, receive: Receive) -> None:
    """Waits until the time is over or the client disconnects."""
    with trio.move_on_after(math.inf if answer.seconds is None else answer.seconds):
        while (await receive())["type"] != "http.disconnect":
            pass


async def _deliver(answer: Answer, send: Send) -> None:
    if not isinstance(answer, Response):
        raise ConnectionBroken
    await trio.sleep(answer.delay)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.all_headers()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await _send_body(answer, send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_body(answer: Response, send: Send) -> None:
    left = answer.cut_after
    for chunk in answer.chunks():
        await trio.sleep(answer.pace)
        if left is not None and len(chunk) >= left:
            if left:
                await send({"type": "http.response.body", "body": chunk[:left], "more_body": True})
            raise ConnectionBroken
        if left is not None:
            left -= len(chunk)
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if left is not None:
        raise ConnectionBroken
