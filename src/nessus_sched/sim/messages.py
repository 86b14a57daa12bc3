"""HTTP requests and responses as values, without a socket, so that tests can use virtual time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

STANDARD_HEADERS = (
    ("server", "NessusWWW"),
    ("cache-control", "no-cache, no-store, must-revalidate"),
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "1; mode=block"),
    ("strict-transport-security", "max-age=31536000"),
    ("expect-ct", "max-age=0"),
)
"""Headers that a recorded Nessus 8 sent with every response."""


@attrs.frozen(kw_only=True)
class Request:
    """Header names are lower case. `client` is the peer's address."""

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    client: str = "127.0.0.1"

    @classmethod
    def build(
        cls,
        method: str,
        target: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        client: str = "127.0.0.1",
    ) -> Request:
        """Builds a request from a target such as `/scans?folder_id=3`."""
        path, _, query = target.partition("?")
        return cls(
            method=method.upper(),
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers},
            body=body,
            client=client,
        )


@attrs.frozen(kw_only=True)
class Response:
    """A response and how it is delivered.

    `body` may be an iterable of chunks; `length` is then the content length, if known. It is
    sent after `delay` seconds, with `pace` seconds before each chunk.
    After `cut_after` bytes of the body the connection breaks.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = attrs.field(default=b"", repr=False)
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    delay: float = 0.0
    pace: float = 0.0
    cut_after: int | None = None

    def chunks(self) -> Iterable[bytes]:
        return (self.body,) if isinstance(self.body, bytes) else self.body

    def all_headers(self) -> list[tuple[str, str]]:
        length = len(self.body) if isinstance(self.body, bytes) else self.length
        named = {name for name, _ in self.headers}
        headers = [header for header in STANDARD_HEADERS if header[0] not in named]
        headers.append(("content-type", self.content_type))
        if length is not None:
            headers.append(("content-length", str(length)))
        return [*headers, *self.headers]


@attrs.frozen(kw_only=True)
class Reset:
    """The connection breaks without a response."""


@attrs.frozen(kw_only=True)
class Hang:
    """No response for `seconds`, or until the client gives up; then the connection breaks."""

    seconds: float | None = None


Answer = Response | Reset | Hang


class ApiError(Exception):
    """A response of the form `{"error": "..."}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NotFound(ApiError):
    """404 with the text that Nessus uses almost everywhere."""

    def __init__(self, message: str = "The requested file was not found") -> None:
        super().__init__(404, message)


def reply(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(status=status, body=json.dumps(value).encode())


def refusal(status: int, message: str, **delivery: Any) -> Response:
    body = json.dumps({"error": message}, separators=(",", ":")).encode()
    return attrs.evolve(Response(status=status, body=body), **delivery)


def without_body(answer: Response) -> Response:
    """The response to HEAD."""
    length = len(answer.body) if isinstance(answer.body, bytes) else answer.length
    return attrs.evolve(answer, body=(), length=length)


EMPTY = Response(content_type="text/html; charset=utf-8")
"""The empty 200 that Nessus returns for most actions."""


def read_json(request: Request) -> dict[str, Any]:
    """The body as an object, from JSON or a form; an empty one is `{}`."""
    if not request.body.strip():
        return {}
    if request.headers.get("content-type", "").startswith(FORM):
        return dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
    try:
        value = json.loads(request.body)
    except ValueError:
        raise ApiError(400, "Invalid JSON in the request body") from None
    if not isinstance(value, dict):
        raise ApiError(400, "Invalid JSON in the request body")
    return value
