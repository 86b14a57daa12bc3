"""Machines that are network namespaces around a router, on which any two can be parted.

Every machine has one cable to the router. A cut is a rule there that drops packets without a word,
as a broken network does; the ends learn nothing. It may be in one direction alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

HUB: Final = "hub"
NODES: Final = ("one", "two", "db1", "db2", "scanners")
"""Two machines for daemons, two for the database, one for the scanners."""
SERVICE: Final = "203.0.113.200"
"""Address of the database, wherever it is."""
_PREFIX: Final = "failover-"
_NAMES: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def lacking() -> str | None:
    """Why there can be no such network here; None if there can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    missing = [name for name in ("ip", "nsenter", "setpriv") if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


@attrs.frozen(order=True)
class Cut:
    """Packets from one address to another are dropped."""

    source: str
    destination: str


@attrs.define
class Network:
    """Namespaces are named for this process. `cut` and `mend` may be called in any order."""

    _prefix: str
    _cuts: set[Cut] = attrs.field(factory=set)

    def namespace(self, node: str) -> str:
        return f"{self._prefix}{node}"

    def inside(self, node: str) -> list[str]:
        """Begins an argument list of a program on that machine that dies with this process. The
        parent has to be the main thread: the kernel looks at threads."""
        entered = ["nsenter", f"--net={_NAMES / self.namespace(node)}", "--"]
        return [*entered, "setpriv", "--pdeathsig", "KILL", "--"]

    def cut(self, *cuts: Cut) -> None:
        for each in sorted(set(cuts) - self._cuts):
            self._rule("add", each)
        self._cuts |= set(cuts)

    def mend(self, *cuts: Cut) -> None:
        for each in sorted(set(cuts) & self._cuts):
            self._rule("del", each)
        self._cuts -= set(cuts)

    def unplug(self, node: str) -> None:
        self._ip("-n", self.namespace(node), "link", "set", "eth0", "down")

    def plug_in(self, node: str) -> None:
        self._ip("-n", self.namespace(node), "link", "set", "eth0", "up")
        self._ip("-n", self.namespace(node), "route", "replace", "default", "via", gateway(node))

    def serve_from(self, node: str) -> None:
        """Moves the address of the database."""
        route = ["route", "replace", SERVICE, "via", address(node)]
        self._ip("-n", self.namespace(HUB), *route)

    @contextmanager
    def entered(self, node: str) -> Iterator[None]:
        """Sockets that this thread makes in the block are on that machine. The block must not
        wait: everything else in this thread would be there, too."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self.enter(node)
            try:
                yield
            finally:
                _setns(here)
        finally:
            os.close(here)

    def enter(self, node: str) -> None:
        """From now on this thread, and those that it starts, are on that machine."""
        there = os.open(_NAMES / self.namespace(node), os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)

    def socket_in(self, node: str) -> socket.socket:
        with self.entered(node):
            return socket.socket(socket.AF_INET)

    def _rule(self, verb: str, cut: Cut) -> None:
        where = ["rule", verb, "from", cut.source, "to", cut.destination]
        self._ip("-n", self.namespace(HUB), *where, "blackhole", "pref", "100")

    def _build(self) -> None:
        for node in (HUB, *NODES):
            self._ip("netns", "add", self.namespace(node))
            self._ip("-n", self.namespace(node), "link", "set", "lo", "up")
        for node in NODES:
            self._connect(node)
        forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"]
        self._ip("netns", "exec", self.namespace(HUB), *forward)
        for node in ("db1", "db2"):
            self._ip("-n", self.namespace(node), "addr", "add", f"{SERVICE}/32", "dev", "lo")
        self.serve_from("db1")

    def _connect(self, node: str) -> None:
        hub, there = self.namespace(HUB), self.namespace(node)
        cable = ["link", "add", "name", f"to-{node}", "type", "veth"]
        self._ip("-n", hub, *cable, "peer", "name", "eth0", "netns", there)
        self._ip("-n", hub, "addr", "add", f"{gateway(node)}/30", "dev", f"to-{node}")
        self._ip("-n", hub, "link", "set", f"to-{node}", "up")
        self._ip("-n", there, "addr", "add", f"{address(node)}/30", "dev", "eth0")
        self.plug_in(node)

    def _remove(self) -> None:
        for node in (HUB, *NODES):
            if (_NAMES / self.namespace(node)).exists():
                self._ip("netns", "del", self.namespace(node))

    def _ip(self, *words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def address(node: str) -> str:
    return f"203.0.113.{4 * NODES.index(node) + 2}"


def gateway(node: str) -> str:
    return f"203.0.113.{4 * NODES.index(node) + 1}"


ADDRESSES: Final[Mapping[str, Sequence[str]]] = {
    **{node: (address(node),) for node in NODES},
    "db": (address("db1"), address("db2"), SERVICE),
}
"""Of each machine, and of the database as a whole."""


def between(one: str, other: str) -> tuple[Cut, ...]:
    """Both directions."""
    return (*towards(one, other), *towards(other, one))


def towards(source: str, destination: str) -> tuple[Cut, ...]:
    """What `source` sends does not arrive; what `destination` sends does."""
    return tuple(Cut(a, b) for a in ADDRESSES[source] for b in ADDRESSES[destination])


@contextmanager
def network() -> Iterator[Network]:
    _remove_leftovers()
    made = Network(f"{_PREFIX}{os.getpid()}-")
    try:
        made._build()
        yield made
    finally:
        made._remove()


def _remove_leftovers() -> None:
    """Of processes that were killed."""
    for each in _NAMES.glob(f"{_PREFIX}*-*"):
        owner = each.name.removeprefix(_PREFIX).split("-")[0]
        if not Path(f"/proc/{owner}").exists():
            subprocess.run(["ip", "netns", "del", each.name], check=False, capture_output=True)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
