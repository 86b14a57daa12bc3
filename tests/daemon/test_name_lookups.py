"""Slow name servers: they delay who asks for a name, and nobody else."""

from __future__ import annotations

import socket
from threading import Event
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.daemon.name_lookups import PATIENCE, NameLookups
from nessus_sched.scheduler.admission.scope_check import AT_ONCE, WITHIN, look_up

ANSWER = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
]


class SlowServers:
    """Answers nothing before `answer` is set."""

    def __init__(self) -> None:
        self.answer = Event()

    def __call__(self, *_arguments: Any) -> list[Any]:
        self.answer.wait(60)
        return ANSWER


async def test_every_address_of_a_name_once() -> None:
    lookups = NameLookups(1, getaddrinfo=lambda *_arguments: ANSWER)
    assert await lookups.resolve("web.example.com") == ("192.0.2.1", "2001:db8::1")
    assert lookups.running == 0


async def test_an_error_of_the_system_is_passed_on() -> None:
    def fails(*_arguments: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(OSError, match="not known"):
        await NameLookups(1, getaddrinfo=fails).resolve("web.example.com")


async def test_a_lookup_is_given_up_and_its_thread_still_counts(mock_clock: MockClock) -> None:
    servers = SlowServers()
    lookups = NameLookups(2, getaddrinfo=servers)
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await lookups.resolve("web.example.com")
        except TimeoutError:
            outcomes.append("timed out")

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert lookups.running == lookups.limit == 2
            mock_clock.jump(PATIENCE + 1)
        assert outcomes == ["timed out"] * 3
        assert (lookups.running, lookups.timed_out) == (2, 3)
        # The other threads of the program are free meanwhile.
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
    finally:
        servers.answer.set()
    mock_clock.rate = 1.0
    with trio.fail_after(60):
        while lookups.running:  # noqa: ASYNC110 - a thread has no events
            await trio.sleep(0.01)
    assert await lookups.resolve("web.example.com")


async def test_it_serves_the_connections_of_the_whole_program() -> None:
    asked: list[Any] = []

    def answer(*arguments: Any) -> list[Any]:
        asked.append(arguments)
        return ANSWER

    trio.socket.set_custom_hostname_resolver(NameLookups(1, getaddrinfo=answer))
    assert await trio.socket.getaddrinfo("scanner.example.com", 8834) == ANSWER
    assert asked[0][:2] == (b"scanner.example.com", 8834)


async def test_the_names_of_one_task_have_a_bound_in_number_and_time(
    autojump_clock: MockClock,
) -> None:
    asking = most = 0

    async def never(_name: str) -> tuple[str, ...]:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            await trio.sleep(PATIENCE)
            raise TimeoutError
        finally:
            asking -= 1

    began = trio.current_time()
    names = [f"host{number}.example.com" for number in range(100)]
    found = await look_up(names, never)
    assert (found.addresses, found.unanswered) == (dict.fromkeys(names, ()), frozenset(names))
    assert trio.current_time() - began == pytest.approx(WITHIN)
    assert most == AT_ONCE
