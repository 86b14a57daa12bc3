"""What each way of failing is called, and that nothing secret is in it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.scanner import (
    ApiRefused,
    DiskFull,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NoPlugins,
    NotFound,
    NotReady,
    OutcomeUnknown,
    PermissionDenied,
    Refused,
    ScannerError,
    TransientError,
    Unreachable,
)
from nessus_sched.nessus import RequestRecord
from nessus_sched.nessus.requests import MAX_ANSWER
from nessus_sched.net.failures import LONGEST, clean
from nessus_sched.net.receiving import retry_after
from support.scripted_nessus import (
    CANARIES,
    MARKER,
    NOW,
    USER,
    Raw,
    ScriptedNessus,
    no_secrets,
    order,
    scanner,
)

NEVER_SENT = [
    httpx.ConnectError("", request=httpx.Request("GET", "https://192.0.2.1")),
    httpx.ConnectTimeout(""),
    httpx.PoolTimeout(""),
    httpx.LocalProtocolError(f"Illegal header value b'{CANARIES[0]}'"),
]
MAYBE_SENT = [
    httpx.ReadError(""),
    httpx.WriteError(""),
    httpx.ReadTimeout(""),
    httpx.WriteTimeout(""),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
]


async def failure(act: Callable[[], Coroutine[Any, Any, Any]]) -> ScannerError:
    with pytest.raises(ScannerError) as caught:
        await act()
    no_secrets(caught.value)
    return caught.value


def named(error: Exception) -> str:
    return type(error).__name__


@pytest.mark.parametrize("broken", NEVER_SENT + MAYBE_SENT, ids=named)
async def test_a_read_without_an_answer_changed_nothing(broken: Exception) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", broken)
    error = await failure(scanner(nessus).list_scans)
    assert type(error) is Unreachable


@pytest.mark.parametrize("broken", NEVER_SENT, ids=named)
async def test_a_change_that_was_never_sent_changed_nothing(broken: Exception) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", broken)
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert type(error) is Unreachable


@pytest.mark.parametrize("broken", MAYBE_SENT, ids=named)
@pytest.mark.parametrize("auth", ["keys", "session"])
async def test_a_change_whose_answer_was_lost_is_never_sent_again(
    broken: Exception, auth: str
) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", broken)
    nessus.on("GET /nessus6.js", ui_bundle())
    client = scanner(nessus, auth=USER) if auth == "session" else scanner(nessus)
    error = await failure(lambda: client.create_scan(order()))
    assert type(error) is OutcomeUnknown
    assert len(nessus.asked("POST /scans")) == 1


def ui_bundle() -> Raw:
    return Raw(
        pieces=[
            b'{key:"getApiToken",value:function(){return"778F4A9C-D797-4817-B110-EC427B724486"}}'
        ]
    )


async def test_all_other_changes_are_unknown_as_well_when_the_answer_is_lost() -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus)
    for act in (client.launch, client.pause, client.resume, client.stop):
        nessus.on(f"POST /scans/7/{act.__name__}", httpx.ReadError(""))
        assert type(await failure(partial(act, 7, (MARKER,)))) is OutcomeUnknown
    nessus.on("DELETE /scans/7", httpx.ReadError(""))
    assert type(await failure(lambda: client.delete(7, (MARKER,)))) is OutcomeUnknown


async def test_preparing_a_scan_may_be_lost_without_harm() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /folders", {"folders": None})
    nessus.on("POST /folders", httpx.ReadError(""))
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert type(error) is Unreachable


async def test_a_read_on_a_stale_connection_is_repeated_once() -> None:
    nessus = ScriptedNessus()
    stale = httpx.RemoteProtocolError("Server disconnected")
    nessus.on("GET /scans", stale, {"folders": [], "scans": None})
    assert await scanner(nessus).list_scans() == []
    nessus.on("GET /scans", stale)
    await failure(scanner(nessus).list_scans)
    assert len(nessus.asked("GET /scans")) == 4


async def test_a_connection_that_cannot_be_made_is_not_tried_twice() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", httpx.ConnectError(""))
    await failure(scanner(nessus).list_scans)
    assert len(nessus.requests) == 1


async def test_an_answer_that_breaks_off_in_the_middle() -> None:
    nessus = ScriptedNessus()
    cut = Raw(pieces=[b'{"scans"'], then=httpx.RemoteProtocolError("incomplete"))
    nessus.on("GET /scans", cut)
    assert type(await failure(scanner(nessus).list_scans)) is Unreachable
    nessus.on("POST /scans", cut)
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert type(error) is OutcomeUnknown


STATUSES: list[tuple[int, str, type[ScannerError]]] = [
    (301, "", Refused),
    (400, "127.0.0.256: Unrecognized target format", Refused),
    (400, "Maximum number of concurrent scans reached", NoCapacity),
    (401, "Invalid Credentials", LoginRefused),
    (403, "no permission", PermissionDenied),
    (403, "license expired", LicenseExpired),
    (403, "The number of hosts exceeds what your license allows", LicenseLimit),
    (500, "Nessus has no plugins. Some functionality is therefore limited.", NoPlugins),
    (500, "Failed to save: no space left on device", DiskFull),
    (404, "The requested file was not found", NotFound),
    (405, "", Refused),
    (409, "conflict", Refused),
    (412, "API is not available", ApiRefused),
    (429, "slow down", TransientError),
    (429, "too many active scans", NoCapacity),
    (500, "internal", TransientError),
    (500, "You have exceeded your license limit", LicenseLimit),
    (500, "scan limit reached", NoCapacity),
    (502, "", OutcomeUnknown),
    (503, "", NotReady),
    (504, "", OutcomeUnknown),
]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "text", "kind"), STATUSES)
async def test_what_an_http_status_means_for_a_change(
    status: int, text: str, kind: type[ScannerError]
) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", (status, {"error": text}))
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert type(error) is kind
    assert status == 412 or f"{status}" in str(error)
    assert text in str(error) or status == 412
    assert "\n" not in str(error)
    assert len(nessus.asked("POST /scans")) == 1


async def test_a_gateway_that_fails_a_read_changed_nothing() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (502, "<html>Bad gateway</html>"))
    assert type(await failure(scanner(nessus).list_scans)) is TransientError


async def test_the_license_gate_is_explained() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", (412, {"error": "API is not available"}))
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert "ui_session" in str(error)


async def test_a_dropped_connection_hints_at_the_license_gate_where_there_is_one() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", httpx.RemoteProtocolError("incomplete"))
    client = scanner(nessus)
    await client.info()
    assert "ui_session" not in str(await failure(lambda: client.create_scan(order())))
    nessus.on("GET /server/properties", {"license": {"features": {"scan_api": False}}})
    await client.info()
    error = await failure(lambda: client.create_scan(order()))
    assert "ui_session" in str(error)
    assert type(error) is OutcomeUnknown


PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("body", "said"),
    [(PAGE, "a web page"), ("", "nothing"), ('{"scans"', "no valid JSON"), ("[]", "JSON object")],
)
async def test_a_success_that_is_no_json(body: str, said: str) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (200, body))
    error = await failure(scanner(nessus).list_scans)
    assert type(error) is TransientError
    assert said in str(error)
    nessus.on("POST /scans", (200, body))
    error = await failure(lambda: scanner(nessus).create_scan(order()))
    assert type(error) is OutcomeUnknown
    assert said in str(error)


async def test_a_deeply_nested_answer_is_no_json() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (200, '{"scans":' + "[" * 200_000))
    assert type(await failure(scanner(nessus).list_scans)) is TransientError


async def test_an_endless_answer_is_cut_off() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(pieces=[b" " * 2**20] * (MAX_ANSWER // 2**20 + 1)))
    assert "larger" in str(await failure(scanner(nessus).list_scans))


async def test_an_answer_in_an_unknown_encoding_is_refused() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(headers={"Content-Encoding": "br"}, pieces=[b"\x1f\x8b"]))
    assert "unsupported compression" in str(await failure(scanner(nessus).list_scans))


async def test_a_dripping_answer_ends_at_the_timeout(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(pieces=[b" "] * 1000, pause=5))
    began = trio.current_time()
    error = await failure(scanner(nessus, timeout=30.0).list_scans)
    assert trio.current_time() - began == pytest.approx(30)
    assert "30 s" in str(error)


async def test_the_scanners_words_are_cut_and_cleaned_and_hide_our_secrets() -> None:
    nessus = ScriptedNessus()
    words = f"\x1b[31mno\u202e\r\n{CANARIES[0]} {CANARIES[1]} " + "x" * 1000
    nessus.on("GET /scans", (400, {"error": words}))
    text = str(await failure(scanner(nessus).list_scans))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n" not in text
    assert len(text) < LONGEST + 100
    assert "no *** ***" in text.replace("[31m", "")


@pytest.mark.slow
@given(st.text(max_size=400), st.lists(st.text(min_size=3, max_size=20), max_size=3))
def test_clean_text_is_one_printable_line(text: str, secrets: list[str]) -> None:
    found = clean(text, secrets)
    assert len(found) <= LONGEST
    assert found == " ".join(found.split())
    assert found.isprintable()


def test_a_private_key_is_hidden_line_by_line() -> None:
    key = "-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----"
    assert clean("line abcdefgh is bad, ijklmnop too", [key]) == "line *** is bad, *** too"


def test_a_secret_within_a_secret_is_hidden_whole() -> None:
    assert clean("canary-long", ["canary", "canary-long"]) == "***"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("-7", 0.0),
        ("nan", None),
        ("inf", 3600.0),
        ("soon", None),
        ("1000000", 3600.0),
        ("Sun, 15 Jun 2025 15:16:40 GMT", 600.0),
        ("Sun, 15 Jun 2025 14:00:00 GMT", 0.0),
        ("Sun, 99 Jun 2025 14:00:00 GMT", None),
        ("", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


async def test_retry_after_reaches_the_caller() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", Raw(status=429, headers={"Retry-After": "12"}))
    error = await failure(scanner(nessus).list_scans)
    assert isinstance(error, TransientError)
    assert error.retry_after == 12


async def test_each_request_is_reported() -> None:
    seen: list[RequestRecord] = []
    nessus = ScriptedNessus()
    client = scanner(nessus, on_request=seen.append)
    await client.list_scans()
    nessus.on("GET /scans", (500, {"error": "internal"}))
    await failure(client.list_scans)
    nessus.on("POST /scans/7/export", httpx.ConnectError(""))
    nessus.on("GET /scans/7", httpx.ConnectError(""))
    await failure(lambda: client.details(7))
    assert [(record.method, record.route, record.outcome) for record in seen] == [
        ("GET", "/scans", "200"),
        ("GET", "/scans", "500"),
        ("GET", "/scans/{scan_id}", "scanner_unreachable"),
    ]
    assert all(record.seconds >= 0 for record in seen)
