"""A long queue: what a start with it costs, compared with a start without.

`python -m tests.bench startup` has the full hundred thousand, and a million.
"""

from __future__ import annotations

import json
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import trio

from support.crowd import cost, fill
from support.processes import daemon, site
from support.stored import a_request, a_task
from support.web import free_port, get

TASKS = 10_000
SHARE = TASKS / 100_000
START = 10.0
"""Seconds that a start with 100,000 queued tasks may take."""
SLACK = 4
MEMORY = 256.0
"""MiB that a daemon with 100,000 queued tasks may take."""
ONCE = 4.0
"""MiB that a queue costs however long it is."""


@pytest.mark.slow
async def test_a_start_with_a_long_queue_keeps_to_time_and_memory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    empty = await cost(tmp_path / "empty", 0, times=1)
    full = await cost(tmp_path / "full", TASKS, times=20)
    print(empty, full, sep="\n")
    # Processor time, and four times as much of it as a quiet machine has been seen to need:
    # this finds what grows faster than the queue; the bench measures the promise itself.
    assert full.worked - empty.worked < SLACK * SHARE * START
    assert full.memory - empty.memory < ONCE + SHARE * (MEMORY - empty.memory)


@pytest.mark.slow
async def test_health_tells_that_the_queue_is_being_read(tmp_path: Path) -> None:
    scattered = tuple(f"192.0.{n // 128}.{2 * (n % 128)}" for n in range(4096))
    request = a_request(targets=scattered)
    fill(tmp_path / "state", (a_task(order, request=request) for order in range(1, 101)))
    port = free_port()
    place = site(tmp_path, [], http={"bind": f"127.0.0.1:{port}"})
    answers = list[tuple[int, dict[str, Any]]]()

    async def watch() -> None:
        while True:
            with suppress(OSError, HTTPException):  # while it is stopped
                for path in ("/health", "/ready", "/live"):
                    status, body = await trio.to_thread.run_sync(get, port, path)
                    answers.append((status, json.loads(body)))
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with daemon(place):
            first, after = answers[:3], await trio.to_thread.run_sync(get, port, "/health")
            nursery.cancel_scope.cancel()
    (health, document), ready, live = first
    assert health == 503
    assert document["components"].keys() == {"config", "startup", "store"}
    assert document["components"]["startup"]["reason"] == "starting: reading the unfinished tasks"
    assert ready == (503, {"ready": False})
    assert live == (200, {"live": True})
    assert "startup" not in json.loads(after[1])["components"]
