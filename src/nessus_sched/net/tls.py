"""TLS contexts: system CAs, a CA file, a pinned certificate, or no check at all."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from functools import cache
from typing import Final, cast

import trio

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.scanner import CertificateMismatch, Unreachable
from nessus_sched.net.failures import clean, system_words

FETCH_SECONDS: Final = 15.0


class WrongPin(ssl.SSLCertVerificationError):
    """The certificate is not the pinned one."""


class WrongName(ssl.SSLCertVerificationError):
    """The certificate is trusted but issued for other names than the one requested."""


def context_for(tls: TlsSettings) -> ssl.SSLContext:
    """The context to connect with. Raises `CertificateMismatch` for an unusable CA file."""
    if tls.fingerprint is not None:
        return _pinned(tls.fingerprint)
    if not tls.verify:
        return _unchecked()
    if tls.ca_file is None:
        return _system()
    problem = ""
    try:
        return _trusting(str(tls.ca_file))
    except (OSError, ValueError) as error:
        problem = type(error).__name__
    raise CertificateMismatch(
        f"The CA file {tls.ca_file} cannot be used ({problem}); it must hold certificates in PEM."
    )


def explain(error: ssl.SSLCertVerificationError, url: str) -> str:
    """A message that says what is wrong with the certificate and what to do."""
    if isinstance(error, WrongPin | WrongName):
        return f"The certificate of {url} {error.args[1]}"
    return (
        f"The certificate of {url} is not trusted ({error.verify_message}). Pin it with "
        "`tls.fingerprint` or name its CA with `tls.ca_file`; `nessus-sched config init` "
        "shows the fingerprint."
    )


async def fetch_fingerprint(host: str, port: int) -> str:
    """The SHA-256 fingerprint (64 hex digits) of a server's certificate, for a person to
    compare and pin. Raises `Unreachable`."""
    problem = f"no answer within {FETCH_SECONDS:.0f} s"
    with trio.move_on_after(FETCH_SECONDS):
        try:
            stream = await trio.open_ssl_over_tcp_stream(
                host, port, ssl_context=_unchecked(), https_compatible=True
            )
            async with stream:
                await stream.do_handshake()
                shown = stream.getpeercert(binary_form=True)
            return _fingerprint(shown)
        except (OSError, trio.BrokenResourceError) as error:
            problem = (system_words(error) or "no TLS there").lower()
    raise Unreachable(f"No certificate received from {host}:{port}: {problem}.")


def _fingerprint(certificate: bytes | None) -> str:
    return hashlib.sha256(certificate or b"").hexdigest()


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def _system() -> ssl.SSLContext:
    """Shared, because loading the system's CAs takes about a megabyte and 20 ms."""
    return ssl.create_default_context()


def _pinned(fingerprint: str) -> ssl.SSLContext:
    wanted = fingerprint.replace(":", "").lower()

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = _fingerprint(self.getpeercert(binary_form=True))
            if shown != wanted:
                raise WrongPin(
                    1,
                    f"has the fingerprint {shown}, not the trusted {wanted}. If it was renewed on "
                    "purpose, update `tls.fingerprint`; otherwise the connection may be "
                    "intercepted.",
                )

    context = _unchecked()
    context.sslobject_class = Pinned
    return context


def _trusting(ca_file: str) -> ssl.SSLContext:
    """Trusts the content of a CA file: a CA, or the server's own certificate.

    Nessus's self-made certificates have no subjectAltName, and their CA lacks extensions that
    strict checking requires. So the chain is not checked strictly, and the name is checked only
    if the certificate has names.
    """

    class Named(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            names = _names(self)
            if names and not any(_matches(*name, self.server_hostname) for name in names):
                known = clean(", ".join(name for _, name in names[:5]))
                raise WrongName(
                    1,
                    f"is issued for {known}; use such a name in `url`, or pin the certificate.",
                )

    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.sslobject_class = Named
    return context


def _names(connection: ssl.SSLObject) -> Sequence[tuple[str, str]]:
    """The subjectAltName of the peer's certificate. Raises `WrongName` if it cannot be read,
    because any other error would pass unchanged through Trio and httpx."""
    try:
        shown = connection.getpeercert() or {}
    except ValueError:
        raise WrongName(1, "has unreadable names; pin it if you trust it.") from None
    return cast("Sequence[tuple[str, str]]", shown.get("subjectAltName", ()))


def _matches(kind: str, name: str, host: str | None) -> bool:
    if host is None:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return kind == "DNS" and _dns_matches(name.lower(), host.lower().rstrip("."))
    try:
        return kind == "IP Address" and ipaddress.ip_address(name.strip()) == address
    except ValueError:
        return False  # OpenSSL writes "<invalid>" for an address of a wrong length


def _dns_matches(pattern: str, host: str) -> bool:
    """A `*` matches exactly one leftmost label (RFC 6125)."""
    if not pattern.startswith("*."):
        return pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:] and "." in rest
