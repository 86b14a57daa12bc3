"""Resources: the answers of tools under an address, for those who may call the tools."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import trio

from nessus_sched.api.operations import Call, ToolError
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.resources import TaskResources
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.living_app import living_app
from support.world import config_of, scanner_settings, virtual_now, world

CALL = Call(peer=Peer(connection="t"))


async def test_a_task_and_the_queue_can_be_read(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        app = app_of(w)
        documents = TaskResources(app=app, permits=lambda _peer, _tool: True)
        task = await w.submit(name="weekly")
        _, text = await documents.read(CALL, f"nessus-sched://task/{task.task_id}")
        assert json.loads(text)["name"] == "weekly"
        with pytest.raises(ToolError) as caught:
            await documents.read(CALL, f"nessus-sched://task/{task.task_id}/summary")
        assert caught.value.code == "no_results"
        await w.settled(task.task_id)
        _, text = await documents.read(CALL, f"nessus-sched://task/{task.task_id}/summary")
        assert json.loads(text)["summary"]["findings"] == 1
        _, text = await documents.read(CALL, "nessus-sched://queue")
        assert json.loads(text)["queued"] == 0
        away = attrs.evolve(documents, zone=lambda: "Asia/Kolkata")
        _, text = await away.read(CALL, f"nessus-sched://task/{task.task_id}")
        assert json.loads(text)["created_at"].endswith("+05:30")


@pytest.mark.parametrize(
    "uri",
    [
        "nessus-sched://",
        "nessus-sched://task/",
        "nessus-sched://task/x/journal",
        "nessus-sched://task/x/summary/more",
        "file:///etc/passwd",
        "task/x",
        "plan",
        "nessus-sched://host/",
        "nessus-sched://plan/x",
        "host/192.0.2.1",
        "nessus-sched://task/" + "x" * 100,
    ],
)
async def test_what_there_is_not_is_refused(uri: str) -> None:
    documents = TaskResources(app=None, permits=lambda _peer, _tool: True)  # type: ignore[arg-type] # not reached
    with pytest.raises(ToolError) as caught:
        await documents.read(CALL, uri)
    assert caught.value.code == "unknown_resource"


async def test_who_may_not_call_the_tool_may_not_read() -> None:
    documents = TaskResources(app=None, permits=lambda _peer, _tool: False)  # type: ignore[arg-type] # not reached
    with pytest.raises(ToolError) as caught:
        await documents.read(CALL, "nessus-sched://task/x")
    assert caught.value.code == "unknown_resource"


async def test_the_programme_can_be_read(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with living_app(tmp_path) as (app, network):
        documents = TaskResources(app=app, permits=lambda _peer, _tool: True)
        read = {}
        for definition in documents.definitions:
            if not definition.is_template:
                _, text = await documents.read(CALL, definition.uri)
                read[definition.name] = json.loads(text)
        assert read.keys() == {"queue", "plan", "schedules", "changes", "exceptions"}
        assert read["changes"]["scans"] == sum(
            at > network.now - 7 * 86_400 for at in network.times
        )
        name = network.hosts()[0]
        _, text = await documents.read(CALL, f"nessus-sched://host/{name}")
        assert json.loads(text)["host"] == name
        forbidden = attrs.evolve(documents, permits=lambda _peer, tool: tool.name != "get_host")
        with pytest.raises(ToolError):
            await forbidden.read(CALL, f"nessus-sched://host/{name}")
