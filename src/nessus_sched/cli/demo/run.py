"""The demo itself: starts scanners and daemon, submits, and collects the results."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import trio

from nessus_sched.cli.demo.config import ALLOWED
from nessus_sched.cli.demo.follow import follow
from nessus_sched.cli.demo.replay import replay_files
from nessus_sched.cli.demo.report import DemoScreen, not_completed
from nessus_sched.cli.demo.scene import Scene, demo_scene
from nessus_sched.mcp.client import CallFailed, Tools, connected
from nessus_sched.results.model import SEVERITIES

WORST_FIRST = tuple(reversed(SEVERITIES))

SUBMISSIONS: Sequence[tuple[str, str, Sequence[str], Mapping[str, Any]]] = (
    ("submit_quick_scan", "who is there", ["192.0.2.0/24"], {}),
    ("submit_scan", "web tier", ["198.51.100.0/28", "localhost"], {}),
    ("submit_scan", "printers", ["203.0.113.16/29"], {}),
    ("submit_trusted_scan", "linux servers", ["198.51.100.64/28"], {"credential": "demo-linux"}),
    ("submit_privileged_scan", "databases", ["203.0.113.96/29"], {"credential": "demo-linux"}),
    ("submit_scan", "office", ["203.0.113.128/28"], {"priority": "low"}),
)
"""Tool, name, targets and further arguments of each submission."""


async def run_demo(as_json: bool, replay: Path | None, stay: bool) -> None:
    """Raises `click.ClickException` if something does not start or a scan fails."""
    screen = DemoScreen(quiet=as_json)
    started = trio.current_time()
    files = replay_files(replay)
    async with demo_scene(files) as scene:
        screen.scene_is_up({name: sim.url for name, sim in scene.sims.items()})
        with (scene.directory / "relay.log").open("w") as errors:
            words = ["mcp", "--no-start", "--config", str(scene.config_file)]
            argv = [sys.executable, "-m", "nessus_sched", *words]
            async with connected(argv, os.environ, errors) as tools:
                task_ids = await _submit_all(tools, files, screen)
                finished = await follow(tools, task_ids, screen)
                scanners = await tools.call("list_scanners")
                queue = await tools.call("get_queue_status")
                hosts = {
                    task["task_id"]: await tools.call(
                        "get_scan_summary", task_id=task["task_id"], detail="full"
                    )
                    for task in finished
                    if task["status"] == "completed"
                }
        document = _document(finished, scene, trio.current_time() - started)
        if as_json:
            click.echo(json.dumps(document, indent=2))
        else:
            screen.results(finished, hosts, document)
            screen.state(scanners, queue, await _health(scene))
            screen.what_next(scene, stay=stay)
        if stay and not as_json:
            await trio.sleep_forever()
    failed = not_completed(finished)
    if failed:
        raise click.ClickException(failed)


async def _submit_all(tools: Tools, files: Sequence[Path], screen: DemoScreen) -> list[str]:
    task_ids = []
    try:
        if files:
            addresses = (str(a) for network in ALLOWED for a in ip_network(network).hosts())
            for number, (file, address) in enumerate(zip(files, addresses, strict=False)):
                answer = await tools.call(
                    "submit_scan",
                    name=f"replay of {file.name}"[:100],
                    targets=[address],
                    scanner_instance=("east", "west")[number % 2],
                )
                task_ids.append(answer["task_id"])
        for tool, name, targets, rest in () if files else SUBMISSIONS:
            answer = await tools.call(tool, name=name, targets=list(targets), **rest)
            screen.submitted(tool, name, answer)
            task_ids.append(answer["task_id"])
    except CallFailed as error:
        raise click.ClickException(str(error)) from error
    return task_ids


async def _health(scene: Scene) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        # The daemon that this process just started, on loopback.
        with urllib.request.urlopen(f"http://{scene.http}/health", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
            return health

    return await trio.to_thread.run_sync(ask)


def _document(
    finished: Sequence[Mapping[str, Any]], scene: Scene, seconds: float
) -> dict[str, Any]:
    tasks = [_task_document(task, scene) for task in finished]
    return {
        "tasks": tasks,
        "scanners": [
            {
                "scanner_instance": name,
                "scans_run": sim.nessus.ledger.launches(),
                "max_running": sim.nessus.ledger.max_running,
            }
            for name, sim in scene.sims.items()
        ],
        "severity_counts": {
            severity: sum(task["severity_counts"][severity] for task in tasks)
            for severity in WORST_FIRST
        },
        "seconds": round(seconds, 1),
    }


def _task_document(task: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    replayed = [
        file
        for sim in scene.sims.values()
        for scan, file in sim.nessus.ledger.replayed.items()
        if f"[ns:{task['task_id']}." in scan
    ]
    counts = task["severity_counts"] or {}
    return {
        "task_id": task["task_id"],
        "name": task["name"],
        "state": task["status"],
        "scanner_instance": task["scanner_instance"],
        "replayed": replayed[0] if replayed else None,
        "severity_counts": {severity: counts.get(severity, 0) for severity in WORST_FIRST},
    }
