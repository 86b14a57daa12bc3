"""Syslog: framing, what a server receives, and what each failure says."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from nessus_sched.config.delivery import JsonLinesSink, SinkSettings
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.delivery.ecs import events_of
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from nessus_sched.delivery.sinks.syslog import local_line
from support.counterparts import NoScans, full_document, message, raw_server
from support.tls_server import Shown, by_trustme

NOW: Final = 1_790_000_000.0
HEAD: Final = re.compile(
    r"<([0-9]{1,3})>1 2026-09-21T14:13:20\.000\+00:00 ([!-~]{1,255}) nessus-sched [0-9]+ "
    r"(summary|task|event|finding) - (\{.*\})",
)
"""A message of RFC 5424, section 6, with the fields that we send."""

LOCAL: Final = re.compile(
    r"<([0-9]{1,3})>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} nessus-sched\[[0-9]+\]: (\{.*\})"
)
"""As syslog(3) writes it."""
LEVELS: Final = [30, 28, 27, 26, 26, 26, 30, 30, 30]
"""System daemons, from informational to critical."""


def syslog(address: str, tls: TlsSettings | None = None) -> Sink:
    sink = JsonLinesSink(syslog=address, tls=tls or TlsSettings())
    return sink_for(SinkSettings(name="siem", json_lines=sink), wall=lambda: NOW, scans=NoScans())


async def failure_of(sink: Sink) -> SinkFailed:
    with pytest.raises(SinkFailed) as failed:
        await sink.deliver(message(full_document()))
    return failed.value


def parsed(line: bytes) -> tuple[int, str, dict[str, Any]]:
    """Priority, kind and event of a message."""
    found = HEAD.fullmatch(line.decode("ascii"))
    assert found, line
    return int(found[1]), found[3], json.loads(found[4])


def frames(stream: bytes) -> list[bytes]:
    """The messages of a stream with octet counting (RFC 6587)."""
    found = []
    while stream:
        count, _, rest = stream.partition(b" ")
        found.append(rest[: int(count)])
        assert len(found[-1]) == int(count)
        stream = rest[int(count) :]
    return found


def check(lines: Sequence[bytes]) -> None:
    read = [parsed(line) for line in lines]
    assert [kind for _, kind, _ in read] == ["summary", "task", "event", *["finding"] * 6]
    assert [level for level, _, _ in read] == LEVELS
    assert [event["event"]["id"] for _, _, event in read] == [f"soc.41.{n}" for n in range(9)]


@asynccontextmanager
async def datagrams(family: int, address: Any) -> AsyncIterator[tuple[Any, list[bytes]]]:
    """A socket that receives; yields its address and what it received by the end."""
    received: list[bytes] = []
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        yield receiver.getsockname(), received
        receiver.setblocking(False)
        while True:
            try:
                received.append(receiver.recv(65536))
            except BlockingIOError:
                break


async def test_a_local_socket() -> None:
    with tempfile.TemporaryDirectory() as folder:  # short: a socket's path has a limit
        path = f"{folder}/log"
        async with datagrams(socket.AF_UNIX, path) as (_, received):
            await syslog(f"unix:{path}").deliver(message(full_document()))
    read = [LOCAL.fullmatch(line.decode("ascii")) for line in received]
    assert [each and int(each[1]) for each in read] == LEVELS
    ids = [json.loads(each[2])["event"]["id"] for each in read if each]
    assert ids == [f"soc.41.{n}" for n in range(9)]


@pytest.mark.parametrize(
    ("zone", "moment"),
    [("UTC", "Sep  1 00:00:01"), ("<+12>-12", "Sep  1 12:00:01"), ("<-05>5", "Aug 31 19:00:01")],
)
def test_local_sockets_get_local_time(
    zone: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        sent = datetime(2026, 9, 1, 0, 0, 1, tzinfo=UTC)
        line = local_line(next(events_of(message())), sent).decode()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert line.startswith(f"<30>{moment} nessus-sched[")


async def test_udp(autojump_clock: object) -> None:
    async with datagrams(socket.AF_INET, ("127.0.0.1", 0)) as ((_, port), received):
        await syslog(f"udp://127.0.0.1:{port}").deliver(message(full_document()))
    check(received)


@attrs.define
class Stream:
    """Receives a stream to its end, then closes."""

    received: bytearray = attrs.field(factory=bytearray)

    async def __call__(self, stream: trio.SocketStream) -> None:
        async with stream:
            async for piece in stream:
                self.received += piece


@attrs.define
class Encrypted:
    shown: Shown
    received: bytearray = attrs.field(factory=bytearray)
    clean: bool = True
    """Whether it says that it closes."""

    async def __call__(self, plain: trio.SocketStream) -> None:
        stream = trio.SSLStream(
            plain, self.shown.context, server_side=True, https_compatible=not self.clean
        )
        try:
            async for piece in stream:
                self.received += piece
            await stream.aclose()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)


async def test_tcp_counts_octets_and_says_that_nothing_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nessus_sched.delivery.sinks.syslog.LINGER", 1000.0)
    server = Stream()
    async with raw_server(server) as port:
        await syslog(f"tcp://127.0.0.1:{port}").deliver(message(full_document()))
    check(frames(bytes(server.received)))


@pytest.mark.parametrize("clean", [True, False])
async def test_tls(clean: bool, tmp_path: Path) -> None:
    server = Encrypted(by_trustme("127.0.0.1"), clean=clean)
    async with raw_server(server) as port:
        address = f"tls://127.0.0.1:{port}"
        trusting = TlsSettings(ca_file=server.shown.ca_file(tmp_path))
        await syslog(address, trusting).deliver(message(full_document()))
        check(frames(bytes(server.received)))
        untrusted = await failure_of(syslog(address))
        pinned = await failure_of(syslog(address, TlsSettings(fingerprint="0" * 64)))
        missing = await failure_of(syslog(address, TlsSettings(ca_file=tmp_path / "no.pem")))
    assert {each.kind for each in (untrusted, pinned, missing)} == {Failure.HOLD}
    assert f"tls://127.0.0.1:{port} is not trusted" in str(untrusted)
    assert "no.pem cannot be used" in str(missing)


async def test_a_server_that_does_not_speak_tls() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"what?\n")
        await stream.aclose()

    async with raw_server(hang_up) as port:
        failed = await failure_of(syslog(f"tls://127.0.0.1:{port}"))
    assert str(failed) == "no TLS there"
    assert failed.kind is Failure.TRY_AGAIN


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
async def test_a_server_that_is_down(scheme: str) -> None:
    async with raw_server(Stream()) as port:
        pass
    failed = await failure_of(syslog(f"{scheme}://127.0.0.1:{port}"))
    assert str(failed) == "connection refused"
    assert failed.kind is Failure.TRY_AGAIN


async def test_udp_to_nobody(autojump_clock: object) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    failed = await failure_of(syslog(f"udp://127.0.0.1:{port}"))
    assert str(failed) == "connection refused"


async def test_a_local_socket_that_is_missing_or_something_else(tmp_path: Path) -> None:
    missing = await failure_of(syslog(f"unix:{tmp_path}/log"))
    plain = tmp_path / "file"
    plain.write_text("")
    refused = await failure_of(syslog(f"unix:{plain}"))
    too_long = await failure_of(syslog("unix:/" + "x" * 200))
    assert missing.kind is Failure.HOLD
    assert str(missing) == "no such file or directory"
    assert refused.kind is Failure.TRY_AGAIN
    assert too_long.kind is Failure.HOLD
    assert str(too_long) == "the path of the socket is too long"


async def test_a_connection_that_breaks() -> None:
    async def reset(stream: trio.SocketStream) -> None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.receive_some(1)
        await stream.aclose()

    async with raw_server(reset) as port:
        failed = await failure_of(syslog(f"tcp://127.0.0.1:{port}"))
    assert failed.kind is Failure.TRY_AGAIN


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
async def test_a_server_that_reads_nothing(scheme: str, autojump_clock: object) -> None:
    async def ignore(stream: trio.SocketStream) -> None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        await trio.sleep_forever()

    large = full_document([f"host-{n}.example.com" for n in range(250)])
    for group in large["groups"]:
        group["plugin_name"] = "\xe9" * 300
    async with raw_server(ignore) as port:
        sink = syslog(f"{scheme}://127.0.0.1:{port}")
        with pytest.raises(SinkFailed, match="no answer within 30 s") as failed:
            await sink.deliver(message(large))
        with trio.move_on_after(1) as scope:
            await sink.deliver(message(large))
    assert failed.value.kind is Failure.TRY_AGAIN
    assert scope.cancelled_caught


RSYSLOG: Final = """
global(workDirectory="{folder}" maxMessageSize="8k"
       defaultNetstreamDriverCAFile="{folder}/ca.pem"
       defaultNetstreamDriverCertFile="{folder}/cert.pem"
       defaultNetstreamDriverKeyFile="{folder}/key.pem")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
template(name="parsed" type="list") {{
  property(name="inputname") constant(value=" ")
  property(name="syslogfacility-text") constant(value=".")
  property(name="syslogseverity-text") constant(value=" ")
  property(name="app-name") constant(value=" ")
  property(name="msgid") constant(value=" ")
  property(name="msg") constant(value="\\n")
}}
ruleset(name="all") {{ action(type="omfile" file="{folder}/out" template="parsed") }}
input(type="imuxsock" socket="{folder}/log" ruleset="all" ratelimit.interval="0")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
{tls}
"""
TLS_INPUT: Final = """
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="all"
      streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
"""


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def rsyslog_can_tls() -> bool:
    return any(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so"))


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("rsyslogd") is None, reason="rsyslogd (package rsyslog) is not here"
)
async def test_rsyslog_understands_every_line() -> None:
    shown = by_trustme("127.0.0.1")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        ports = [free_port(socket.SOCK_DGRAM), *(free_port(socket.SOCK_STREAM) for _ in range(2))]
        shown.write(folder)
        config, pid = folder / "rsyslog.conf", folder / "pid"
        encrypted = TLS_INPUT.format(port=ports[2]) if rsyslog_can_tls() else ""
        config.write_text(RSYSLOG.format(folder=folder, udp=ports[0], tcp=ports[1], tls=encrypted))
        addresses = {
            "imuxsock": f"unix:{folder}/log",
            "imudp": f"udp://127.0.0.1:{ports[0]}",
            "imtcp": f"tcp://127.0.0.1:{ports[1]}",
        }
        if encrypted:
            addresses["encrypted"] = f"tls://127.0.0.1:{ports[2]}"
        trusting = TlsSettings(ca_file=folder / "ca.pem")
        command = ["rsyslogd", "-n", "-C", "-i", str(pid), "-f", str(config)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.run_process, command)
            for address in addresses.values():
                await delivered(syslog(address, trusting))
            out = await lines_of(folder / "out", 9 * len(addresses))
            nursery.cancel_scope.cancel()
    levels = ["info", "warning", "err", "crit", "crit", "crit", "info", "info", "info"]
    for name in ("imuxsock", "imudp", "imtcp"):
        told = [line.split(" ", 4) for line in out if line.startswith(f"{name} ")]
        times = 2 if encrypted and name == "imtcp" else 1
        assert [each[1] for each in told] == [f"daemon.{level}" for level in levels] * times
        assert {each[2] for each in told} == {"nessus-sched"}
        kinds = ["summary", "task", "event", *["finding"] * 6]
        kinds = ["-"] * 9 if name == "imuxsock" else kinds
        assert [each[3] for each in told] == kinds * times
        ids = [json.loads(each[4])["event"]["id"] for each in told]
        assert ids == [f"soc.41.{n}" for n in range(9)] * times


async def delivered(sink: Sink) -> None:
    """Waits until the server is up."""
    with trio.fail_after(30):
        while True:
            try:
                await sink.deliver(message(full_document()))
            except SinkFailed:
                await trio.sleep(0.1)
            else:
                return


async def lines_of(path: Path, count: int) -> list[str]:
    with trio.fail_after(30):
        while not path.exists() or path.read_text().count("\n") < count:  # noqa: ASYNC110
            await trio.sleep(0.1)
    return path.read_text().splitlines()
