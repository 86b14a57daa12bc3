"""What all connections together may take of the daemon: places and memory, shared by users.

An ordinary user gets at most half of each, and all ordinary users together leave an eighth
to root and to the service's own user, so that an operator always gets in.
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
"""Bytes that a request in work is charged: its tasks and objects, and an answer of the usual
largest size, as objects and as text."""
DECODED: Final = 3
"""Bytes of decoded objects for each byte of a message."""
PATIENCE: Final = 10.0
"""Seconds for which a request waits for memory before it is refused."""

SHARE: Final = 2
RESERVE: Final = 8


class NoRoom(Exception):
    """A limit is reached; the message says which one, and what to do."""


class Budget:
    """So much of something, `key` of the configuration, that users share."""

    def __init__(self, key: str, limit: int) -> None:
        self.key = key
        self.limit = limit
        self.used = 0
        self._ordinary = 0
        self.refused = 0
        self._by_user: Counter[int | None] = Counter()
        self._released = trio.Event()
        self.turn = trio.Lock()
        """Held while a message is decoded or an answer encoded. Trio polls for input and
        output between passes over all tasks that can run: so at most one of them does
        that in each pass, however many clients there are, and the others wait their turn."""

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
        """Takes what fits, and also what does not: then others have to wait."""
        self.used += amount
        self._ordinary += 0 if privileged(uid) else amount
        self._by_user[uid] += amount

    def give_back(self, uid: int | None, amount: int) -> None:
        self.used -= amount
        self._ordinary -= 0 if privileged(uid) else amount
        self._by_user[uid] -= amount
        if not self._by_user[uid]:
            del self._by_user[uid]
        self._released.set()
        self._released = trio.Event()

    async def take_soon(self, uid: int | None, amount: int) -> None:
        """Takes `amount` as soon as it fits. Raises `NoRoom` after a while."""
        with trio.move_on_after(PATIENCE):
            while not self.fits(uid, amount):
                await self._released.wait()
            self.take(uid, amount)
            return
        raise self.refusal(uid, amount)

    def refusal(self, uid: int | None, amount: int = 1) -> NoRoom:
        """Counts a refusal; the reason is for who was refused."""
        self.refused += 1
        if self.within_share(uid, amount):
            reason = f"{self.key}: all of it is in use ({self.limit})"
        else:
            reason = f"{self.key}: your user's share is in use ({self.limit // SHARE})"
        return NoRoom(
            f"{reason}. Close sessions or send less at once, and try again; "
            f"the operator can raise {self.key}"
        )

    def within_share(self, uid: int | None, amount: int) -> bool:
        return privileged(uid) or self._by_user[uid] + amount <= self.limit // SHARE


def privileged(uid: int | None) -> bool:
    """Whether a user may have all of a budget: root, and who the daemon runs as."""
    return uid is None or uid in (0, os.getuid())


@attrs.define(kw_only=True, eq=False)
class Ticket:
    """One request in work: who asked, and what it is charged until it is answered."""

    peer: Peer
    memory: Budget
    charged: int = 0

    async def charge(self, amount: int) -> None:
        """Raises `NoRoom` when there is no memory, even after a while."""
        await self.memory.take_soon(self.peer.uid, amount)
        self.charged += amount

    def settle(self) -> None:
        """The answer was sent, or is no longer wanted."""
        self.memory.give_back(self.peer.uid, self.charged)
        self.charged = 0
