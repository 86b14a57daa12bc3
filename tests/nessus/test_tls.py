"""Which certificates are trusted, on real connections, and what is said of the others."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.scanner import CertificateMismatch, OutcomeUnknown, Unreachable
from nessus_sched.nessus import NessusScanner, fetch_fingerprint
from nessus_sched.net.tls import context_for
from support.scripted_nessus import KEYS, NOW, no_secrets, settings
from support.tls_server import Shown, answer, by_trustme, like_nessus, serving


def client(port: int, host: str = "127.0.0.1", timeout: float = 10.0, **tls: Any) -> NessusScanner:
    changes = {"url": f"https://{host}:{port}", "tls": TlsSettings(**tls), "timeout": timeout}
    return NessusScanner(settings(auth=KEYS, **changes), now=lambda: NOW)


async def works(scanner: NessusScanner) -> None:
    assert await scanner.list_scans() == []
    await scanner.close()


async def refused(scanner: NessusScanner) -> str:
    with pytest.raises(CertificateMismatch) as caught:
        await scanner.list_scans()
    no_secrets(caught.value)
    await scanner.close()
    return str(caught.value)


@pytest.fixture(params=["trustme", "like nessus"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Shown:
    return by_trustme("127.0.0.1") if request.param == "trustme" else like_nessus(tmp_path)


async def test_an_unknown_certificate_is_refused_and_the_way_out_told(shown: Shown) -> None:
    async with serving(shown) as port:
        text = await refused(client(port))
    assert "tls.fingerprint" in text
    assert f"https://127.0.0.1:{port}" in text


async def test_a_ca_file(shown: Shown, tmp_path: Path) -> None:
    async with serving(shown) as port:
        await works(client(port, ca_file=shown.ca_file(tmp_path)))


async def test_the_server_certificate_itself_as_ca_file(shown: Shown, tmp_path: Path) -> None:
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(ssl.DER_cert_to_PEM_cert(shown.certificate))
    async with serving(shown) as port:
        await works(client(port, ca_file=leaf))


async def test_another_ca(shown: Shown, tmp_path: Path) -> None:
    other = by_trustme("127.0.0.1").ca_file(tmp_path)
    async with serving(shown) as port:
        await refused(client(port, ca_file=other))


async def test_the_right_ca_and_the_wrong_name(tmp_path: Path) -> None:
    shown = by_trustme("scanner.example.com", "192.0.2.1")
    async with serving(shown) as port:
        text = await refused(client(port, ca_file=shown.ca_file(tmp_path)))
    assert "scanner.example.com" in text


async def test_a_name_that_fits(tmp_path: Path) -> None:
    shown = by_trustme("localhost")
    async with serving(shown) as port:
        await works(client(port, host="localhost", ca_file=shown.ca_file(tmp_path)))


async def test_a_pinned_certificate(shown: Shown) -> None:
    async with serving(shown) as port:
        await works(client(port, fingerprint=shown.fingerprint))
        with_colons = ":".join(
            shown.fingerprint.upper()[start : start + 2] for start in range(0, 64, 2)
        )
        await works(client(port, fingerprint=with_colons))


async def test_another_certificate_than_the_pinned_tells_both(shown: Shown) -> None:
    pinned = "ab" * 32
    requests: list[bytes] = []

    async def watch(stream: Any, request: bytes) -> None:
        requests.append(request)
        await answer(stream, request)

    async with serving(shown, watch) as port:
        text = await refused(client(port, fingerprint=pinned))
    assert pinned in text
    assert shown.fingerprint in text
    assert "tls.fingerprint" in text
    assert requests == [], "the keys were not sent"


async def test_verification_can_be_switched_off(shown: Shown) -> None:
    async with serving(shown) as port:
        await works(client(port, verify=False))


async def test_fetching_the_fingerprint_to_pin(shown: Shown) -> None:
    async with serving(shown) as port:
        assert await fetch_fingerprint("127.0.0.1", port) == shown.fingerprint


async def test_no_fingerprint_where_nobody_listens(tmp_path: Path) -> None:
    async with serving(by_trustme("127.0.0.1")) as port:
        pass
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await fetch_fingerprint("127.0.0.1", port)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_an_unusable_ca_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in await refused(client(1, ca_file=path))


def handshake(client_side: ssl.SSLContext, server_side: ssl.SSLContext, host: str) -> None:
    """In memory, with no name resolution in the way."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server_side.wrap_bio(to_server, to_client, server_side=True),
        client_side.wrap_bio(to_client, to_server, server_hostname=host),
    ]
    for _ in range(5):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()


@pytest.mark.parametrize(
    ("made_out_to", "host", "fits"),
    [
        ("scanner.example.com", "scanner.example.com", True),
        ("scanner.example.com", "SCANNER.example.com", True),
        ("scanner.example.com", "other.example.com", False),
        ("*.example.com", "scanner.example.com", True),
        ("*.example.com", "a.scanner.example.com", False),
        ("*.example.com", "example.com", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("scanner.example.com", "192.0.2.1", False),
        ("192.0.2.1", "scanner.example.com", False),
        ("2001:db8::1", "2001:db8:0:0::1", True),
    ],
)
def test_names_with_a_ca_file(tmp_path: Path, made_out_to: str, host: str, fits: bool) -> None:
    shown = by_trustme(made_out_to)
    context = context_for(TlsSettings(ca_file=shown.ca_file(tmp_path)))
    if fits:
        handshake(context, shown.context, host)
        return
    with pytest.raises(ssl.SSLCertVerificationError, match="is issued for"):
        handshake(context, shown.context, host)


def test_the_system_is_trusted_by_default() -> None:
    context = context_for(TlsSettings())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_nobody_listens() -> None:
    async with serving(by_trustme("127.0.0.1")) as port:
        pass
    with pytest.raises(Unreachable, match="reached: connection refused") as caught:
        await client(port).list_scans()
    no_secrets(caught.value)
    with pytest.raises(Unreachable, match=f":{port}: connection refused"):
        await fetch_fingerprint("127.0.0.1", port)


async def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(Unreachable):
        await client(8834, host="scanner.invalid").list_scans()


async def test_a_server_that_is_not_tls() -> None:
    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(_serve_plain, plain)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(Unreachable):
            await client(port).list_scans()
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_hangs_is_not_an_unknown_outcome() -> None:
    async def mute(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(_serve_plain, mute)
        port = listeners[0].socket.getsockname()[1]
        scanner = client(port, timeout=0.5)
        with pytest.raises(Unreachable, match="connect"):
            await scanner.list_scans()
        nursery.cancel_scope.cancel()


async def _serve_plain(handler: Any, *, task_status: Any) -> None:
    await trio.serve_tcp(handler, 0, host="127.0.0.1", task_status=task_status)


async def test_connections_are_reused_and_a_stale_one_replaced() -> None:
    shown = by_trustme("127.0.0.1")
    connections: set[int] = set()
    requests = 0

    async def answer_and_hang_up(stream: trio.SSLStream[Any], request: bytes) -> None:
        nonlocal requests
        connections.add(id(stream))
        requests += 1
        if requests == 3:
            raise EOFError
        await answer(stream, request)

    async with serving(shown, answer_and_hang_up) as port:
        scanner = client(port, fingerprint=shown.fingerprint)
        for _ in range(4):
            assert await scanner.list_scans() == []
        await scanner.close()
    assert requests == 5
    assert len(connections) == 2


async def test_a_connection_that_drops_on_a_change_leaves_it_unknown() -> None:
    shown = by_trustme("127.0.0.1")
    listing = b'{"folders":[{"id":3,"name":"ours","type":"custom"}],"scans":[{"id":7,'
    listing += b'"folder_id":3,"name":"[ns:task.1]"}]}'
    posts = 0

    async def drop_changes(stream: trio.SSLStream[Any], request: bytes) -> None:
        nonlocal posts
        if request.startswith(b"POST"):
            posts += 1
            raise EOFError
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(listing)
        await stream.send_all(head + listing)

    async with serving(shown, drop_changes) as port:
        scanner = client(port, fingerprint=shown.fingerprint)
        with pytest.raises(OutcomeUnknown) as caught:
            await scanner.launch(7, ("[ns:task.1]",))
        no_secrets(caught.value)
        await scanner.close()
    assert posts == 1


async def test_closing_ends_what_is_under_way_and_what_comes_later() -> None:
    shown = by_trustme("127.0.0.1")
    asked = trio.Event()

    async def hang(stream: trio.SSLStream[Any], request: bytes) -> None:
        asked.set()
        await trio.sleep_forever()

    async with serving(shown, hang) as port:
        scanner = client(port, fingerprint=shown.fingerprint)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_unreachable, scanner)
            await asked.wait()
            with trio.fail_after(5):
                await scanner.close()
        await _unreachable(scanner)


async def _unreachable(scanner: NessusScanner) -> None:
    with trio.fail_after(5), pytest.raises(Unreachable):
        await scanner.list_scans()
