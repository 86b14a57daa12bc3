"""The certificate: like the self-made one of a fresh Nessus, or one with names."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from functools import cache
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, TLSVersion
from tempfile import TemporaryDirectory

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from nessus_sched.sim.options import derived_key
from nessus_sched.sim.rsa_key import seeded_rsa_key

_BEGINS = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
_ENDS = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


@attrs.frozen
class Certificate:
    """`chain` is the private key and the certificate in PEM, as `ssl` reads it."""

    chain: bytes = attrs.field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate's DER, in hex."""
    pem: bytes = attrs.field(repr=False)


def make_certificate(
    host: str, *, seed: int, generation: int = 0, names: bool = True
) -> Certificate:
    """A certificate for `host` and the names of this machine. Like the API keys, it is derived
    from its arguments, so that it can be pinned in advance; a changed one has the next
    `generation`.

    Without `names` it looks like the one that Nessus installs: RSA, signed by a CA that is not
    sent along, without subject alternative names.
    """
    return _with_names(host, seed, generation) if names else _as_installed(seed, generation)


@cache
def _as_installed(seed: int, generation: int) -> Certificate:
    """Cached, because finding the primes takes most of a second."""
    key = seeded_rsa_key("certificate", seed, generation)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_nessus_name("Nessus Server", "localhost.localdomain"))
        .issuer_name(
            _nessus_name("Nessus Certification Authority", "Nessus Certification Authority")
        )
        .public_key(key.public_key())
        .serial_number(int(derived_key(seed, f"serial number {generation}")[:4], 16) + 1)
        .not_valid_before(_BEGINS)
        .not_valid_after(_ENDS)
        .sign(key, hashes.SHA256())  # the CA's own key does not matter
    )
    return _packed(key, certificate)


def _nessus_name(unit: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Nessus Users United"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "New York"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "NY"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _with_names(host: str, seed: int, generation: int) -> Certificate:
    # Ed25519, because its keys and signatures need no chance.
    secret = derived_key(seed, f"certificate {generation}")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated Nessus")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int(derived_key(seed, f"serial number {generation}")[:16], 16))
        .not_valid_before(_BEGINS)
        .not_valid_after(_ENDS)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    return _packed(key, certificate)


def _packed(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, certificate: x509.Certificate
) -> Certificate:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Certificate(private + pem, hashlib.sha256(der).hexdigest(), pem)


def tls_context(certificate: Certificate) -> SSLContext:
    """HTTP/1.1 only, like Nessus."""
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
