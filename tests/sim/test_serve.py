"""The simulator behind HTTPS: its certificate, broken connections, refusal, shutdown."""

from __future__ import annotations

import hashlib
import ssl
import time
from functools import partial

import httpx
import pytest
import trio

from nessus_sched.sim import Fault, RunningSim, SimOptions, serve_sim
from support.sim import eventually, in_thread, serving


def unverified() -> ssl.SSLContext:
    """As for the certificate of a fresh Nessus, which can only be pinned."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_of(sim: RunningSim) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=sim.url, verify=unverified(), headers={"X-ApiKeys": _keys(sim)}, timeout=5.0
    )


def _keys(sim: RunningSim) -> str:
    return f"accessKey={sim.access_key}; secretKey={sim.secret_key}"


def seen_fingerprint(sim: RunningSim) -> str:
    port = _port(sim)
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=5.0)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


async def test_it_serves_with_the_certificate_that_it_names() -> None:
    async with serving() as sim, client_of(sim) as client:
        reply = await client.get("/server/status")
        assert reply.json()["status"] == "ready"
        assert reply.headers["server"] == "NessusWWW"
        assert reply.http_version == "HTTP/1.1"
        assert await in_thread(sim, seen_fingerprint) == sim.fingerprint


async def test_the_certificate_can_change() -> None:
    async with serving() as sim:
        before = sim.fingerprint
        sim.nessus.change_certificate()
        await eventually(partial(_accepts, sim, other_than=before))
        assert await in_thread(sim, seen_fingerprint) == sim.fingerprint


async def _accepts(sim: RunningSim, *, other_than: str) -> bool:
    if sim.fingerprint == other_than:
        return False
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", _port(sim))
    except OSError:
        return False
    await stream.aclose()
    return True


def _port(sim: RunningSim) -> int:
    return int(sim.url.rpartition(":")[2])


async def test_connections_break_as_told() -> None:
    async with serving() as sim, client_of(sim) as client:
        inject = sim.nessus.faults.inject
        inject(Fault(kind="reset_before"))
        with pytest.raises(httpx.ReadError):
            await client.get("/scans")
        inject(Fault(kind="reset_after", path="/folders"))
        with pytest.raises(httpx.ReadError):
            await client.post("/folders", json={"name": "made"})
        assert "made" in [row["name"] for row in (await client.get("/folders")).json()["folders"]]
        inject(Fault(kind="truncated", after_bytes=10))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.get("/scans")
        inject(Fault(kind="hang"))
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/scans", timeout=0.2)
        assert (await client.get("/scans")).status_code == 200


async def test_a_cut_412_breaks_the_connection() -> None:
    options = SimOptions(edition="essentials", gate_cuts_body=True)
    async with serving(options) as sim, client_of(sim) as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post("/scans", json={})


@pytest.mark.slow
async def test_refused_connections_and_back_again() -> None:
    async with serving() as sim, client_of(sim) as client:
        await client.get("/scans")
        sim.nessus.refuse(0.4)
        await trio.testing.wait_all_tasks_blocked(0.02)
        with pytest.raises(httpx.ConnectError):
            await client.get("/scans")
        await eventually(partial(_answers, client))


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/scans")).status_code == 200
    except httpx.ConnectError:
        return False


async def test_a_restart_over_the_control_interface_is_answered() -> None:
    async with serving(SimOptions(control=True)) as sim, client_of(sim) as client:
        reply = await client.post("/_sim/restart", json={"loading_seconds": 60})
        assert reply.status_code == 200
        await eventually(partial(_is_loading, client))
        ledger = (await client.get("/_sim/ledger")).json()
        assert ledger["totals"]["restart"] == 1


async def _is_loading(client: httpx.AsyncClient) -> bool:
    try:
        status = (await client.get("/server/status")).json()
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return False
    return bool(status["status"] == "loading")


async def test_a_restart_breaks_what_is_under_way() -> None:
    async with serving() as sim, client_of(sim) as client:
        sim.nessus.faults.inject(Fault(kind="hang"))
        broken = trio.Event()

        async def wait_for_an_answer() -> None:
            with pytest.raises(httpx.ReadError):
                await client.get("/scans")
            broken.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_an_answer)
            await eventually(partial(_struck, sim))
            sim.nessus.restart()
            with trio.fail_after(2.0):
                await broken.wait()


async def test_a_restart_in_the_midst_of_a_handshake_breaks_that_connection_only() -> None:
    async with serving() as sim, client_of(sim) as client:
        async with await trio.open_tcp_stream("127.0.0.1", _port(sim)) as stream:
            await client.get("/server/status")  # later than it, so that it has been accepted
            sim.nessus.restart(down_seconds=0.0)
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some(1)
        await eventually(partial(_accepts, sim, other_than=""))


async def _struck(sim: RunningSim) -> bool:
    return sim.nessus.ledger.totals["fault"] > 0


async def test_without_the_option_there_is_no_control_interface() -> None:
    async with serving() as sim, client_of(sim) as client:
        assert (await client.get("/_sim/ledger")).status_code == 404


async def test_a_port_in_use_is_an_error() -> None:
    async with serving() as sim:
        taken = SimOptions(port=_port(sim))
        with pytest.raises(BaseExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_sim, taken)
        assert caught.group_contains(OSError)


async def exported(client: httpx.AsyncClient) -> str:
    """The token of an export that is ready."""
    templates = (await client.get("/editor/scan/templates")).json()["templates"]
    uuid = next(row["uuid"] for row in templates if row["name"] == "basic")
    body = {"uuid": uuid, "settings": {"name": "x", "text_targets": "192.0.2.1"}}
    scan_id = (await client.post("/scans", json=body)).json()["scan"]["id"]
    await client.post(f"/scans/{scan_id}/launch")
    token: str = (await client.post(f"/scans/{scan_id}/export", json={})).json()["token"]
    return token


LARGE = SimOptions(scans_take=0.0, filler_findings=20_000, export_takes=0.0)


@pytest.mark.slow
async def test_it_stops_at_once_though_a_client_does_not_read() -> None:
    async with serving(LARGE) as sim, client_of(sim) as client:
        token = await exported(client)
        context = unverified()
        lazy = await trio.open_ssl_over_tcp_stream("127.0.0.1", _port(sim), ssl_context=context)
        lines = (f"GET /tokens/{token}/download HTTP/1.1", "Host: x", f"X-ApiKeys: {_keys(sim)}")
        await lazy.send_all("\r\n".join((*lines, "", "")).encode())
        assert b"200" in await lazy.receive_some(1000)
        await trio.sleep(0.3)  # until all buffers between us are full
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    await trio.aclose_forcefully(lazy)


@pytest.mark.slow
async def test_a_large_download_arrives_whole() -> None:
    async with serving(LARGE) as sim, client_of(sim) as client:
        content = (await client.get(f"/tokens/{await exported(client)}/download")).content
    assert len(content) > 20_000_000
    assert content.count(b"<ReportItem ") > 20_000
    assert content.endswith(b"</NessusClientData_v2>\n")
