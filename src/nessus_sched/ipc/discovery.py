"""Where daemon and relay find each other. Standard library only: the relay starts with it.

`--socket` or `NESSUS_SCHED_SOCKET` names the socket. Otherwise each configuration file has a
meeting point: a name derived from its real path, in the user's directory
(`$XDG_RUNTIME_DIR/nessus-sched`, or `/tmp/nessus-sched-UID`) and, for a system service, in its
runtime directory (`/run/nessus-sched`). The daemon listens there, or creates a link there to
its socket. Without a configuration file the system service is used.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # `typing` and `contextlib` take longer to import than all the rest
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_CONFIG = "/etc/nessus-sched/config.yaml"
SYSTEM_DIRECTORY = "/run/nessus-sched"
SYSTEM_SOCKETS = (f"{SYSTEM_DIRECTORY}/mcp.sock", "/run/nessus-sched-mcp.sock")
"""Sockets of the service itself, and of its socket unit."""


class UnsafeDirectory(Exception):
    """Others can write to the user's runtime directory; nothing in it can be trusted."""


def default_config(environ: Mapping[str, str]) -> str | None:
    """The configuration file if none is named: the first that exists of `NESSUS_SCHED_CONFIG`, the
    user's and the system's; None if there is none."""
    named = environ.get("NESSUS_SCHED_CONFIG")
    if named:
        return named
    for path in config_places(environ):
        if os.path.exists(path):
            return path
    return None


def config_places(environ: Mapping[str, str]) -> tuple[str, str]:
    """Where to look for a configuration if none is named: the user's, the system's."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return f"{home}/nessus-sched/config.yaml", SYSTEM_CONFIG


def config_key(config: str) -> str:
    """The name of a configuration file's meeting point: 64-bit FNV-1a of its real path (importing
    `hashlib` would add a fifth to the relay's start)."""
    key = 0xCBF29CE484222325
    for byte in os.fsencode(os.path.realpath(config)):
        key = (key ^ byte) * 0x100000001B3 % 2**64
    return f"{key:016x}"


def user_directory(environ: Mapping[str, str]) -> str:
    """The user's own runtime directory; created if missing.

    Raises `UnsafeDirectory` if someone else could put a socket there: a fake daemon would
    receive targets and results.
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        path = f"{runtime}/nessus-sched"
    else:
        path = f"/tmp/nessus-sched-{os.getuid()}"  # noqa: S108 - checked below
    os.makedirs(path, 0o700, exist_ok=True)
    found = os.lstat(path)
    private = not stat.S_IMODE(found.st_mode) & 0o077
    if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private):
        raise UnsafeDirectory(f"{path} must be a directory owned by you with mode 0700")
    return path


def default_socket(config: str, environ: Mapping[str, str]) -> str:
    """Where a daemon listens unless its configuration says otherwise."""
    directory = environ.get("RUNTIME_DIRECTORY")
    if directory:
        return f"{directory.split(':')[0]}/mcp.sock"
    return f"{user_directory(environ)}/{config_key(config)}.sock"


def candidate_sockets(config: str | None, environ: Mapping[str, str]) -> list[str]:
    """Where a relay looks for the daemon of a configuration file, in this order."""
    if config is None:
        return list(SYSTEM_SOCKETS)
    name = f"{config_key(config)}.sock"
    found = [f"{user_directory(environ)}/{name}", f"{SYSTEM_DIRECTORY}/{name}"]
    if os.path.realpath(config) == SYSTEM_CONFIG:
        found += SYSTEM_SOCKETS
    return found


def standby_of(socket_path: str) -> str:
    """Where a daemon listens that would listen at `socket_path` if it led."""
    return f"{socket_path.removesuffix('.sock')}.standby"


def meeting_points(config: str, environ: Mapping[str, str]) -> list[str]:
    """Where a daemon can be found that has this environment."""
    directories = [user_directory(environ)]
    if environ.get("RUNTIME_DIRECTORY"):
        directories.append(environ["RUNTIME_DIRECTORY"].split(":")[0])
    return [f"{directory}/{config_key(config)}.sock" for directory in directories]


def create_links(
    config: str, socket_path: str, environ: Mapping[str, str], *, standby: bool = False
) -> list[str]:
    """Links the meeting points of `config` to the socket at `socket_path`; returns the links, for
    `remove_links`."""
    target = os.path.abspath(socket_path)
    points = meeting_points(config, environ)
    links = [link for each in points if (link := standby_of(each) if standby else each) != target]
    for link in links:
        temporary = f"{link}.{os.getpid()}"
        os.symlink(target, temporary)
        os.replace(temporary, link)
    return links


def remove_links(links: list[str], socket_path: str) -> None:
    """Removes those `links` that still lead to `socket_path`."""
    for link in links:
        if os.path.islink(link) and os.readlink(link) == os.path.abspath(socket_path):
            os.unlink(link)
