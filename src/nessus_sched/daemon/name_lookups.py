"""Name lookups in dedicated threads, so that slow name servers do not block anything else.

`getaddrinfo` cannot be canceled: an abandoned lookup keeps its thread until the system's
resolver answers. Such threads count against the limit like any others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import trio

TARGET_LOOKUPS: Final = 32
"""Threads for names among targets, which submitters choose."""
SCANNER_LOOKUPS: Final = 32
"""Threads for the names of scanners and webhooks, which the operator chooses."""
PATIENCE: Final = 15.0
"""Seconds for one lookup, including the wait for a thread. The system's resolver asks a second
name server after 5 seconds."""

GetAddrInfo = Callable[..., Sequence[tuple[Any, ...]]]


class NameLookups(trio.abc.HostnameResolver):
    """`timed_out` counts abandoned lookups."""

    def __init__(self, threads: int, *, getaddrinfo: GetAddrInfo = socket.getaddrinfo) -> None:
        self._threads = trio.CapacityLimiter(threads)
        self._getaddrinfo = getaddrinfo
        self.timed_out = 0

    @property
    def running(self) -> int:
        """Threads in use, including those of abandoned lookups."""
        return self._threads.borrowed_tokens

    @property
    def limit(self) -> int:
        return int(self._threads.total_tokens)

    async def resolve(self, name: str) -> tuple[str, ...]:
        """All addresses of a name, IPv4 and IPv6. Raises `OSError` if it has none or the lookup
        takes too long."""
        answers = await self._ask(name, None, 0, socket.SOCK_STREAM, 0, 0)
        return tuple(sorted({str(answer[4][0]) for answer in answers}))

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name that trio calls it by
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """For `trio.socket.set_custom_hostname_resolver`."""
        return list(await self._ask(host, port, family, type, proto, flags))

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Part of trio's interface; nothing here looks up names of addresses."""
        raise NotImplementedError

    async def _ask(self, *arguments: Any) -> Sequence[tuple[Any, ...]]:
        with trio.move_on_after(PATIENCE):
            return await trio.to_thread.run_sync(
                self._getaddrinfo, *arguments, abandon_on_cancel=True, limiter=self._threads
            )
        self.timed_out += 1
        raise TimeoutError("the name servers did not answer in time")
