"""Users and their groups. The system may query a directory server for them (NSS), which can be
slow or hang, so lookups use separate threads and are cached."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from typing import Final, TypeVar

import attrs
import trio

from nessus_sched.ipc.peer import Peer

T = TypeVar("T")

THREADS: Final = 8
PATIENCE: Final = 10.0
"""Seconds for one lookup, including the wait for a thread."""
WAITING: Final = 64
"""Maximum lookups that run or wait for a thread; more are refused."""
NO_ANSWER: Final = "the system's user database does not answer; try again later"


class UsersUnavailable(Exception):
    """The user database did not answer in time."""


@attrs.frozen(kw_only=True)
class User:
    """`users` has the name and number of a user, `groups` those of all its groups."""

    name: str | None
    users: frozenset[str]
    groups: frozenset[str]


class Users:
    """A cache of users, each looked up once.

    An abandoned lookup keeps its thread until the system answers, and such threads still count
    against the limit.
    """

    def __init__(self, find: Callable[[int | None, int | None], User] | None = None) -> None:
        self._find = find or find_user
        self._known: dict[tuple[int | None, int | None], User] = {}
        self._threads = trio.CapacityLimiter(THREADS)
        self._waiting = 0

    def of(self, peer: Peer) -> User:
        """Looks the user up, blocking the caller, unless `learn` has already done so."""
        key = (peer.uid, peer.gid)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    async def learn(self, peer: Peer) -> User:
        """Looks a user up without blocking anyone else. Raises `UsersUnavailable`."""
        key = (peer.uid, peer.gid)
        if key not in self._known:
            self._known[key] = await self._ask(lambda: self._find(*key))
        return self._known[key]

    async def uid_of(self, name: str) -> int:
        """Raises `KeyError` if there is no such user, and `UsersUnavailable`."""
        return (await self._ask(lambda: pwd.getpwnam(name))).pw_uid

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise UsersUnavailable(NO_ANSWER)
        self._waiting += 1
        try:
            with trio.move_on_after(PATIENCE):
                return await trio.to_thread.run_sync(
                    question, abandon_on_cancel=True, limiter=self._threads
                )
        finally:
            self._waiting -= 1
        raise UsersUnavailable(NO_ANSWER)


def find_user(uid: int | None, gid: int | None) -> User:
    """Asks the system; `gid` is the primary group, where known."""
    if uid is None:
        return User(name=None, users=frozenset(), groups=frozenset())
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        name, numbers = None, set() if gid is None else {gid}
    else:
        name = entry.pw_name
        numbers = set(os.getgrouplist(name, entry.pw_gid if gid is None else gid))
    groups = {str(number) for number in numbers} | {_group_name(number) for number in numbers}
    return User(
        name=name,
        users=frozenset({str(uid), name or str(uid)}),
        groups=frozenset(groups),
    )


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
