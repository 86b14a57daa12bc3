"""A scanner that answers by script and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import httpx
import pytest
import trio

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    TlsSettings,
    UiSession,
)
from nessus_sched.core.credentials import Credential
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.nessus import NessusScanner, RequestRecord

NOW = 1_750_000_000.0
MARKER = "[ns:task.1]"
UUID = "12345678-aaaa-bbbb-cccc-ddddddddddddeeeeeeeeeeeeeeee"
CANARIES = ("canary-access-key", "canary-secret-key", "canary-password", "canary-session-token")
KEYS = ApiKeys(access_key=Secret(CANARIES[0]), secret_key=Secret(CANARIES[1]))
USER = UiSession(username="scheduler", password=Secret(CANARIES[2]))
FOLDERS = [{"id": 2, "name": "Trash", "type": "trash"}, {"id": 3, "name": "ours", "type": "custom"}]
TEMPLATE_NAMES = ("basic", "advanced", "discovery", "compliance", "custom")


@attrs.frozen(kw_only=True)
class Raw:
    """A body in pieces, `pause` seconds before each, and `then` an error at its end."""

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pieces: Sequence[bytes] = ()
    pause: float = 0.0
    then: Exception | None = None


Reply: TypeAlias = (
    Mapping[str, Any] | tuple[int, Any] | Raw | Exception | Callable[[httpx.Request], Any]
)


class ScriptedNessus(httpx.AsyncBaseTransport):
    """`on("GET /scans", first, second)`: the replies in turn, the last one for ever. A dict
    is JSON with 200, a pair status and JSON or text, an exception is raised."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._replies: dict[str, list[Reply]] = {}
        self.on("GET /server/status", {"code": 200, "progress": None, "status": "ready"})
        self.on("GET /server/properties", {"nessus_type": "Nessus Manager"})
        self.on("GET /settings/advanced", {"preferences": []})
        self.on("GET /folders", {"folders": FOLDERS})
        self.on("GET /editor/scan/templates", {"templates": templates()})
        for name in TEMPLATE_NAMES:
            self.on(f"GET /editor/scan/templates/uuid-{name}", editor_answer(name))
        self.on("POST /session", {"token": CANARIES[3]})
        self.on("DELETE /session", (200, ""))
        self.scans(row(7))

    def on(self, what: str, *replies: Reply) -> None:
        self._replies[what] = list(replies)

    def scans(self, *rows: Mapping[str, Any]) -> None:
        self.on("GET /scans", {"folders": FOLDERS, "scans": list(rows) or None, "timestamp": 1})

    def asked(self, what: str) -> list[httpx.Request]:
        return [request for request in self.requests if _name(request) == what]

    def sent(self, what: str) -> Any:
        """The JSON body of the latest such request."""
        return json.loads(self.asked(what)[-1].content)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        replies = self._replies.get(_name(request))
        if not replies:
            return _response((404, {"error": "The requested file was not found"}))
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply) and not isinstance(reply, Exception):
            reply = reply(request)
        if isinstance(reply, Exception):
            raise reply
        return _response(reply)


def templates() -> list[dict[str, Any]]:
    return [
        {"name": name, "title": name.title(), "uuid": f"uuid-{name}", "license_fulfilled": 1}
        for name in TEMPLATE_NAMES
    ]


def editor_answer(name: str, **other: Any) -> dict[str, Any]:
    """What the editor says of a template, in brief."""
    modes = {
        "id": "discovery_mode",
        "type": "ui_radio",
        "default": "Host enumeration",
        "options": [
            {"name": each}
            for each in (
                "Host enumeration",
                "OS Identification",
                "Port scan (common ports)",
                "Port scan (all ports)",
                "Custom",
            )
        ],
    }
    inputs = [
        {"type": "checkbox", "id": "ping_the_remote_host", "default": "yes"},
        {"type": "medium-entry", "id": "portscan_range", "default": "default"},
        {"type": "checkbox", "id": "syn_scanner", "default": "yes"},
    ]
    discovery = {"inputs": inputs, "modes": modes if name == "discovery" else None}
    types = ["SSH", "Windows", *(["SNMPv3"] if name == "advanced" else [])]
    host = {"name": "Host", "types": [{"name": each, "inputs": None} for each in types]}
    return {
        "name": name,
        "settings": {
            "basic": {"inputs": [{"type": "entry", "id": "name"}]},
            "discovery": discovery,
        },
        "credentials": {"data": [] if name == "discovery" else [host]},
        **other,
    }


def row(scan_id: int, **other: Any) -> dict[str, Any]:
    """A row of the scan list, ours unless told otherwise."""
    return {
        "id": scan_id,
        "name": f"nightly {MARKER}",
        "folder_id": 3,
        "status": "empty",
        "uuid": None,
        **other,
    }


def settings(**changes: Any) -> ScannerSettings:
    plain: dict[str, Any] = {
        "id": "lab",
        "url": "https://192.0.2.1:8834",
        "auth": KEYS,
        "tls": TlsSettings(),
        "folder": "ours",
        "timeout": 30.0,
    }
    return ScannerSettings(**{**plain, **changes})


def scanner(
    transport: httpx.AsyncBaseTransport,
    *,
    on_request: Callable[[RequestRecord], None] | None = None,
    run_sync: RunSync | None = None,
    **changes: Any,
) -> NessusScanner:
    return NessusScanner(
        settings(**changes),
        now=lambda: NOW,
        transport=transport,
        on_request=on_request,
        run_sync=run_sync or inline,
        export_limit=lambda: 2**20,
    )


async def inline(work: Callable[[], Any], /) -> Any:
    """In a thread, work would take virtual time, and how much would depend on the machine."""
    return work()


def order(kind: ScanKind = ScanKind.BASIC, **changes: Any) -> ScanOrder:
    """An order for two targets; `credential` and `audit_file` are the order's own, other
    keywords the request's."""
    credential, audit_file = changes.pop("credential", None), changes.pop("audit_file", None)
    targets = changes.pop("targets", ("192.0.2.7", "192.0.2.16/28"))
    return ScanOrder(
        name=f"nightly {MARKER}",
        marker=MARKER,
        targets=targets,
        request=ScanRequest(kind=kind, targets=targets, **changes),
        credentials=several(credential),
        audit=audit_file,
    )


def several(credential: Credential | tuple[Credential, ...] | None) -> tuple[Credential, ...]:
    if credential is None:
        return ()
    return credential if isinstance(credential, tuple) else (credential,)


def created(scan_id: int = 7, targets: str | None = "192.0.2.7,192.0.2.16/28") -> dict[str, Any]:
    return {"scan": {"id": scan_id, "uuid": "template-x", "custom_targets": targets}}


def find_recordings() -> Path:
    """Where the recorded answers of real scanners are; a folder that does not exist where
    they are not next to the checkout."""
    places = [
        folder / "shared" / "data" / "nessus_json" for folder in Path(__file__).resolve().parents
    ]
    return next((place for place in places if place.exists()), places[-1])


def recorded(name: str) -> Any:
    """A recorded answer of a real scanner; skips the test where the recordings are not."""
    found = find_recordings() / name
    if not found.exists():
        pytest.skip("the recorded answers are not next to the checkout")
    return json.loads(found.read_bytes())


def no_secrets(error: BaseException) -> None:
    """Fails if the error, or anything in its context, shows a canary."""
    seen: BaseException | None = error
    while seen is not None:
        shown = f"{seen!s} {seen!r} {seen.args!r} {getattr(seen, 'request', '')!r}"
        request = getattr(seen, "_request", None)
        assert request is None, "an HTTP request, and its keys, hang on the error"
        for canary in CANARIES:
            assert canary not in shown
        seen = seen.__cause__ or seen.__context__


def _name(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path}"


def _response(reply: Any) -> httpx.Response:
    if isinstance(reply, Raw):
        return httpx.Response(reply.status, headers=reply.headers, stream=_Pieces(reply))
    status, body = reply if isinstance(reply, tuple) else (200, reply)
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return httpx.Response(status, stream=_Pieces(Raw(pieces=(content,))))


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._raw.pieces:
            await trio.sleep(self._raw.pause)
            yield piece
        if self._raw.then is not None:
            raise self._raw.then
