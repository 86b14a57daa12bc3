"""Where clients look for the daemon that leads. Standard library only: the relay starts with it.

A place is the path of a socket, or `ssh://[USER@]HOST`: a machine on which the same user may run
`nessus-sched mcp --leading`. A daemon that waits listens at another path than one that leads. Only
where systemd holds the socket it cannot: there it turns clients away (`turned_away`).
"""

from __future__ import annotations

import os
import select
import socket
import sys

from nessus_sched.ipc import discovery

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

SSH = "ssh://"
LEADS = b"nessus-sched leads here\n"
"""The first line from a machine that was reached by ssh."""
SSH_WITHIN = 10.0
"""Seconds for ssh to connect and log in."""
_CHUNK = 65536

VARIABLE = "NESSUS_SCHED_SOCKET"
"""Names places, separated by commas."""

_children: list[subprocess.Popen[bytes]] = []


def places(config: str | None, named: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Where to look, in this order: for a leader at the sockets of a configuration, or those
    that are `named`; for a leader elsewhere; for a daemon of this machine that waits."""
    named = list(named) or [each for each in environ.get(VARIABLE, "").split(",") if each]
    found = named or discovery.candidate_sockets(config, environ)
    sockets = [each for each in found if not each.startswith(SSH)]
    listed = [] if named else _listed(sockets)
    return list(dict.fromkeys([*found, *listed, *map(discovery.standby_of, sockets)]))


def write_list(leaders: Sequence[str], sockets: Sequence[str]) -> None:
    """Leaves a list of places beside each of these sockets, for `places`. It stays when the
    daemon ends: then it is needed most."""
    for path in map(_list_of, sockets):
        if not leaders:
            if os.path.exists(path):
                os.unlink(path)
            continue
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(f"{each}\n" for each in leaders)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)


def _listed(sockets: Sequence[str]) -> list[str]:
    found: list[str] = []
    for path in map(_list_of, sockets):
        try:
            with open(path, encoding="utf-8") as file:
                found += file.read().split("\n")
        except (OSError, UnicodeDecodeError):
            continue
    return [each for each in found if each]


def _list_of(path: str) -> str:
    return f"{path.removesuffix('.sock')}.leaders"


def dial(place: str, timeout: float) -> socket.socket:
    """A connection to a daemon. Raises `OSError`; `PermissionError` if this user may not connect.
    `timeout` (seconds) is that of the socket, too."""
    if place.startswith(SSH):
        sock = _by_ssh(place.removeprefix(SSH))
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(place)
        except PermissionError as error:
            sock.close()
            if place.endswith(".standby"):  # the socket of the leader counts
                raise ConnectionRefusedError(str(error)) from error
            raise
        except BaseException:
            sock.close()
            raise
    sock.settimeout(timeout)
    return sock


def _by_ssh(host: str) -> socket.socket:
    import subprocess

    if host.startswith("-"):
        raise OSError(f"{host} is not a host")
    program = os.environ.get("NESSUS_SCHED_SSH", "ssh")
    options = ("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5")
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            child = subprocess.Popen(
                [program, *options, host, "nessus-sched", "mcp", "--leading"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        _children[:] = [each for each in _children if each.poll() is None]
        _children.append(child)
        ours.settimeout(SSH_WITHIN)
        said = b""
        while len(said) < len(LEADS):
            more = ours.recv(len(LEADS) - len(said))
            if not more:
                break
            said += more
        if said != LEADS:
            raise ConnectionRefusedError(f"no daemon leads on {host}")
    except BaseException:
        ours.close()  # which ends ssh
        raise
    return ours


def turned_away(message: Mapping[str, object]) -> bool:
    """Whether a daemon says, instead of reading anything, that it does not lead."""
    error = message.get("error")
    data = error.get("data") if isinstance(error, dict) else None
    return message.get("id") is None and isinstance(data, dict) and data.get("standby") is True


def leading_end(paths: Sequence[str]) -> int:
    """The far end of `_by_ssh`: says that a daemon leads here, then passes on everything until one
    side closes. Returns 3 if none leads."""
    for path in paths:
        try:
            sock = dial(path, 5.0)
        except OSError:
            continue
        sock.setblocking(True)
        _write(1, LEADS)
        _pass_on(sock)
        return 0
    sys.stderr.write("nessus-sched mcp: no daemon leads on this machine\n")
    return 3


def _pass_on(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(sock, select.POLLIN)
    while True:
        for fd, _event in poll.poll():
            chunk = os.read(0, _CHUNK) if fd == 0 else sock.recv(_CHUNK)
            if not chunk and fd != 0:
                return
            if not chunk:
                sock.shutdown(socket.SHUT_WR)  # answers may follow
                poll.unregister(0)
            elif fd == 0:
                sock.sendall(chunk)
            else:
                _write(1, chunk)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
