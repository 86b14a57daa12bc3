"""A wire to PostgreSQL that breaks at a commit, before or after the server has it."""

from __future__ import annotations

import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"
_COMMIT = b"COMMIT\0"


class Cut(Enum):
    BEFORE = "the server does not get the commit"
    AFTER = "the server commits, and its answer is lost"
    LATE = "the server gets the commit after the client has given up"


class CutWire:
    """Passes everything on; `cut` says what happens at the next commit, and `refuses` new
    connections. One thread per connection."""

    def __init__(self, directory: Path, server: Path) -> None:
        self.directory = directory
        self.cut: Cut | None = None
        self.spared = 0
        """Commits that pass before the cut."""
        self.refuses = False
        self.cuts = 0
        self.late = threading.Event()
        """Lets a commit of `Cut.LATE` through."""
        self.arrived = threading.Event()
        """A commit of `Cut.LATE` has been passed on, or its session was gone."""
        self._server = str(server / _SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / _SOCKET))
        self._listener.listen()

    def conninfo(self, name: str, user: str) -> str:
        return f"host={self.directory} user={user} dbname={name}"

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def close(self) -> None:
        # Closing alone would not wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.late.set()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client and self.cut is not None and _COMMIT in data:
                        if self.spared == 0:
                            self._break(data, client, server)
                            return
                        self.spared -= 1
                    (server if ready is client else client).sendall(data)

    def _break(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        how, self.cut = self.cut, None
        self.cuts += 1
        if how is Cut.BEFORE:
            return
        if how is Cut.LATE:
            client.close()
            self.late.wait(30)
        try:
            server.sendall(data)
            server.recv(65536)  # the server has committed
        finally:
            self.arrived.set()


@contextmanager
def cut_wire(server: Path) -> Iterator[CutWire]:
    with tempfile.TemporaryDirectory(prefix="wire-") as directory:
        wire = CutWire(Path(directory), server)
        thread = threading.Thread(target=wire.run, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            wire.close()
            thread.join(10)
