"""Posts a JSON document to a webhook."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from nessus_sched.delivery.sinks import webhook
from nessus_sched.delivery.sinks.port import Failure, SinkFailed


class PostFailed(Exception):
    """The document was not accepted; `transient` if retrying makes sense."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


async def post_json(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Raises `PostFailed` unless the status is a success."""
    try:
        await webhook.post_json(url, body, headers=headers, wall=trio.current_time, seconds=seconds)
    except SinkFailed as error:
        raise PostFailed(str(error), transient=error.kind is Failure.TRY_AGAIN) from None
