"""Users are looked up beside the event loop: a user database that hangs holds up nobody else."""

from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.api.permissions import Roles
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import (
    NO_ANSWER,
    PATIENCE,
    WAITING,
    User,
    Users,
    UsersUnavailable,
    find_user,
)

ANN, BOB = (Peer(connection=name, uid=54321 + n, gid=54321) for n, name in enumerate("ab"))
ROLE = RoleSettings(name="all", users=("bob",))


class Directory:
    """Knows Bob at once, and nobody else until `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: list[tuple[int | None, str]] = []

    def find(self, uid: int | None, _gid: int | None) -> User:
        self.asked.append((uid, threading.current_thread().name))
        if uid != BOB.uid:
            self.answers.wait(60)
        name = "bob" if uid == BOB.uid else "ann"
        return User(name=name, users=frozenset({name}), groups=frozenset())


@pytest.fixture
def directory() -> Iterator[Directory]:
    made = Directory()
    yield made
    made.answers.set()


async def test_a_user_whose_lookup_hangs_is_turned_away_and_others_are_let_in(
    directory: Directory, mock_clock: MockClock
) -> None:
    roles = Roles(Config(roles=(ROLE,)), Users(directory.find))
    said: list[str | None] = []

    async def ask(peer: Peer) -> None:
        said.append(await roles.admit(peer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, ANN)
        await ask(BOB)  # by a thread, which no clock may outrun
        mock_clock.jump(PATIENCE)
    assert said == [None, NO_ANSWER]
    assert all("MainThread" not in thread for _uid, thread in directory.asked)


async def test_a_user_is_looked_up_once(directory: Directory) -> None:
    users = Users(directory.find)
    roles = Roles(Config(roles=(ROLE,)), users)
    for _ in range(3):
        assert await roles.admit(BOB) is None
        assert roles.role_of(BOB) == ROLE
        assert (await users.learn(BOB)).name == "bob"
    assert len(directory.asked) == 1


async def test_lookups_do_not_pile_up(directory: Directory, autojump_clock: MockClock) -> None:
    users = Users(directory.find)
    refused = 0

    async def ask(number: int) -> None:
        nonlocal refused
        started = trio.current_time()
        with pytest.raises(UsersUnavailable):
            await users.learn(Peer(connection="c", uid=number, gid=1))
        refused += trio.current_time() == started

    async with trio.open_nursery() as nursery:
        for number in range(WAITING + 5):
            nursery.start_soon(ask, number)
    assert refused == 5


def test_the_system_is_asked_for_name_and_groups() -> None:
    found = find_user(os.getuid(), os.getgid())
    assert found.name == pwd.getpwuid(os.getuid()).pw_name
    assert {str(os.getuid()), found.name} == found.users
    assert str(os.getgid()) in found.groups
    unknown = find_user(ANN.uid, 54321)
    assert unknown.name is None
    assert set(unknown.groups) == {"54321"}
