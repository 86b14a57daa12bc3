"""Expresses a call in HTTP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from nessus_sched import __version__
from nessus_sched.nessus.requests import Call

Transport = httpx.AsyncBaseTransport
Wrap = Callable[[Transport], Transport]
Ready = Callable[[], Awaitable[None]]
"""Returns when a request may be sent."""


class UnsendableRequest(Exception):
    """The request cannot be expressed in HTTP."""


async def at_once() -> None:
    """Nothing has to be waited for."""


def request(
    base: str,
    call: Call,
    headers: Mapping[str, str],
    timeout: httpx.Timeout,
    *,
    before_sending: Ready = at_once,
) -> httpx.Request:
    """`before_sending` is awaited on the connection, before the first byte of the request; only the
    real network does so. Raises `UnsendableRequest`."""

    async def trace(event: str, _details: object) -> None:
        if event.endswith(".send_request_headers.started"):
            await before_sending()

    try:
        return httpx.Request(
            call.method,
            httpx.URL(base.rstrip("/") + call.path, params=dict(call.query) or None),
            headers={
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"nessus-sched/{__version__}",
                **({} if call.body is None else {"Content-Type": "application/json"}),
                **headers,
            },
            extensions={"timeout": timeout.as_dict(), "trace": trace},
            **_content(call),
        )
    except (httpx.InvalidURL, ValueError, RecursionError):
        problem = "it is not valid in HTTP"
    raise UnsendableRequest(problem)


def _content(call: Call) -> dict[str, Any]:
    if call.body is not None:
        # ASCII, so that encoding cannot fail for any text.
        return {"content": json.dumps(dict(call.body), allow_nan=False).encode()}
    if call.upload is not None:
        # Sent in this order: no_enc, then Filedata.
        return {
            "files": [
                ("no_enc", (None, b"0")),
                (
                    "Filedata",
                    (call.upload.suggested_name, call.upload.content, "application/octet-stream"),
                ),
            ]
        }
    return {}
