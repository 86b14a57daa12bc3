"""Posts a JSON document to a webhook."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import trio

from nessus_sched import __version__
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.nessus import tls
from nessus_sched.nessus.http import describe_error


class PostFailed(Exception):
    """The document was not accepted; `transient` if retrying makes sense. The message contains
    neither the URL, which may hold a token, nor anything that was sent."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


async def post_json(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Sends `body` by POST, with the system's CAs and no proxy, within `seconds`.

    Ignores the response's body and does not follow redirects. Raises `PostFailed` unless the
    status is a success.
    """
    failure: str | None = f"no answer within {seconds:g} s"
    status = 0
    context = tls.context_for(TlsSettings())
    with trio.move_on_after(seconds):
        async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
            try:
                status = await _status(transport, url, body, headers, seconds)
                failure = None
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                failure = describe_error(error)
    # Raised outside of the handler: an httpx exception in its context carries the request.
    if failure is not None:
        raise PostFailed(failure, transient=True)
    if not 200 <= status < 300:
        raise PostFailed(f"HTTP status {status}", transient=status in {408, 429} or status >= 500)


async def _status(
    transport: httpx.AsyncHTTPTransport,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
) -> int:
    response = await transport.handle_async_request(
        httpx.Request(
            "POST",
            url,
            content=body,
            headers={"User-Agent": f"nessus-sched/{__version__}", **headers},
            extensions={"timeout": httpx.Timeout(seconds).as_dict()},
        )
    )
    await response.aclose()
    return response.status_code
