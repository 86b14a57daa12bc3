"""A self-signed certificate like the one a fresh Nessus has."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, TLSVersion
from tempfile import TemporaryDirectory

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = dt.timedelta(days=4 * 365)
_BEFORE = dt.timedelta(days=1)


@attrs.frozen
class Certificate:
    """`chain` is the private key and the certificate in PEM, as `ssl` reads it."""

    chain: bytes = attrs.field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate's DER, in hex."""
    pem: bytes = attrs.field(repr=False)


def make_certificate(host: str, *, now: float) -> Certificate:
    """For `host` and the names of this machine; `now` is epoch seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated Nessus")])
    begins = dt.datetime.fromtimestamp(now, dt.UTC) - _BEFORE
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + _VALID)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Certificate(private + pem, hashlib.sha256(der).hexdigest(), pem)


def tls_context(certificate: Certificate) -> SSLContext:
    """HTTP/1.1 only, as Nessus."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.minimum_version = TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with TemporaryDirectory() as directory:  # `ssl` reads keys from files only
        path = Path(directory, "chain.pem")
        path.touch(mode=0o600)
        path.write_bytes(certificate.chain)
        context.load_cert_chain(path)
    return context


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    for address in dict.fromkeys(("127.0.0.1", "::1", host)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        except ValueError:
            if address != "localhost":
                names.append(x509.DNSName(address))
    return names
