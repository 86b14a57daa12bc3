"""Odd, broken and huge answers: a value within bounds or an error of that scanner."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.scanner import (
    ApiRefused,
    ExportNotAllowed,
    LicenseExpired,
    OutcomeUnknown,
    Refused,
    ScannerError,
    TransientError,
)
from nessus_sched.nessus import json_fields
from nessus_sched.nessus.requests import MAX_ANSWER, MAX_INLINE
from nessus_sched.net.receiving import PIECES_PER_SECOND, retry_after
from support.raw_wire import plain_answer, raw_transport
from support.scripted_nessus import (
    FOLDERS,
    MARKER,
    UUID,
    Raw,
    ScriptedNessus,
    created,
    inline,
    order,
    row,
    scanner,
)

LISTING = json.dumps({"folders": FOLDERS, "scans": [row(7, status="running", uuid=UUID)]}).encode()


def answering(status: int, *headers: tuple[str, str]) -> httpx.AsyncBaseTransport:
    """Every request is answered so, through the real HTTP client."""
    return raw_transport(lambda method, path: plain_answer(LISTING, status, *headers))


@pytest.mark.parametrize(
    "location",
    [
        "mailto:x@example.com",
        "javascript:alert(1)",
        "https://xn--/",
        "/" + "y" * 65_536,
        "https://elsewhere.example.com/scans",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirect_is_refused_wherever_it_points(status: int, location: str) -> None:
    client = scanner(answering(status, ("Location", location)))
    with pytest.raises(Refused, match="redirected"):
        await client.list_scans()


async def test_cookies_are_not_kept() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(headers={"Set-Cookie": "a=" + "b" * 4000}, pieces=[LISTING]))
    client = scanner(nessus)
    for _ in range(3):
        await client.list_scans()
    assert not any("Cookie" in request.headers for request in nessus.requests)


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_compressed_answer_is_read(
    encoding: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    sent = compress(LISTING)
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(headers={"Content-Encoding": encoding}, pieces=pieces))
    [found] = await scanner(nessus).list_scans()
    assert found.uuid == UUID


@pytest.mark.parametrize("cut", [1, 9, 20])
async def test_a_compressed_answer_that_is_cut(cut: int) -> None:
    nessus = ScriptedNessus()
    body = gzip.compress(LISTING)[:-cut]
    nessus.on("GET /scans", Raw(headers={"Content-Encoding": "gzip"}, pieces=[body]))
    with pytest.raises(TransientError, match="truncated"):
        await scanner(nessus).list_scans()


@pytest.mark.slow
async def test_a_compressed_bomb_is_cut_off(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    bomb = gzip.compress(b" " * (MAX_ANSWER + 2**20), 9)
    nessus.on("GET /scans", Raw(headers={"Content-Encoding": "gzip"}, pieces=[bomb]))
    with pytest.raises(TransientError, match="larger than"):
        await scanner(nessus).list_scans()


@pytest.mark.parametrize("happens", ["cut", "stalls", "damaged", "unknown encoding"])
async def test_a_refusal_counts_whatever_becomes_of_its_body(
    happens: str, autojump_clock: trio.abc.Clock
) -> None:
    ends: dict[str, dict[str, Any]] = {
        "cut": {"then": httpx.RemoteProtocolError("peer closed connection")},
        "stalls": {"pause": 1000.0},
        "damaged": {"headers": {"Content-Encoding": "gzip"}},
        "unknown encoding": {"headers": {"Content-Encoding": "zstd"}},
    }
    nessus = ScriptedNessus()
    nessus.on("POST /scans", Raw(status=412, pieces=[b'{"error": "API is n'], **ends[happens]))
    with pytest.raises(ApiRefused):
        await scanner(nessus).create_scan(order())


async def test_a_long_error_is_not_read_to_its_end() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(status=500, pieces=[b"x" * 2**20] * 100))
    with pytest.raises(TransientError, match="500"):
        await scanner(nessus).list_scans()


async def test_only_long_answers_are_parsed_in_a_thread() -> None:
    threads = 0

    async def in_thread(work: Callable[[], Any], /) -> Any:
        nonlocal threads
        threads += 1
        return await inline(work)

    nessus = ScriptedNessus()
    client = scanner(nessus, run_sync=in_thread)
    await client.list_scans()
    assert threads == 0
    nessus.scans(*(row(number) for number in range(1, 3000)))
    assert len(await client.list_scans()) == 2999
    assert threads == 1


async def test_more_values_than_any_scanner_has() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (200, '{"scans": [' + "[]," * json_fields.MAX_VALUES + "0]}"))
    with pytest.raises(TransientError, match="more than"):
        await scanner(nessus).list_scans()


async def test_a_short_answer_may_not_be_long() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", (200, " " * (MAX_INLINE + 1)))
    with pytest.raises(OutcomeUnknown, match="larger"):
        await scanner(nessus).create_scan(order())


@pytest.mark.slow
async def test_tiny_pieces_are_read_slowly(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    spaces = [b" "] * 10_000
    nessus.on("GET /scans", Raw(pieces=[*spaces, LISTING]))
    began = trio.current_time()
    assert len(await scanner(nessus).list_scans()) == 1
    took = trio.current_time() - began
    assert took == pytest.approx(len(spaces) / PIECES_PER_SECOND, rel=0.1)


@pytest.mark.slow
async def test_tiny_pieces_without_end_meet_the_timeout(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(pieces=[b" "] * 200_000))
    began = trio.current_time()
    with pytest.raises(TransientError, match="30 s"):
        await scanner(nessus, timeout=30.0).list_scans()
    assert trio.current_time() - began == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        ("register", LicenseExpired, "not registered"),
        ("feed-expired", LicenseExpired, "feed-expired"),
        ("eval-expired", LicenseExpired, "eval-expired"),
    ],
)
async def test_what_only_a_license_puts_right(
    word: str, kind: type[ScannerError], said: str
) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/status", (503, {"status": word}))
    with pytest.raises(kind, match=said):
        await scanner(nessus).info()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("loading", "is loading its plugins"),
        ("locked", "locked"),
        ("corrupt-db", "corrupt-db"),
        ("download-failed", "download-failed"),
        ("levitating", "is not ready: levitating"),
        ({"a": []}, "is not ready"),
    ],
)
async def test_the_scanners_word_for_its_state_is_kept(word: object, said: str) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/status", {"status": word, "progress": "40"})
    info = await scanner(nessus).info()
    assert not info.ready
    assert said in info.not_ready
    assert info.loading_percent == 40


TRIAL = {"error": "Export is not allowed in trial mode. Please purchase a license."}


async def test_an_export_that_the_trial_refuses(tmp_path: Path) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/export", (403, TRIAL))
    with pytest.raises(ExportNotAllowed, match="trial mode"):
        await scanner(nessus).export(7, None, tmp_path / "report")


@pytest.mark.parametrize("words", [TRIAL, {"error": "disk full"}, {}])
async def test_an_error_for_a_report(
    tmp_path: Path, words: dict[str, str], autojump_clock: trio.abc.Clock
) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/export", {"file": 2})
    nessus.on("GET /scans/7/export/2/status", {"status": "ready"})
    nessus.on("GET /scans/7/export/2/download", words)
    with pytest.raises(ScannerError) as caught:
        await scanner(nessus).export(7, None, tmp_path / "report")
    assert isinstance(caught.value, ExportNotAllowed) == (words is TRIAL)
    assert words.get("error", "without a reason")[:30] in str(caught.value)


BAD_NAMES: tuple[Any, ...] = (
    *("x" * 70_000, "\ud800", "", "..", "a/../b", "a?b", "a b", "é"),
    *(None, [], {}, 1e400, -5, True),
)


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:20])
async def test_names_that_no_request_can_hold(name: Any, tmp_path: Path) -> None:
    client = scanner(nessus := ScriptedNessus())
    nessus.on("POST /scans/7/export", {"file": name})
    with pytest.raises(TransientError, match="no file id"):
        await client.export(7, None, tmp_path / "report")
    nessus.on("POST /scans/7/launch", {"scan_uuid": name})
    with pytest.raises(OutcomeUnknown, match="no uuid"):
        await client.launch(7, (MARKER,))
    nessus.on("POST /scans", created(7))
    nessus.on("GET /editor/scan/templates", {"templates": [{"name": "basic", "uuid": name}]})
    with pytest.raises(ScannerError, match="no usable template"):
        await client.create_scan(order())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["--5", "-", "٣", "²", "9" * 5000]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.slow
@given(JSON)
def test_a_value_is_in_bounds_or_missing(value: Any) -> None:
    for number, most in (
        (json_fields.as_int(value), json_fields.MAX_INT),
        (json_fields.as_id(value), json_fields.MAX_INT),
        (json_fields.as_time(value), json_fields.MAX_TIME),
    ):
        assert number is None or 0 <= number <= most
    name = json_fields.as_token(value)
    assert name is None or (name.isascii() and "/" not in name and name.strip("."))
    file = json_fields.as_file_name(value)
    assert file is None or len(file.encode()) <= 4 * 255
    assert len(json_fields.as_text(value)) <= json_fields.LONGEST_TEXT


@pytest.mark.slow
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_body_is_an_object_or_unreadable(body: bytes) -> None:
    with suppress(json_fields.BadDocument):
        assert isinstance(json_fields.parse(body), dict)


@pytest.mark.slow
@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [A-Z+]\w*"))
def test_retry_after_is_seconds_or_nothing(value: str) -> None:
    found = retry_after(value, 1_750_000_000.0)
    assert found is None or 0 <= found <= 3600


async def test_a_request_that_cannot_be_expressed_is_refused_at_once() -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus, url="https://192.0.2.1:8834/" + "x" * 70_000)
    with pytest.raises(Refused, match="cannot be expressed"):
        await client.list_scans()
    assert not nessus.requests
