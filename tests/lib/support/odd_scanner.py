"""A simulated Nessus whose answers are spoiled on their way, below the real HTTP client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import attrs
import httpx

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
)
from nessus_sched.core.secret import Secret
from nessus_sched.nessus import NessusScanner
from nessus_sched.sim import SimOptions, SimulatedNessus
from support.odd_answers import dump
from support.raw_wire import Pieces, plain_answer, raw_transport
from support.scripted_nessus import inline
from support.sim import SimTransport
from support.world import scanner_settings, virtual_now

Spoil = Callable[[str, bytes], Pieces | None]
"""From the request, such as `GET /scans/N`, and the body of the good answer to the bytes that
arrive instead; None leaves the answer as it is."""


@attrs.define
class OddScanner(httpx.AsyncBaseTransport):
    """Every request takes effect on the simulator; `spoil` may replace the answer."""

    nessus: SimulatedNessus
    spoil: Spoil | None = None
    spoiled: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await SimTransport(self.nessus).handle_async_request(request)
        if self.spoil is None:
            return response
        asked = f"{request.method} {re.sub(r'/[0-9]+(?=/|$)', '/N', request.url.path)}"
        body = await response.aread()
        pieces = self.spoil(asked, body)
        if pieces is None:
            return httpx.Response(
                response.status_code, headers=response.headers, stream=httpx.ByteStream(body)
            )
        self.spoiled += 1
        found = pieces
        return await raw_transport(lambda method, path: found).handle_async_request(request)


def odd_scanner() -> OddScanner:
    return OddScanner(SimulatedNessus(SimOptions(scans_take=600.0), now=virtual_now()))


def connected(odd: OddScanner, name: str) -> tuple[ScannerSettings, NessusScanner]:
    """The settings of a scanner with the simulator's keys, and the real client for it."""
    accounts = odd.nessus.accounts
    keys = ApiKeys(access_key=Secret(accounts.access_key), secret_key=Secret(accounts.secret_key))
    settings = attrs.evolve(scanner_settings(name, 2), auth=keys)
    return settings, NessusScanner(settings, now=virtual_now(), transport=odd, run_sync=inline)


def spoiled_field(asked: str, field: str, value: Any) -> Spoil:
    """Puts `value` at a path such as `scans.*.id` in every answer to that request."""

    def spoil(request: str, body: bytes) -> Pieces | None:
        if request != asked:
            return None
        document = json.loads(body)
        _put(document, field.split("."), value)
        return plain_answer(dump(document))

    return spoil


def spoiled_status(asked: str, status: int, header: str, value: str) -> Spoil:
    """Answers that request with a status and one header, and no more."""
    answer = plain_answer(b"", status, (header, value))
    return lambda request, _body: answer if request == asked else None


def _put(document: Any, path: list[str], value: Any) -> None:
    first, *rest = path
    if first == "*":
        for number in range(len(document or ())):
            _put(document, [str(number), *rest], value)
        return
    key: Any = int(first) if isinstance(document, list) else first
    if rest:
        _put(document[key], rest, value)
    else:
        document[key] = value
