"""The pages, over a real port and hypercorn."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry, Counter

from nessus_sched.http.app import App, PageSources, host_allowed
from nessus_sched.http.server import HttpTrouble, listen, serve, url_of
from nessus_sched.telemetry.health import Component, Health, Status


def health(status: Status = Status.OK, reason: str = "writable") -> Health:
    return Health(components={"store": Component(status=status, reason=reason, since=1.8e9)})


async def nothing() -> None:
    pass


def sources(**changes: Any) -> PageSources:
    made = PageSources(
        health=health, ready=lambda: True, registry=CollectorRegistry(), refresh=nothing
    )
    return attrs.evolve(made, **changes)


@asynccontextmanager
async def pages(made: PageSources) -> AsyncIterator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, App(made), listen("127.0.0.1:0"))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield client
        nursery.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "code"), [(Status.OK, 200), (Status.DEGRADED, 200), (Status.FAILED, 503)]
)
async def test_health_is_json_with_reasons_and_times(status: Status, code: int) -> None:
    async with pages(sources(health=lambda: health(status, "disk full"))) as client:
        answer = await client.get("/health")
    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "status": status.value,
        "components": {
            "store": {
                "status": status.value,
                "reason": "disk full",
                "since": "2027-01-15T08:00:00+00:00",
            }
        },
    }


@pytest.mark.parametrize(("ready", "code"), [(True, 200), (False, 503)])
async def test_ready_and_live(ready: bool, code: int) -> None:
    async with pages(sources(ready=lambda: ready)) as client:
        assert (await client.get("/ready")).status_code == code
        assert (await client.get("/live")).status_code == 200


async def test_metrics_are_refreshed_and_in_the_format_asked_for() -> None:
    registry = CollectorRegistry()
    counter = Counter("scrapes", "How often.", registry=registry)

    async def refresh() -> None:
        counter.inc()

    async with pages(sources(registry=registry, refresh=refresh)) as client:
        first = await client.get("/metrics")
        assert "scrapes_total 1.0" in first.text
        assert first.headers["content-type"].startswith("text/plain")
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        second = await client.get("/metrics", headers=accept)
        assert second.text.endswith("# EOF\n")
        assert "scrapes_total 2.0" in second.text


async def test_the_status_page_has_a_strict_policy_and_can_be_off() -> None:
    async def html() -> str:
        return "<!doctype html><title>ä</title>"

    async with pages(sources(status_page=html)) as client:
        answer = await client.get("/")
        assert answer.text == "<!doctype html><title>ä</title>"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    async with pages(sources()) as client:
        assert (await client.get("/")).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/x", "/health/", "/metrics/x", "/../etc/passwd", "//health"])
async def test_everything_else_is_not_found(path: str) -> None:
    async with pages(sources()) as client:
        assert (await client.get(path)).status_code == 404


async def test_only_reading_is_allowed() -> None:
    async with pages(sources()) as client:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = await client.request(method, "/health")
            assert answer.status_code == 405
            assert answer.headers["allow"] == "GET, HEAD"
        head = await client.head("/health")
        assert head.status_code == 200
        assert head.content == b""
        assert int(head.headers["content-length"]) > 0


async def test_a_foreign_host_name_is_refused() -> None:
    async with pages(sources(hosts=frozenset({"scanner.example.com"}))) as client:
        for host, code in (
            ("evil.example", 421),
            ("scanner.example.com", 200),
            ("SCANNER.example.com:9834", 200),
            ("localhost:1", 200),
        ):
            assert (await client.get("/live", headers={"host": host})).status_code == code


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:9834", True),
        ("[::1]:9834", True),
        ("[2001:db8::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("evil.example:80:80", False),
        ("[::1", False),
        ("0x7f.1", False),
        ("::1", False),
    ],
)
def test_host_headers(host: str, allowed: bool) -> None:
    assert host_allowed(host, frozenset()) is allowed


async def test_a_page_that_fails_is_a_500_without_words() -> None:
    def crash() -> Health:
        raise RuntimeError("secret detail hunter2")

    async with pages(sources(health=crash)) as client:
        answer = await client.get("/health")
        assert answer.status_code == 500
        assert "hunter2" not in answer.text
        assert (await client.get("/live")).status_code == 200


async def test_a_websocket_is_refused() -> None:
    async with pages(sources()) as client:
        answer = await client.get(
            "/health",
            headers={
                "connection": "upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        assert answer.status_code >= 400
        assert (await client.get("/live")).status_code == 200


def test_a_port_in_use_is_said() -> None:
    with listen("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
        with pytest.raises(HttpTrouble, match="Address already in use"):
            listen(f"127.0.0.1:{port}")


@pytest.mark.parametrize("bind", ["nowhere.invalid:1", "127.0.0.1:x"])
def test_a_bad_address_is_said(bind: str) -> None:
    with pytest.raises(HttpTrouble, match="cannot listen"):
        listen(bind)


def test_ipv6_addresses_have_brackets_in_urls() -> None:
    try:
        sock = listen("[::1]:0")
    except HttpTrouble:
        pytest.skip("no IPv6 here")
    with sock:
        assert url_of(sock).startswith("http://[::1]:")


async def test_the_socket_is_closed_and_not_inherited() -> None:
    async with pages(sources()) as client:
        assert (await client.get("/live")).status_code == 200
        port = client.base_url.port
        open_ones = [int(name) for name in os.listdir("/proc/self/fd")]
        assert not [fd for fd in open_ones if _inheritable_socket(fd)]
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def _inheritable_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode) and os.get_inheritable(fd)
    except OSError:
        return False


async def test_stopping_lets_an_answer_finish() -> None:
    stop, begun = trio.Event(), trio.Event()

    async def refresh() -> None:
        begun.set()
        await stop.wait()
        await trio.sleep(0.1)

    got: list[int] = []
    async with trio.open_nursery() as nursery:
        url = await nursery.start(
            lambda task_status: serve(
                App(sources(refresh=refresh)),
                listen("127.0.0.1:0"),
                stop=stop.wait,
                task_status=task_status,
            )
        )

        async def ask() -> None:
            async with httpx.AsyncClient(trust_env=False) as client:
                got.append((await client.get(f"{url}/metrics")).status_code)

        nursery.start_soon(ask)
        await begun.wait()
        stop.set()
    assert got == [200]


@pytest.mark.slow
async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    registry = CollectorRegistry()
    labels = Counter("big", "Large.", ["n"], registry=registry)
    for number in range(60_000):
        labels.labels(f"{number:050}").inc()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, App(sources(registry=registry)), listen("127.0.0.1:0"))
        deaf = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        await deaf.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await deaf.receive_some(10)
        await trio.sleep(0.3)  # until the body fills all buffers on its way
        started = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - started < 10
    await deaf.aclose()
