"""Webhooks: a message as a JSON document, by POST, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from nessus_sched import __version__
from nessus_sched.config.delivery import WebhookSink
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.message import Message
from nessus_sched.core.secret import Secret
from nessus_sched.delivery.requests import connected, failure_of

SECONDS: Final = 10.0
"""Timeout of one attempt."""
SIGNATURE: Final = "X-Nessus-Sched-Signature"
"""`sha256=` and the HMAC-SHA-256 of the body, in hex, with the webhook's secret as key."""


@attrs.frozen(kw_only=True)
class Webhook:
    """`document_only`: the body is the document of a message, without what `body_of` adds."""

    settings: WebhookSink
    wall: Now
    document_only: bool = False

    async def deliver(self, message: Message) -> None:
        body = dict(message.document) if self.document_only else body_of(message)
        await post_json(
            self.settings.url,
            json.dumps(body).encode(),
            self.settings.secret,
            tls=self.settings.tls,
            wall=self.wall,
        )


async def post_json(
    url: str,
    body: bytes,
    secret: Secret | None = None,
    *,
    wall: Now,
    tls: TlsSettings | None = None,
    seconds: float = SECONDS,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sends `body` by POST and ignores the body of the answer. Raises `SinkFailed` unless the
    status is a success."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    if secret is not None:
        sent[SIGNATURE] = signature(secret.reveal(), body)
    async with connected(tls or TlsSettings(), wall) as client:
        reply = await client.send("POST", url, headers=sent, body=body, seconds=seconds)
    if not reply.success:
        raise failure_of(reply)


def signature(secret: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def body_of(message: Message) -> dict[str, Any]:
    """What a webhook receives. `id` is the same at every attempt."""
    return {
        "id": message.message_id,
        "route": message.route,
        "kind": message.kind,
        "at": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="seconds"),
        "title": message.title,
        "program": f"nessus-sched/{__version__}",
        **message.document,
        **({"report": message.attachment} if message.attachment else {}),
    }
