"""`nessus-sched mcp`: a relay to the daemon, started by a host such as Claude Desktop.

It copies lines from stdin to the daemon's Unix socket and back. It uses little of the standard
library and nothing else: hosts start several copies at once and kill some within a second, so
it has to be as fast and small as a bare interpreter. It survives the daemon: open requests are
answered with an error, and the next line reconnects, silently repeating the handshake of older
protocol versions.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

from nessus_sched.ipc import discovery, leaders
from nessus_sched.ipc.framing import TOO_LONG, LineBuffer, Lost, error_line
from nessus_sched.ipc.relay_messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    closing,
    is_safe_to_retry,
    parse_message,
)

TYPE_CHECKING = False  # `typing` would add a tenth to the start
if TYPE_CHECKING:
    from typing import Any

    from nessus_sched.ipc.autostart import DaemonStarter

FIRST_WAIT = 1.0
"""Seconds to wait for a daemon at first: a host's probe waits as well."""
LATER_WAIT = 10.0
"""Seconds to wait for a daemon that has answered before: it may be restarting."""
START_WAIT = 20.0
"""Seconds to wait for a daemon that this relay started."""
START_AGAIN = 5.0
LINGER = 0.7
"""Seconds for which answers are still delivered after the end of input."""
RETRY = 0.05
PASSED_BY = 2.0
"""Seconds for which a place is passed by where a daemon said that it does not lead, or that closed
the connection without a word."""
RETRIES = 3
"""How often a request that is safe to repeat is sent again after the daemon was lost."""
MAX_ANSWER = 64 * 1024 * 1024
HIGH_WATER = 1024 * 1024
ATOMIC = 4096  # what a writable pipe takes without blocking (PIPE_BUF)

GONE = (
    "The nessus-sched daemon disconnected while working on this; it may be restarting. "
    "Accepted scans are safe. It is not known whether this request took effect: "
    "check with list_tasks or get_scan_status before trying again."
)

STOPPED = (
    "The nessus-sched daemon was stopped, and this client does not start it again. Tell the user "
    "to run 'nessus-sched serve', or to restart the MCP client."
)
NOBODY = (
    "no input, and no daemon is running; this command is for MCP clients to start: see "
    "'nessus-sched mcp --help'"
)


class Relay:
    """One host, and the daemon at one of `paths`, the places of `ipc.leaders`; `starter` starts it
    if it is not running."""

    def __init__(self, paths: list[str], starter: DaemonStarter | None, hint: str) -> None:
        self._paths = paths
        self._starter = starter
        self._hint = hint
        self._host, self._host_open, self._linger_until = LineBuffer(), True, 0.0
        self._to_host = bytearray()
        self._sock: socket.socket | None = None
        self._daemon = LineBuffer(MAX_ANSWER)
        self._to_daemon = bytearray()
        self._waiting: list[bytes] = []
        self._asked = False
        self._give_up_at = 0.0
        self._connect_after = 0.0
        self._start_after = 0.0
        self._trouble = ""
        self._place = ""
        self._heard = False
        """The daemon at `_place` has said something."""
        self._passed_by: dict[str, float] = {}
        """Until when, by place."""
        self._turned_away = ""
        self._connected_before = False
        self._outstanding: dict[str, tuple[Any, bytes]] = {}
        self._lost_times: dict[str, int] = {}
        self._initialize: bytes | None = None
        self._initialized: bytes | None = None
        self._handshaken = False
        self._swallow: str | None = None

    def run(self) -> int:
        """Relays until the host closes its side; returns the exit code."""
        while not self._finished():
            if self._waiting and time.monotonic() >= self._connect_after:
                self._connect()
            for fd, event in self._poll():
                if fd == 0:
                    self._from_host()
                elif fd == 1:
                    if not self._deliver():
                        return 0
                elif self._sock is not None:
                    self._exchange(self._sock, event)
        if not self._asked and not any(map(os.path.exists, self._paths)):
            sys.stderr.write(f"nessus-sched mcp: {NOBODY}\n")
        return 0

    def _finished(self) -> bool:
        if self._host_open:
            return False
        busy = self._outstanding or self._waiting or self._to_host
        return not busy or time.monotonic() > self._linger_until

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        if self._host_open and len(self._to_daemon) < HIGH_WATER and not self._full():
            poll.register(0, select.POLLIN)
        if self._to_host:
            poll.register(1, select.POLLOUT)
        if self._sock is not None:
            reading = select.POLLIN if len(self._to_host) < HIGH_WATER else 0
            poll.register(self._sock, reading | (select.POLLOUT if self._to_daemon else 0))
        if self._waiting:
            return poll.poll(RETRY * 1000)
        return poll.poll(None if self._host_open else LINGER * 1000)

    def _full(self) -> bool:
        return sum(map(len, self._waiting)) > HIGH_WATER

    def _from_host(self) -> None:
        try:
            chunk = os.read(0, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            self._host_open = False
            self._linger_until = time.monotonic() + LINGER
            return
        for line in self._host.feed(chunk):
            if isinstance(line, Lost):
                self._to_host += error_line(INVALID_REQUEST, TOO_LONG, line.request_id)
            else:
                self._accept(line)

    def _accept(self, line: bytes) -> None:
        self._asked = True
        message = parse_message(line) or {}
        method = message.get("method")
        if method == "initialize":
            self._initialize, self._handshaken = line, False
        elif method == "notifications/initialized":
            self._initialized = line
        if self._sock is not None:
            self._send(line)
            return
        if not self._waiting:
            self._give_up_at = time.monotonic() + self._patience()
        self._waiting.append(line)

    def _patience(self) -> float:
        if self._starter is not None:
            self._starter.reap()
            if not self._starter.stopped:
                return START_WAIT
        return LATER_WAIT if self._connected_before else FIRST_WAIT

    def _send(self, line: bytes) -> None:
        """Queues a line for the daemon, and remembers its request."""
        message = parse_message(line) or {}
        method, request_id = message.get("method"), message.get("id")
        if method == "notifications/cancelled":
            params = message.get("params")
            if isinstance(params, dict):
                self._outstanding.pop(repr(params.get("requestId")), None)
        elif method is not None and request_id is not None:
            self._outstanding[repr(request_id)] = (request_id, line)
        self._to_daemon += line + b"\n"

    def _connect(self) -> None:
        now = time.monotonic()
        for path in self._paths:
            if self._passed_by.get(path, 0.0) > now:
                continue
            try:
                sock = leaders.dial(path, 0.5)
            except PermissionError:
                self._trouble = (
                    f"No permission to use {path}: your user is not in the socket's group. Tell "
                    "the user to ask the operator to add them, then to log in again."
                )
            except OSError:
                if path.startswith(leaders.SSH):  # which took long
                    self._passed_by[path] = time.monotonic() + PASSED_BY
            else:
                sock.setblocking(False)
                self._place, self._heard = path, False
                self._connected(sock)
                return
        self._missing(time.monotonic())

    def _connected(self, sock: socket.socket) -> None:
        if self._starter is not None:
            self._starter.done()
        self._sock, self._daemon = sock, LineBuffer(MAX_ANSWER)
        self._trouble = ""
        if self._connected_before and self._handshaken and self._initialize:
            self._swallow = repr(parse_message(self._initialize).get("id"))
            self._to_daemon += self._initialize + b"\n"
            if self._initialized and self._initialized not in self._waiting:
                self._to_daemon += self._initialized + b"\n"
        self._connected_before = True
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._send(line)

    def _missing(self, now: float) -> None:
        """No daemon answers: start one if allowed, keep waiting, or give up."""
        starter = self._starter
        if starter is not None and not self._trouble:
            failure = starter.failure()
            if not (starter.running or starter.stopped or failure) and now > self._start_after:
                self._start_after = now + START_AGAIN
                starter.start()
            if failure is not None:
                self._refuse(f"The nessus-sched daemon could not start: {failure}")
                return
        if self._trouble or now > self._give_up_at:
            stopped = starter is not None and starter.stopped
            self._refuse(self._trouble or (STOPPED if stopped else self._hint))

    def _refuse(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            message = parse_message(line)
            if message is None:
                self._to_host += error_line(PARSE_ERROR, "Not a line of JSON")
            elif "method" in message and message.get("id") is not None:
                self._to_host += error_line(INTERNAL_ERROR, reason, message["id"])

    def _exchange(self, sock: socket.socket, event: int) -> None:
        """Sends to and receives from the daemon what is ready."""
        if event & select.POLLOUT:
            event |= self._pass_on(sock)
        if not event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return
        try:
            chunk = sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lost(sock)
            return
        for line in self._daemon.feed(chunk):
            if isinstance(line, Lost):
                continue
            if leaders.turned_away(parse_message(line) or {}):
                self._elsewhere(sock)
                return
            self._heard = True
            self._answered(line)

    def _pass_on(self, sock: socket.socket) -> int:
        """Sends what the daemon takes. After a disconnect (POLLHUP) its last lines, such as the
        reason, can still be received."""
        try:
            del self._to_daemon[: sock.send(self._to_daemon)]
        except BlockingIOError:
            return 0
        except OSError:
            self._to_daemon.clear()
            return select.POLLHUP
        return 0

    def _answered(self, line: bytes) -> None:
        message = parse_message(line) or {}
        if closing(message):
            self._turned_away = message["error"]["message"]
            return
        if "method" not in message and "id" in message:
            key = repr(message["id"])
            if key == self._swallow:
                self._swallow = None
                return
            self._lost_times.pop(key, None)
            _id, asked = self._outstanding.pop(key, (None, b""))
            if asked and asked == self._initialize:
                self._handshaken = "result" in message
        self._to_host += line + b"\n"

    def _elsewhere(self, sock: socket.socket) -> None:
        """This daemon has read nothing, because it does not lead: ask at the next place."""
        self._passed_by[self._place] = time.monotonic() + PASSED_BY
        sock.close()
        self._sock, self._swallow = None, None
        self._to_daemon.clear()
        outstanding, self._outstanding = self._outstanding, {}
        for _id, line in outstanding.values():
            self._accept(line)

    def _lost(self, sock: socket.socket) -> None:
        """The daemon is gone: answers every open request with an error."""
        if not self._heard and len(self._paths) > 1:
            # Perhaps a forwarded socket, without a daemon behind it.
            self._passed_by[self._place] = time.monotonic() + PASSED_BY
        sock.close()
        # A process that was killed still takes connections until the kernel has closed its files.
        self._connect_after = time.monotonic() + RETRY
        self._sock, self._swallow = None, None
        self._to_daemon.clear()
        if self._starter is not None:
            self._starter.reap()
        outstanding, self._outstanding = self._outstanding, {}
        turned_away, self._turned_away = self._turned_away, ""
        if turned_away:
            reason = f"The nessus-sched daemon closed the connection: {turned_away}."
            for request_id, _line in outstanding.values():
                self._to_host += error_line(INTERNAL_ERROR, reason, request_id)
            return
        for key, (request_id, line) in outstanding.items():
            times = self._lost_times[key] = self._lost_times.get(key, 0) + 1
            if is_safe_to_retry(parse_message(line)) and times <= RETRIES:
                self._accept(line)
            else:
                self._lost_times.pop(key)
                self._to_host += error_line(INTERNAL_ERROR, GONE, request_id)

    def _deliver(self) -> bool:
        """Writes to the host what it takes; False if it is gone."""
        try:
            del self._to_host[: os.write(1, self._to_host[:ATOMIC])]
        except OSError:
            return False
        return True


def main(arguments: list[str]) -> int | None:
    """Runs the relay with the arguments after `mcp`; None if they are not its own and the command
    line interface has to handle them."""
    options: dict[str, list[str]] = {"--config": [], "--socket": []}
    start, leading, rest = True, False, list(arguments)
    while rest:
        name, _, value = rest.pop(0).partition("=")
        if name == "--no-start":
            start = False
        elif name == "--leading":
            leading = True
        elif name in options and (value or rest):
            options[name].append(value or rest.pop(0))
        else:
            return None
    # SIGINT first: Python handles it from the start, so only SIGTERM shows that both are set.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        config, sockets = "".join(options["--config"][-1:]), options["--socket"]
        if leading:
            found = config or discovery.default_config(os.environ)
            return leaders.leading_end(sockets or discovery.candidate_sockets(found, os.environ))
        relay = _relay(config, sockets, start=start)
    except (discovery.UnsafeDirectory, OSError) as error:
        sys.stderr.write(f"nessus-sched mcp: {error}\n")
        return 1
    return relay.run()


def _relay(config: str, sockets: list[str], *, start: bool) -> Relay:
    found = config or discovery.default_config(os.environ)
    paths = leaders.places(found, sockets, os.environ)
    named = sockets or os.environ.get(leaders.VARIABLE)
    starter = None
    if start and found and found != discovery.SYSTEM_CONFIG and not named:
        from nessus_sched.ipc.autostart import DaemonStarter

        file = os.path.abspath(found)
        argv = [sys.executable, "-m", "nessus_sched", "serve", "--config", file, "--on-demand"]
        base = f"{discovery.user_directory(os.environ)}/{discovery.config_key(found)}"
        starter = DaemonStarter(argv, base)
    shown = [each for each in paths if not each.endswith(".standby")]
    hint = (
        f"The nessus-sched daemon is not running: nothing answers at {' or '.join(shown)}. "
        "Tell the user to start it with 'systemctl start nessus-sched' or "
        "'nessus-sched serve --config FILE', then ask again."
    )
    return Relay(paths, starter, hint)
