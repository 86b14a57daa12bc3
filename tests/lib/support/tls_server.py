"""Certificates of all sorts, and a small HTTPS server on the loopback that shows them."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handle = Callable[[trio.SSLStream[trio.SocketStream], bytes], Awaitable[None]]
LISTING = b'{"folders": [], "scans": null}'


@attrs.frozen
class Shown:
    """What a server shows, and the PEM of what signed it."""

    context: ssl.SSLContext
    certificate: bytes
    ca_pem: bytes
    cert_pem: bytes = b""
    key_pem: bytes = b""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.certificate).hexdigest()

    def ca_file(self, folder: Path) -> Path:
        path = folder / "ca.pem"
        path.write_bytes(self.ca_pem)
        return path

    def write(self, folder: Path) -> None:
        """`ca.pem`, `cert.pem` and `key.pem`, for servers that are other programs."""
        self.ca_file(folder)
        (folder / "cert.pem").write_bytes(self.cert_pem)
        (folder / "key.pem").write_bytes(self.key_pem)


def by_trustme(*names: str) -> Shown:
    ca = trustme.CA()
    made = ca.issue_cert(*names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())
    return Shown(
        context,
        der,
        ca.cert_pem.bytes(),
        made.cert_chain_pems[0].bytes(),
        made.private_key_pem.bytes(),
    )


def like_nessus(folder: Path) -> Shown:
    """As Nessus makes them for itself: a bare CA without extensions, no subjectAltName."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Nessus Certification Authority")
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, ca=True)
    leaf = _certificate(_name("scanner"), ca_name, key.public_key(), ca_key, ca=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "server.pem"
    chain.write_bytes(private + leaf.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    der = leaf.public_bytes(serialization.Encoding.DER)
    return Shown(context, der, ca.public_bytes(pem))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), False)
    return builder.sign(signer, hashes.SHA256())


async def answer(stream: trio.SSLStream[trio.SocketStream], request: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LISTING)
    await stream.send_all(head + LISTING)


@asynccontextmanager
async def serving(shown: Shown, handle: Handle = answer) -> AsyncIterator[int]:
    """Yields the port. `handle` is called with each request until it raises EOFError."""

    async def connection(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            while request := await _request(stream):
                await handle(stream, request)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(_serve, connection, shown)
        yield listeners[0].transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _serve(
    connection: Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]],
    shown: Shown,
    *,
    task_status: trio.TaskStatus[object],
) -> None:
    await trio.serve_ssl_over_tcp(
        connection,
        0,
        shown.context,
        host="127.0.0.1",
        https_compatible=True,
        task_status=task_status,
    )


async def _request(stream: trio.SSLStream[trio.SocketStream]) -> bytes:
    """Head and body of one request, empty at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = await stream.receive_some()
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"),
        0,
    )
    while len(body) < length:
        body += await stream.receive_some()
    return head + b"\r\n\r\n" + body
