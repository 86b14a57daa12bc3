"""What connections may take together, who gets how much of it, and how that is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.ipc.budget import (
    MEMORY,
    PATIENCE,
    REQUEST,
    SHARE,
    Budget,
    LimitReached,
    Ticket,
)
from nessus_sched.ipc.listener import IDLE, Connections, Guest
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.transport import Limits
from support.mcp_app import App, wire
from support.mcp_daemon import daemon, turned_away
from support.mcp_wire import LineBuffer, call, opened, works

ALICE, BOB, ROOT = 70_001, 70_002, 0
LIMITS = Limits(stall=30.0)


def peer(uid: int) -> Peer:
    return Peer(connection=f"of {uid}", uid=uid, gid=uid)


def budget(limit: int) -> Budget:
    return Budget("limits.connection_memory", limit)


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB, 70_003, ROOT]), st.integers(1, 40))))
def test_shares_and_the_reserve(wanted: list[tuple[int, int]]) -> None:
    shared = budget(80)
    taken: list[tuple[int, int]] = []
    for uid, amount in wanted:
        if shared.fits(uid, amount):
            shared.take(uid, amount)
            taken.append((uid, amount))
        assert shared.used == sum(amount for _uid, amount in taken) <= 80
        for ordinary in (ALICE, BOB, 70_003):
            assert shared.used_by(ordinary) <= 40
    if not shared.used_by(ROOT):
        assert shared.fits(ROOT, 10)
    for uid, amount in taken:
        shared.release(uid, amount)
    assert shared.used == shared.used_by(ALICE) == 0
    assert shared.fits(os.getuid(), 80)


async def test_a_large_answer_is_within_the_reach_of_every_user() -> None:
    """By default, and with any limit if the user asks for nothing else meanwhile."""
    for tool in (*ALL_TOOLS, *OPERATORS):
        assert tool.answer_memory + 2 * REQUEST <= MEMORY // SHARE, tool.name
    for uid, most in ((ALICE, 40), (ROOT, 80)):
        shared = budget(80)
        ticket = Ticket(peer=peer(uid), memory=shared)
        await ticket.charge(10)
        await ticket.charge(1000)
        assert (ticket.charged, shared.used) == (most, most)
        ticket.release()
        assert shared.used == 0


async def test_who_waits_for_room_gets_it_or_is_told_which_limit(autojump_clock: Any) -> None:
    shared = budget(80)
    shared.take(ALICE, 40)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.acquire, ALICE, 30)
        await trio.sleep(PATIENCE / 2)
        shared.release(ALICE, 40)
    assert shared.used_by(ALICE) == 30
    with pytest.raises(
        LimitReached, match=r"^limits\.connection_memory: your user's share .*\(40\)"
    ):
        await shared.acquire(ALICE, 11)
    shared.take(BOB, 40)
    with pytest.raises(
        LimitReached, match=r"^limits\.connection_memory: the limit is reached \(80\)"
    ):
        await shared.acquire(70_003, 1)
    assert trio.current_time() >= 2.5 * PATIENCE
    assert shared.refused == 2


@pytest.mark.parametrize("sent", [b"", b'{"jsonrpc":'])
async def test_who_never_says_anything_is_cut_off(sent: bytes, autojump_clock: Any) -> None:
    async with wire(App(), limits=LIMITS) as stream:
        await stream.send_all(sent)
        error = (await LineBuffer(stream).next())["error"]
        assert "30 s for a first message (limits.stall)" in error["message"]
        assert await stream.receive_some() == b""
        assert 29 < trio.current_time() < 32


async def test_half_a_message_is_not_waited_for(autojump_clock: Any) -> None:
    memory = budget(2**20)
    async with wire(App(), limits=LIMITS, memory=memory) as stream:
        lines = await opened(stream)
        await trio.sleep(1000)
        for _ in range(20):  # dripping does not help
            await stream.send_all(b"x" * 10_000)
            await trio.sleep(1)
        assert memory.used > 100_000
        error = (await lines.next())["error"]
        assert "30 s for the rest of a message (limits.stall)" in error["message"]
        assert await stream.receive_some() == b""
    assert memory.used == 0


async def test_a_client_that_is_idle_or_waits_for_us_stays(autojump_clock: Any) -> None:
    app = App()
    async with wire(app, limits=LIMITS) as stream:
        lines = await opened(stream)
        await trio.sleep(7 * 86_400)
        await stream.send_all(call(1, "hold"))
        await trio.sleep(1000)
        app.gate.set()
        assert (await lines.next())["id"] == 1
        assert await works(stream, lines)


async def test_who_does_not_read_is_cut_off_and_costs_nothing_more(autojump_clock: Any) -> None:
    memory = budget(32 * REQUEST)
    ours, theirs = trio.testing.lockstep_stream_pair()
    from nessus_sched.ipc.activity import Stalled
    from nessus_sched.mcp.transport import serve_stream
    from support.mcp_app import server_of

    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with pytest.raises(ExceptionGroup) as caught:
                await serve_stream(server_of(App()), theirs, peer(ALICE), LIMITS, memory=memory)
            assert caught.group_contains(Stalled, match="answers to be read")

        nursery.start_soon(serve)
        await opened(ours)
        await ours.send_all(b"".join(call(n, "echo", text="x") for n in range(10)))
        await trio.testing.wait_all_tasks_blocked()
        assert memory.used >= 10 * REQUEST
    assert trio.current_time() >= 30
    assert memory.used == 0


async def test_unfinished_lines_beyond_a_users_share_are_refused(autojump_clock: Any) -> None:
    memory = budget(3 * 2**20)
    async with (
        wire(App(), peer=peer(ALICE), memory=memory) as first,
        wire(App(), peer=peer(ALICE), memory=memory) as second,
        wire(App(), peer=peer(BOB), memory=memory) as other,
    ):
        await opened(first)
        lines, others = await opened(second), await opened(other)
        await first.send_all(b"x" * 900_000)
        await trio.testing.wait_all_tasks_blocked()
        await second.send_all(call(7, "echo", text="x" * 900_000))
        answer = await lines.next()
        assert answer["error"]["message"].startswith("limits.connection_memory: your user's share")
        assert await works(second, lines)
        assert await works(other, others)
        await first.send_all(b"\n")
        await trio.testing.wait_all_tasks_blocked()
        assert memory.used == 0


async def test_requests_beyond_a_users_share_wait_and_are_refused(autojump_clock: Any) -> None:
    memory, app = budget(10 * REQUEST), App()
    async with wire(app, peer=peer(ALICE), memory=memory) as stream:
        lines = await opened(stream)
        for number in range(1, 5):
            await stream.send_all(call(number, "hold"))
        await stream.send_all(call(5, "echo", text="x"))
        answer = await lines.next()
        assert answer["id"] == 5
        assert "limits.connection_memory" in answer["error"]["message"]
        assert trio.current_time() >= PATIENCE
        app.gate.set()
        assert {(await lines.next())["id"] for _ in range(4)} == {1, 2, 3, 4}
        assert await works(stream, lines)
    assert memory.used == 0


async def test_places_are_shared_and_the_longest_idle_makes_room(autojump_clock: Any) -> None:
    connections = Connections(limit=16)
    mine = [connections.enter(peer(ALICE)) for _ in range(8)]
    with pytest.raises(
        LimitReached, match=r"^limits\.connections: your user's share is used up \(8\)"
    ):
        connections.enter(peer(ALICE))
    for _ in range(6):
        connections.enter(peer(BOB))
    with pytest.raises(LimitReached, match=r"^limits\.connections: the limit is reached \(16\)"):
        connections.enter(peer(70_003))
    operators = [connections.enter(peer(ROOT)) for _ in range(2)]
    with pytest.raises(LimitReached):
        connections.enter(peer(ROOT))
    await trio.sleep(IDLE)
    mine[0].activity.busy = 1
    mine[1].activity.at = trio.current_time() - 1
    connections.enter(peer(70_003))
    gone = [guest for guest in mine if guest.scope.cancel_called]
    assert len(gone) == 1
    assert not {mine[0], mine[1], *operators} & set(gone)
    connections.leave(gone[0])  # when it notices
    assert connections.statistics().connected == 16
    assert connections.statistics().displaced == 1


async def test_a_newcomer_displaces_nobody_who_has_less(autojump_clock: Any) -> None:
    connections = Connections(limit=16)
    for uid in (ALICE, BOB, 70_003, 70_004, 70_005, 70_006, 70_007):
        for _ in range(2):
            connections.enter(peer(uid)).activity.busy = uid == ALICE
    await trio.sleep(IDLE)
    with pytest.raises(LimitReached):
        connections.enter(peer(ALICE))
    guests: list[Guest] = [connections.enter(peer(ROOT)) for _ in range(3)]
    assert connections.statistics().displaced == 1
    assert not any(guest.scope.cancel_called for guest in guests)


async def test_whom_no_role_names_is_told_before_anything_is_read(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", App(), admit=turned_away("no role names you")) as there:
        async with await trio.open_unix_socket(tmp_path / "s") as stream:
            with trio.fail_after(10):
                said = b"".join([part async for part in stream])
        error = json.loads(said)["error"]
        assert (error["message"], error["data"]) == ("no role names you", {"closing": True})
        assert there.statistics().refused["role"] == 1
        assert there.statistics().total == 0
