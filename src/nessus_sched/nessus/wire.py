"""Expresses a call in HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from nessus_sched import __version__
from nessus_sched.nessus.requests import Call

Transport = httpx.AsyncBaseTransport
Wrap = Callable[[Transport], Transport]


class UnsendableRequest(Exception):
    """The request cannot be expressed in HTTP."""


def request(
    base: str, call: Call, headers: Mapping[str, str], timeout: httpx.Timeout
) -> httpx.Request:
    """Raises `UnsendableRequest`."""
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
            extensions={"timeout": timeout.as_dict()},
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
