"""Limits on what all connections together may use of the daemon: places and memory, shared by
users.

An ordinary user gets at most half of each, and all ordinary users together leave an eighth to
root and to the service's own user, so that an operator always gets in.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import attrs
import trio

from nessus_sched.ipc.peer import Peer

MIB: Final = 2**20
CONNECTIONS: Final = 256
MEMORY: Final = 96 * MIB

REQUEST: Final = 256 * 1024
"""Bytes charged for a request in progress: its tasks and objects, and an answer of the largest
usual size, both as objects and as text."""
DECODED: Final = 3
"""Bytes of decoded objects per byte of a message."""
PATIENCE: Final = 10.0
"""Seconds that a request waits for memory before it is refused."""

SHARE: Final = 2
RESERVE: Final = 8


class LimitReached(Exception):
    """A limit is reached; the message says which one, and what to do."""


class Budget:
    """An amount, set by the configuration's `key`, that users share."""

    def __init__(self, key: str, limit: int) -> None:
        self.key = key
        self.limit = limit
        self.used = 0
        self._ordinary = 0
        self.refused = 0
        self._by_user: Counter[int | None] = Counter()
        self._released = trio.Event()
        self.turn = trio.Lock()
        """Held while a message is decoded or an answer encoded. Trio polls for I/O between passes
        over all runnable tasks: so at most one task does such work per pass, however many
        clients there are, and the others wait their turn."""
        self.long_lines = trio.Lock()
        """Passed before each chunk of a long line after the first ones: so a pass reads at most
        one such chunk, however many clients send long lines at once. Never held while waiting
        for a client."""

    def used_by(self, uid: int | None) -> int:
        return self._by_user[uid]

    def fits(self, uid: int | None, amount: int) -> bool:
        if self.used + amount > self.limit:
            return False
        if privileged(uid):
            return True
        most = self.limit - self.limit // RESERVE
        return self.within_share(uid, amount) and self._ordinary + amount <= most

    def take(self, uid: int | None, amount: int) -> None:
        """Takes the amount, even beyond the limit: then others have to wait."""
        self.used += amount
        self._ordinary += 0 if privileged(uid) else amount
        self._by_user[uid] += amount

    def release(self, uid: int | None, amount: int) -> None:
        self.used -= amount
        self._ordinary -= 0 if privileged(uid) else amount
        self._by_user[uid] -= amount
        if not self._by_user[uid]:
            del self._by_user[uid]
        self._released.set()
        self._released = trio.Event()

    async def acquire(self, uid: int | None, amount: int) -> None:
        """Takes `amount` as soon as it fits. Raises `LimitReached` after a timeout."""
        with trio.move_on_after(PATIENCE):
            while not self.fits(uid, amount):
                await self._released.wait()
            self.take(uid, amount)
            return
        raise self.refusal(uid, amount)

    def refusal(self, uid: int | None, amount: int = 1) -> LimitReached:
        """Counts a refusal by its reason."""
        self.refused += 1
        if self.within_share(uid, amount):
            reason = f"{self.key}: the limit is reached ({self.limit})"
        else:
            reason = f"{self.key}: your user's share is used up ({self.limit // SHARE})"
        return LimitReached(
            f"{reason}. Close sessions or send less at once, and try again; "
            f"the operator can raise {self.key}"
        )

    def share_of(self, uid: int | None) -> int:
        """The most that a user ever gets."""
        return self.limit if privileged(uid) else self.limit // SHARE

    def within_share(self, uid: int | None, amount: int) -> bool:
        return privileged(uid) or self._by_user[uid] + amount <= self.share_of(uid)


def privileged(uid: int | None) -> bool:
    """Whether a user may use all of a budget: root, and the user the daemon runs as."""
    return uid is None or uid in (0, os.getuid())


@attrs.define(kw_only=True, eq=False)
class Ticket:
    """A request in progress: its user, and what it is charged until it is answered."""

    peer: Peer
    memory: Budget
    charged: int = 0

    async def charge(self, amount: int) -> None:
        """Raises `LimitReached` if there is no memory, even after waiting. A request that may take
        more than its user ever gets is charged all of that: then it waits for the user's others,
        and is not refused for its size."""
        amount = min(amount, max(self.memory.share_of(self.peer.uid) - self.charged, 0))
        await self.memory.acquire(self.peer.uid, amount)
        self.charged += amount

    def release(self) -> None:
        """The answer was sent, or is no longer wanted."""
        self.memory.release(self.peer.uid, self.charged)
        self.charged = 0
