"""The monitoring pages: a read-only ASGI application."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from nessus_sched.core.masking import Masker
from nessus_sched.http.status_page import POLICY
from nessus_sched.telemetry.health import Health, Status

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"(?!:)')
"""A string in JSON, or the value of a label in metrics."""
_HTML_TEXT: Final = re.compile(r'>[^<]+|"[^"]*"')
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@attrs.frozen(kw_only=True)
class Page:
    """A response: status, body and content type; `policy` is its Content-Security-Policy."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    allow: str | None = None
    policy: str = NOTHING
    close: bool = False


NO_WEBSOCKET: Final = Page(status=403, body=b"There are no websockets here.\n", close=True)
AMBIGUOUS: Final = Page(
    status=400, body=b"Content-Length and Transfer-Encoding contradict each other.\n", close=True
)
"""A proxy in front may see the end of such a request elsewhere (RFC 9112, 6.1)."""


@attrs.frozen(kw_only=True)
class PageSources:
    """The sources of the pages. `health` and `ready` must answer at once, from snapshots.

    `refresh` runs on Trio's loop before every scrape and updates the registry's gauges.
    `status_page` renders the HTML of `/`, None for no such page. `hosts` are the host names
    accepted besides addresses and localhost. `mask` removes secrets from every page.
    """

    health: Callable[[], Health]
    ready: Callable[[], bool]
    registry: CollectorRegistry
    refresh: Callable[[], Awaitable[None]]
    status_page: Callable[[], Awaitable[str]] | None = None
    hosts: frozenset[str] = frozenset()
    mask: Masker = attrs.field(factory=Masker)


class App:
    """The ASGI application over `sources`."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._scraping = trio.Lock()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            page = self._without_secrets(await self._page(scope))
            await _answer(page, send, head=scope["method"] == "HEAD")
        elif scope["type"] == "websocket":
            await receive()  # the connect event
            await _answer(NO_WEBSOCKET, send, head=False, kind="websocket.http.response")

    async def _page(self, scope: Mapping[str, Any]) -> Page:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not host_allowed(headers.get(b"host", ""), self._sources.hosts):
            return Page(status=421, body=b"This host name is not served here; see http.hosts.\n")
        if b"content-length" in headers and b"transfer-encoding" in headers:
            return AMBIGUOUS
        if scope["method"] not in ("GET", "HEAD"):
            return Page(status=405, body=b"Only GET and HEAD.\n", allow="GET, HEAD")
        match scope["path"]:
            case "/health":
                return _health_page(self._sources.health())
            case "/ready":
                ready = self._sources.ready()
                return _json_page(200 if ready else 503, {"ready": ready})
            case "/live":
                return _json_page(200, {"live": True})
            case "/metrics":
                return await self._metrics(headers.get(b"accept", ""))
            case "/" if self._sources.status_page is not None:
                html = await self._sources.status_page()
                kind = "text/html; charset=utf-8"
                return Page(status=200, body=html.encode(), content_type=kind, policy=POLICY)
            case _:
                return Page(status=404, body=b"Not found.\n")

    def _without_secrets(self, page: Page) -> Page:
        text = page.body.decode("utf-8", "replace")
        if not self._sources.mask.finds(text):
            return page
        # Only in texts and values: tags and names are the program's own.
        kind = _HTML_TEXT if page.content_type.startswith("text/html") else _QUOTED
        masked = kind.sub(lambda found: self._sources.mask(found[0]), text)
        return attrs.evolve(page, body=masked.encode())

    async def _metrics(self, accept: str) -> Page:
        encoder, content_type = choose_encoder(accept)
        async with self._scraping:
            await self._sources.refresh()
            # Encoding thousands of series takes a while.
            body = await trio.to_thread.run_sync(encoder, self._sources.registry)
        return Page(status=200, body=body, content_type=content_type)


def _health_page(health: Health) -> Page:
    document = {
        "status": health.status,
        "components": {
            name: {
                "status": component.status,
                "reason": component.reason,
                "since": datetime.fromtimestamp(component.since, UTC).isoformat("T", "seconds"),
            }
            for name, component in health.components.items()
        },
    }
    return _json_page(503 if health.status is Status.FAILED else 200, document)


def _json_page(status: int, document: Mapping[str, Any]) -> Page:
    body = json.dumps(document).encode() + b"\n"
    return Page(status=status, body=body, content_type="application/json")


async def _answer(page: Page, send: Send, *, head: bool, kind: str = "http.response") -> None:
    headers = [
        *_HEADERS,
        (b"content-security-policy", page.policy.encode()),
        (b"content-type", page.content_type.encode()),
        (b"content-length", str(len(page.body)).encode()),
    ]
    if page.allow is not None:
        headers.append((b"allow", page.allow.encode()))
    if page.close:
        headers.append((b"connection", b"close"))
    await send({"type": f"{kind}.start", "status": page.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"" if head else page.body})


_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@/]+)(?::[0-9]{1,5})?")


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header is accepted, as a defense against DNS rebinding; `names` are in
    lower case.

    A web page that makes its own name point to this address sends that name. An address as
    the host is harmless, and so are names that only the operator can set.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().rstrip(".")
    return name == "localhost" or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
