"""Messages of real daemons that are killed again and again, to a receiver that fails, hangs and
disappears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.sim.options import SimOptions
from support.counterparts import Answer, Request, web_server
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site

pytestmark = pytest.mark.slow

TASKS = 12
LIVES = 4
ROUTES = ("all", "ends")


@attrs.define
class Receiver:
    """Takes about half of what it gets, and says so of half of that."""

    random: Random
    kind: bool = False
    taken: list[dict[str, Any]] = attrs.field(factory=list)
    arrived: trio.Event = attrs.field(factory=trio.Event)

    async def take(self, request: Request) -> Answer:
        luck = 1.0 if self.kind else self.random.random()
        if luck < 0.2:
            return Answer(503)
        if luck < 0.3:
            await trio.sleep(self.random.uniform(0, 3))
            return Answer(429, headers={"Retry-After": "1"})
        self.taken.append(json.loads(request.body))
        self.arrived.set()
        return Answer(500) if luck < 0.6 else Answer()


@asynccontextmanager
async def receiving(seed: int) -> AsyncIterator[tuple[Receiver, int]]:
    receiver = Receiver(Random(seed))
    async with web_server(receiver.take) as port:
        yield receiver, port


def place_of(directory: Path, scanner: dict[str, Any], port: int) -> Site:
    return site(
        directory,
        [scanner],
        polling={"fastest": "0.1s", "slowest": "0.5s", "probe": "0.5s"},
        sinks=[{"name": "hook", "webhook": {"url": f"http://127.0.0.1:{port}/"}}],
        routes=[
            {"name": "all", "sink": "hook", "on": ["completed", "failed", "dead", "new"]},
            {"name": "ends", "sink": "hook", "on": ["completed"], "when": "task_end"},
        ],
        notifications=[{"url": f"http://127.0.0.1:{port}/notify"}],
    )


def told_by(receiver: Receiver, route: str) -> dict[str, str]:
    """The tasks that a route has reported, by the ids of its messages in the order of arrival."""
    return {
        each["id"]: each["tasks"][0]["task_id"]
        for each in receiver.taken
        if each.get("route") == route
    }


def notified(receiver: Receiver) -> dict[str, str]:
    return {each["id"]: each["task"]["task_id"] for each in receiver.taken if "task" in each}


async def test_every_end_is_reported_at_least_once_and_in_order(tmp_path: Path) -> None:
    random = Random(1)
    submitted: list[str] = []
    options = SimOptions(seed=1, scans_take=0.3, export_takes=0.02)
    async with simulators(options) as (sim,), receiving(1) as (receiver, port):
        place = place_of(tmp_path, scanner_yaml("east", sim, 3), port)
        for _life in range(LIVES):
            async with daemon(place) as process:
                async with client(place) as tools:
                    for _ in range(TASKS // LIVES):
                        arguments = {"targets": [f"192.0.2.{len(submitted) + 1}"]}
                        task = await tools.call("submit_scan", **arguments)
                        submitted.append(task["task_id"])
                await trio.sleep(random.uniform(0, 3))
                process.kill()
        receiver.kind = True
        async with daemon(place), client(place) as tools:
            for task_id in submitted:
                await settled(tools, task_id)
            with trio.fail_after(60):
                while not all(
                    set(told.values()) == set(submitted)
                    for told in (*(told_by(receiver, name) for name in ROUTES), notified(receiver))
                ):
                    receiver.arrived = trio.Event()
                    await receiver.arrived.wait()
    for name in ROUTES:
        told = told_by(receiver, name)
        assert sorted(told.values()) == sorted(submitted), "each end has one id"
        rows = [int(message_id.split(".")[1]) for message_id in told]
        assert rows == sorted(rows), "in the order of the journal"
    assert sorted(notified(receiver).values()) == sorted(submitted)
