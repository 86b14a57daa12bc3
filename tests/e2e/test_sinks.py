"""A scan reaches every kind of sink, also one that is down at first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.sim.options import SimOptions
from support.counterparts import Answer, Request, web_server
from support.dojo import Dojo
from support.processes import client, daemon, scanner_yaml, settled, simulators, site

TOKEN = "0123456789abcdef-the-api-key"
FAST = SimOptions(scans_take=0.3, export_takes=0.05, transition_takes=0.05)
ENDS = ["completed", "failed", "dead"]


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not true():  # noqa: ASYNC110 - other processes do it
            await trio.sleep(0.1)


@pytest.mark.slow
async def test_a_scan_reaches_every_kind_of_sink(tmp_path: Path) -> None:
    dojo, posts, chats = Dojo(TOKEN), list[Request](), list[Request]()

    def take(request: Request) -> Answer:
        posts.append(request)
        return Answer(503 if len(posts) == 1 else 200)

    def read(request: Request) -> Answer:
        chats.append(request)
        return Answer()

    lines = tmp_path / "events.jsonl"
    async with (
        simulators(FAST) as (sim,),
        web_server(dojo) as dojo_port,
        web_server(take) as hook_port,
        web_server(read) as chat_port,
    ):
        server = {
            "url": f"http://127.0.0.1:{dojo_port}",
            "token": TOKEN,
            "product": "Network",
            "create": True,
        }
        sinks: dict[str, dict[str, Any]] = {
            "hook": {"webhook": {"url": f"http://127.0.0.1:{hook_port}/T0KEN"}},
            "chat": {"apprise": f"mmost://127.0.0.1:{chat_port}/3ccdd113474722377935511fc85d3dd4"},
            "dojo": {"defectdojo": server},
            "siem": {"json_lines": {"file": str(lines)}},
        }
        place = site(
            tmp_path,
            [scanner_yaml("east", sim)],
            sinks=[{"name": name, **sink} for name, sink in sinks.items()],
            routes=[{"name": name, "sink": name, "on": ENDS} for name in sinks],
        )
        async with daemon(place), client(place) as tools:
            answer = await tools.call("submit_scan", targets=["192.0.2.1", "192.0.2.2"], name="DMZ")
            await settled(tools, answer["task_id"])
            await until(
                lambda: (
                    len(posts) > 1
                    and bool(chats)
                    and lines.exists()
                    and any(test["description"] for test in dojo.tables["tests"])
                )
            )
    assert posts[0].body == posts[1].body
    (task,) = json.loads(posts[1].body)["tasks"]
    assert (task["name"], task["outcome"]) == ("DMZ", "completed")
    assert "DMZ" in json.loads(chats[0].body)["text"]
    found = [json.loads(line)["event"]["dataset"] for line in lines.read_text().splitlines()]
    assert found == ["nessus_sched.summary", "nessus_sched.task"]
    (imported,) = dojo.imports
    assert (imported["test_title"], imported["build_id"]) == ("DMZ", answer["task_id"])
    hosts = {host for _, host in dojo.active("DMZ")}
    assert hosts
    assert hosts <= {"192.0.2.1", "192.0.2.2"}
    log = (tmp_path / "daemon.log").read_text()
    for secret in (TOKEN, "T0KEN", "3ccdd113474722377935511fc85d3dd4"):
        assert secret not in log
