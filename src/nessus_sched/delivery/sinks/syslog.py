"""Sends events to a syslog server: over UDP, TCP or TLS (RFC 5424), or to a local socket.

Syslog has no acknowledgements. Over TCP and TLS, each message gets a connection of its own, and
counts as delivered once the server has closed it after us; what a server does not close within
`LINGER` seconds counts as delivered, too. Datagrams count as delivered when they are sent.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.message import Message
from nessus_sched.core.scanner import CertificateMismatch
from nessus_sched.delivery.ecs import EcsEvent, events_of
from nessus_sched.delivery.requests import no_connection
from nessus_sched.delivery.sinks.port import Failure, SinkFailed
from nessus_sched.net import tls
from nessus_sched.net.failures import system_words

SECONDS: Final = 30.0
"""For one message, from connecting to its last byte."""
LINGER: Final = 3.0
BURST: Final = 50
"""Lines between two looks at what else there is to do."""
PAUSE: Final = 0.01
"""Seconds after each burst of datagrams, because receivers drop what they have no room for."""
FACILITY: Final = 3
"""System daemons."""
_LEVELS: Final = (6, 5, 4, 3, 2)
"""Informational to critical, for severities 0 to 4."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
_WRONG: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EPROTOTYPE, errno.ENOTSOCK, errno.ENOTDIR}
)


@attrs.frozen(kw_only=True)
class Syslog:
    """`address` is `unix:/path`, or `udp`, `tcp` or `tls`, `://`, host and port."""

    address: str
    tls: TlsSettings
    wall: Now
    host_name: Callable[[], str] = socket.gethostname

    async def deliver(self, message: Message) -> None:
        sent, host = datetime.fromtimestamp(self.wall(), UTC), self.host_name()
        local = self.address.startswith("unix:")
        lines: list[bytes] = []
        for event in events_of(message):
            lines.append(local_line(event, sent) if local else line_of(event, sent, host))
            if len(lines) % BURST == 0:
                await trio.lowlevel.checkpoint()
        failed = SinkFailed(f"no answer within {SECONDS:g} s", Failure.TRY_AGAIN)
        with trio.move_on_after(SECONDS):
            try:
                await self._send(lines)
            except (OSError, trio.BrokenResourceError) as error:
                failed = self._failed(error)
            except CertificateMismatch as error:
                failed = SinkFailed(str(error), Failure.HOLD)
            else:
                return
        raise failed

    async def _send(self, lines: Iterable[bytes]) -> None:
        if self.address.startswith("unix:"):
            await _send_datagrams(socket.AF_UNIX, self.address.removeprefix("unix:"), lines)
            return
        url = urlsplit(self.address)
        host, port = url.hostname or "", url.port or 514
        if url.scheme == "udp":
            (found, *_) = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            await _send_datagrams(found[0], found[4], lines)
        elif url.scheme == "tcp":
            await _send_stream(await trio.open_tcp_stream(host, port), lines)
        else:
            await self._send_encrypted(host, port, lines)

    async def _send_encrypted(self, host: str, port: int, lines: Iterable[bytes]) -> None:
        context = tls.context_for(self.tls)
        async with await trio.open_tcp_stream(host, port) as plain:
            stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
            await stream.do_handshake()
            await stream.send_all(b"".join(map(_counted, lines)))
            with trio.move_on_after(LINGER):
                await _end(stream)

    def _failed(self, error: OSError | trio.BrokenResourceError) -> SinkFailed:
        known = no_connection(error, self.address)
        if known is not None:
            return known
        wrong = isinstance(error, OSError) and error.errno in _WRONG
        words = (system_words(error) or "the connection broke off").lower()
        if self.address.startswith("unix:") and isinstance(error, OSError) and not error.errno:
            wrong, words = True, "the path of the socket is too long"
        if isinstance(error.__cause__, ssl.SSLError):
            words = "no TLS there"
        return SinkFailed(words, Failure.HOLD if wrong else Failure.TRY_AGAIN)


def local_line(event: EcsEvent, sent: datetime) -> bytes:
    """A message as programs write it to a local socket, which journald and rsyslog expect there:
    in local time, without a year and a host."""
    here = sent.astimezone()
    moment = f"{_MONTHS[here.month - 1]} {here.day:2} {here:%H:%M:%S}"
    return f"<{_priority(event)}>{moment} nessus-sched[{os.getpid()}]: ".encode() + event.json


def line_of(event: EcsEvent, sent: datetime, host_name: str) -> bytes:
    """A message of RFC 5424 without framing."""
    host = "".join(filter(_printable, host_name))[:255] or "-"
    moment = sent.isoformat(timespec="milliseconds")
    head = f"<{_priority(event)}>1 {moment} {host} nessus-sched {os.getpid()} {event.dataset} - "
    return head.encode() + event.json


def _priority(event: EcsEvent) -> int:
    return FACILITY * 8 + _LEVELS[event.severity]


def _printable(character: str) -> bool:
    return "!" <= character <= "~"


def _counted(line: bytes) -> bytes:
    """With its length (RFC 6587, 3.4.1)."""
    return b"%d %s" % (len(line), line)


async def _send_datagrams(family: int, address: object, lines: Iterable[bytes]) -> None:
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sender:
        await sender.connect(address)
        for number, line in enumerate(lines, 1):
            await sender.send(line)
            if number % BURST == 0:
                await trio.sleep(PAUSE)


async def _send_stream(stream: trio.SocketStream, lines: Iterable[bytes]) -> None:
    async with stream:
        await stream.send_all(b"".join(map(_counted, lines)))
        await stream.send_eof()
        with trio.move_on_after(LINGER):
            while await stream.receive_some():
                pass


async def _end(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Says that nothing follows, and waits for the other side to close."""
    try:
        await stream.unwrap()
    except trio.BrokenResourceError as error:
        if not isinstance(error.__cause__, ssl.SSLEOFError):
            raise
