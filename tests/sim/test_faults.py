"""Injected faults, seen without sockets and through httpx in virtual time."""

from __future__ import annotations

import httpx
import pytest
import trio

from nessus_sched.sim import (
    ConnectionBroken,
    Fault,
    FaultKind,
    SimOptions,
    SimulatedNessus,
    asgi_app,
)
from nessus_sched.sim.messages import Hang, Reset
from support.sim import SimTransport, hand_driven, trio_time


def test_a_fault_strikes_what_it_matches_and_as_often_as_it_says() -> None:
    call, _ = hand_driven()
    fault = Fault(kind="status", status=500, method="GET", path="/scans*", skip=1, times=2)
    call.nessus.faults.inject(fault)
    assert call("GET", "/folders").status == 200
    assert call("POST", "/scans", {}).status == 400
    statuses = [call("GET", "/scans").status for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    assert call.nessus.ledger.totals["fault"] == 2


def test_a_fault_without_an_end_lasts_until_it_is_cleared() -> None:
    call, _ = hand_driven()
    fault = call.nessus.faults.inject(Fault(kind="status", status=503, times=None))
    other = call.nessus.faults.inject(Fault(kind="status", status=429, times=None))
    assert {call("GET", "/scans").status for _ in range(20)} == {503}
    call.nessus.faults.clear(fault.id)
    assert call("GET", "/scans").status == 429
    call.nessus.faults.clear()
    assert call("GET", "/scans").status == 200
    assert other.struck == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, "Invalid Credentials"), (412, "API is not available"), (429, "Rate limit exceeded")],
)
def test_error_answers_in_the_words_of_nessus(status: int, error: str) -> None:
    call, _ = hand_driven()
    call.nessus.faults.inject(Fault(kind="status", status=status, retry_after=7))
    reply = call("GET", "/scans")
    assert (reply.status, reply.json) == (status, {"error": error})
    assert reply.headers["retry-after"] == "7"


def test_a_reset_before_changes_nothing_and_a_reset_after_does() -> None:
    call, _ = hand_driven()
    scan_id = call.create()
    launch = ("POST", f"/scans/{scan_id}/launch")
    call.nessus.faults.inject(Fault(kind=FaultKind.RESET_BEFORE, path="*/launch"))
    assert call.answer(*launch) == Reset()
    assert call.status(scan_id) == "empty"
    call.nessus.faults.inject(Fault(kind=FaultKind.RESET_AFTER, path="*/launch"))
    assert call.answer(*launch) == Reset()
    assert call.status(scan_id) == "running"
    assert call.nessus.ledger.launches("scan") == 1


def test_an_empty_answer_and_a_web_page() -> None:
    call, _ = hand_driven()
    call.nessus.faults.inject(Fault(kind="empty"))
    call.nessus.faults.inject(Fault(kind="html"))
    assert call("GET", "/scans").content == b""
    page = call("GET", "/scans")
    assert page.status == 200
    assert page.content.startswith(b"<!doctype html>")
    assert page.headers["content-type"].startswith("text/html")


def test_scans_that_abort_stay_pending_or_speak_in_riddles() -> None:
    call, clock = hand_driven(scans_take=100.0)
    inject = call.nessus.faults.inject
    inject(Fault(kind="scan_aborts", scan="aborts", progress=0.3))
    inject(Fault(kind="stays_pending", scan="pends"))
    inject(Fault(kind="unknown_status", scan="riddle*", message="reticulating"))
    scans = {name: call.create(name) for name in ("aborts", "pends", "riddles", "fine")}
    for scan_id in scans.values():
        call.launch(scan_id)
    clock.pass_time(29.0)
    expected = {
        "aborts": "running",
        "pends": "pending",
        "riddles": "reticulating",
        "fine": "running",
    }
    assert {name: call.status(scan_id) for name, scan_id in scans.items()} == expected
    clock.pass_time(1000.0)
    expected = {
        "aborts": "aborted",
        "pends": "pending",
        "riddles": "completed",
        "fine": "completed",
    }
    assert {name: call.status(scan_id) for name, scan_id in scans.items()} == expected
    aborted = call.get(f"/scans/{scans['aborts']}")["info"]
    assert aborted["scan_end"] - aborted["scan_start"] == 30
    call("POST", f"/scans/{scans['pends']}/stop")
    clock.pass_time(1.0)
    assert call.status(scans["pends"]) == "canceled"


def test_a_cut_412() -> None:
    call, _ = hand_driven(edition="essentials", gate_cuts_body=True)
    answer = call.answer("POST", "/scans", {})
    assert (answer.status, answer.cut_after) == (412, 0)  # type: ignore[union-attr]


def client_of(nessus: SimulatedNessus) -> httpx.AsyncClient:
    accounts = nessus.accounts
    keys = f"accessKey={accounts.access_key}; secretKey={accounts.secret_key}"
    return httpx.AsyncClient(
        transport=SimTransport(nessus),
        base_url="https://nessus.example.com",
        headers={"X-ApiKeys": keys},
        timeout=30.0,
    )


@pytest.mark.parametrize(
    ("fault", "error", "takes"),
    [
        (Fault(kind="hang"), httpx.ReadTimeout, 30.0),
        (Fault(kind="hang", seconds=5.0), httpx.ReadError, 5.0),
        (Fault(kind="reset_before"), httpx.ReadError, 0.0),
        (Fault(kind="reset_after"), httpx.ReadError, 0.0),
        (Fault(kind="truncated", after_bytes=10), httpx.RemoteProtocolError, 0.0),
    ],
)
async def test_faults_in_virtual_time(
    fault: Fault, error: type[Exception], takes: float, autojump_clock: object
) -> None:
    nessus = SimulatedNessus(now=trio_time)
    nessus.faults.inject(fault)
    began = trio.current_time()
    async with client_of(nessus) as client:
        with pytest.raises(error):
            await client.get("/scans")
        assert trio.current_time() - began == pytest.approx(takes)
        assert (await client.get("/scans")).status_code == 200


async def test_a_slow_answer_in_virtual_time(autojump_clock: object) -> None:
    nessus = SimulatedNessus(now=trio_time)
    nessus.faults.inject(Fault(kind="slow", seconds=4.0))
    began = trio.current_time()
    async with client_of(nessus) as client:
        assert (await client.get("/scans")).json()["scans"] is None
    assert trio.current_time() - began == pytest.approx(8.0)


async def test_a_download_cut_so_that_it_looks_whole(autojump_clock: object) -> None:
    nessus = SimulatedNessus(now=trio_time)
    nessus.faults.inject(Fault(kind="truncated", after_bytes=10, clean=True))
    async with client_of(nessus) as client:
        assert (await client.get("/scans")).content == b'{"folders"'


async def test_refused_connections(autojump_clock: object) -> None:
    nessus = SimulatedNessus(now=trio_time)
    nessus.refuse(60.0)
    async with client_of(nessus) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/scans")
        await trio.sleep(61.0)
        assert (await client.get("/scans")).status_code == 200


async def test_a_whole_scan_in_virtual_time_through_asgi(autojump_clock: object) -> None:
    nessus = SimulatedNessus(SimOptions(scans_take=3600.0), now=trio_time)
    accounts = nessus.accounts
    keys = f"accessKey={accounts.access_key}; secretKey={accounts.secret_key}"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi_app(nessus)),
        base_url="https://nessus.example.com",
        headers={"X-ApiKeys": keys},
    ) as client:
        templates = (await client.get("/editor/scan/templates")).json()["templates"]
        uuid = next(row["uuid"] for row in templates if row["name"] == "basic")
        body = {"uuid": uuid, "settings": {"name": "x", "text_targets": "192.0.2.1"}}
        scan_id = (await client.post("/scans", json=body)).json()["scan"]["id"]
        await client.post(f"/scans/{scan_id}/launch")
        await trio.sleep(3601.0)
        info = (await client.get(f"/scans/{scan_id}")).json()["info"]
        assert info["status"] == "completed"
        assert info["scan_end"] - info["scan_start"] == 3600
        nessus.faults.inject(Fault(kind="reset_after"))
        with pytest.raises(ConnectionBroken):
            await client.get("/scans")


def test_a_hang_says_for_how_long() -> None:
    call, _ = hand_driven()
    call.nessus.faults.inject(Fault(kind="hang", seconds=3.0))
    assert call.answer("GET", "/scans") == Hang(seconds=3.0)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="mischief"):
        Fault(kind="mischief")
