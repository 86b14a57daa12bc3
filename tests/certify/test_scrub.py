"""What a recording keeps of odd answers, and that making it survives them."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from nessus_sched.certify import recorder as recording
from nessus_sched.certify.recorder import Recorder
from nessus_sched.certify.scrub import Scrubber


def scrubber(*private: str) -> Scrubber:
    return Scrubber(target="203.0.113.9", folder="ours", markers=(), private=private, salt="s")


class Answers(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def recorded(*pieces: bytes | Exception, private: str = "", encoding: str = "") -> Any:
    """The one exchange of a recording, of a request that was answered with that body."""

    def answer(_request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "application/json", "content-encoding": encoding}
        return httpx.Response(200, headers=headers, stream=Answers(*pieces))

    recorder = Recorder(0.0)
    transport = recorder.wrap(httpx.MockTransport(answer))
    response = await transport.handle_async_request(httpx.Request("GET", "https://192.0.2.5/scans"))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for _ in response.stream:
            pass
    except httpx.ReadError:
        pass
    finally:
        await response.stream.aclose()
    (row,) = json.loads(gzip.decompress(recorder.document(scrubber(private))))["exchanges"]
    return row


async def test_a_secret_that_is_a_number_is_removed() -> None:
    row = await recorded(b'{"count": 123456, "a": [1234567, true, null], "status": "123456"}',
                         private="123456")  # fmt: skip
    assert row["json"] == {"count": "***", "a": [1234567, True, None], "status": "***"}
    assert row["status"] == 200


@pytest.mark.parametrize("depth", [60, 400, 900, 100_000])
async def test_deep_answers_are_left_out(depth: int) -> None:
    assert (await recorded(b"[" * depth + b"]" * depth))["json"] == "text"
    scrubber().learn(b"[" * depth + b"]" * depth)


async def test_an_answer_that_breaks_off_is_marked() -> None:
    row = await recorded(b'{"scans": ', httpx.ReadError("reset"))
    assert row["error"] == "ReadError"
    assert row["damaged"] is True
    assert "json" not in row


async def test_no_more_than_the_limit_is_kept_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LARGEST", 1000)
    assert (await recorded(b"[" + b"1," * 600, b"1]"))["damaged"] is True
    bomb = gzip.compress(b"[" + b"1," * 100_000 + b"1]")
    assert len(bomb) < 1000
    assert (await recorded(bomb, encoding="gzip"))["damaged"] is True
