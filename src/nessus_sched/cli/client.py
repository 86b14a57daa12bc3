"""The command line's connection to the daemon, over the socket and protocol that MCP uses.

Plain sockets and JSON: a command makes one call and must start fast.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import click

from nessus_sched import __version__
from nessus_sched.cli.formatting import with_command_names
from nessus_sched.ipc import discovery, leaders

OPERATOR_CALL: Final = "operator/call"
ANSWER_WITHIN: Final = 60.0
_PROTOCOL: Final = "2025-11-25"
_UNKNOWN: Final = "Unknown tool: "
"""How the daemon begins its answer for an operation that it does not know or permit."""


class Refused(click.ClickException):
    """The daemon refused a call; `code` is its stable code. Exit code 1."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(with_command_names(message))
        self.code = code


class NoDaemon(click.ClickException):
    """No daemon answers. Exit code 3."""

    exit_code = 3


class NotLeading(NoDaemon):
    """The daemon waits for another one to go, and says so instead of reading anything."""


class NotAllowed(NoDaemon):
    """A daemon may be listening, but this user may not connect to its socket."""


class DaemonApi(Protocol):
    """What commands call: a daemon, or the state directory of a stopped one. Raises `Refused`."""

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls a tool that models can call, too."""

    def operate(self, action: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls an operator action."""


def check_text(arguments: Any) -> None:
    """Raises `click.UsageError` if an argument is not UTF-8: Python keeps such bytes of the
    command line as surrogates, which JSON cannot represent."""
    if isinstance(arguments, str):
        try:
            arguments.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(arguments).decode(errors="backslashreplace")
            raise click.UsageError(f"'{shown}' is not UTF-8 text") from None
    elif isinstance(arguments, Mapping):
        for value in arguments.values():
            check_text(value)
    elif isinstance(arguments, list | tuple):
        for value in arguments:
            check_text(value)


class Daemon:
    """One connection to a running daemon."""

    def __init__(
        self, sock: socket.socket, lines: BinaryIO, patience: float = ANSWER_WITHIN
    ) -> None:
        self._sock = sock
        self._lines = lines
        self._next = 0
        self._patience = patience

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls a tool that models can call, too. Raises `Refused`."""
        return self._called("tools/call", tool, arguments)

    def operate(self, action: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls an operator action. Raises `Refused`."""
        return self._called(OPERATOR_CALL, action, arguments)

    def wait_up_to(self, seconds: float) -> None:
        """Waits up to `seconds` for each of the following answers."""
        self._patience = seconds
        self._sock.settimeout(seconds)

    def handshake(self) -> None:
        self._request(
            "initialize",
            {
                "protocolVersion": _PROTOCOL,
                "capabilities": {},
                "clientInfo": {"name": "nessus-sched", "version": __version__},
            },
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _called(self, method: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in arguments.items() if value is not None}
        check_text(given)
        result = self._request(method, {"name": name, "arguments": given})
        if result.get("isError"):
            error = (result.get("_meta") or {}).get("nessus-sched/error") or {}
            text = " ".join(part.get("text", "") for part in result["content"])
            raise Refused(str(error.get("message") or text), str(error.get("code") or "failed"))
        answer: dict[str, Any] = result["structuredContent"]
        return answer

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._next += 1
        request_id = self._next
        self._send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == request_id and "method" not in message:
                break
            if message.get("id") is None and "error" in message:
                break  # it refuses every request
        if leaders.turned_away(message):
            raise NotLeading(message["error"]["message"])
        if "error" in message:
            said = str(message["error"]["message"])
            if said.startswith(_UNKNOWN):
                raise click.ClickException(
                    f"the daemon does not know {params['name']}: it is a different release than "
                    "this command (restart it after an upgrade), or your role does not allow it"
                )
            raise click.ClickException(f"the daemon refused: {said}")
        result: dict[str, Any] = message["result"]
        return result

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # its last message is read next
        except OSError as error:
            raise NoDaemon(f"lost the connection to the daemon: {error.strerror}") from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise click.ClickException(f"no answer within {self._patience:g} s") from None
        except OSError as error:
            raise NoDaemon(f"lost the connection to the daemon: {error.strerror}") from error
        if not line:
            raise NoDaemon("the daemon closed the connection")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def daemon(config: Path | None, *, patience: float = ANSWER_WITHIN) -> Iterator[Daemon]:
    """Connects to the daemon of a configuration file; it has `patience` seconds for each answer.
    Raises `NoDaemon`."""
    file = None if config is None else str(config)
    try:
        paths = leaders.places(file, (), os.environ)
    except (discovery.UnsafeDirectory, OSError) as error:
        raise click.ClickException(str(error)) from error
    start = (
        "; start it with 'nessus-sched serve --config FILE' or 'systemctl start nessus-sched'"
        if file or leaders.VARIABLE in os.environ
        else ", and there is no configuration: 'nessus-sched config init' creates one"
    )
    with ExitStack() as stack:
        yield _connected(stack, paths, start, patience)


def _connected(stack: ExitStack, paths: list[str], remedy: str, patience: float) -> Daemon:
    """A connection that ends with `stack`. The daemon leads, unless none does."""
    refusal: NoDaemon | None = None
    for path in paths:
        try:
            sock = stack.enter_context(leaders.dial(path, patience))
        except PermissionError as error:
            raise NotAllowed(
                f"no permission to use {path}: your user is not in the socket's group; ask the "
                "operator to add you, then log in again"
            ) from error
        except OSError:
            continue
        connection = Daemon(sock, stack.enter_context(sock.makefile("rb")), patience)
        try:
            connection.handshake()
        except NoDaemon as error:
            refusal = refusal or error
            continue
        return connection
    if refusal is not None:
        raise refusal
    shown = [each for each in paths if not each.endswith(".standby")]
    raise NoDaemon(f"no daemon answers at {' or '.join(shown)}{remedy}")


LARGEST: Final = 100
"""Rows per page that the tools allow."""


def fetch_all(
    api: DaemonApi, tool: str, rows: str, *, most: int | None = None, **arguments: Any
) -> dict[str, Any]:
    """The tool's last answer with the rows of all pages, up to `most`; `next_cursor` leads to the
    remaining ones."""
    found: list[Any] = []
    while True:
        left = LARGEST if most is None else min(most - len(found), LARGEST)
        answer = api.call(tool, limit=left, **arguments)
        found += answer[rows]
        arguments["cursor"] = answer["next_cursor"]
        if answer["next_cursor"] is None or (most is not None and len(found) >= most):
            return {**answer, rows: found}
