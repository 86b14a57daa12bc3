"""/health over HTTP, in good and in bad days."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.sim.options import SimOptions
from support.processes import daemon, scanner_yaml, simulators, site


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def health(port: int, status: int) -> dict[str, Any]:
    """The document, once /health answers with `status`."""
    with trio.fail_after(30):
        while True:
            found, body = await trio.to_thread.run_sync(get, port, "/health")
            if found == status:
                document: dict[str, Any] = json.loads(body)
                return document
            await trio.sleep(0.1)


@pytest.mark.slow
async def test_health_is_200_when_well_and_503_when_no_scanner_is_reachable(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with simulators(SimOptions(seed=1)) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim)], http={"bind": f"127.0.0.1:{port}"})
        async with daemon(place):
            well = await health(port, 200)
            assert well["status"] == "ok"
            assert well["components"]["scanner:east"]["reason"] == "0 of 2 slots used"
            sim.nessus.refuse(5.0)
            ill = await health(port, 503)
            assert ill["status"] == "failed"
            assert (
                "no scanner answers: east: The scanner cannot be reached"
                in ill["components"]["scanners"]["reason"]
            )
            assert (await trio.to_thread.run_sync(get, port, "/ready"))[0] == 503
            assert (await trio.to_thread.run_sync(get, port, "/live"))[0] == 200
            await health(port, 200)
            status, metrics = await trio.to_thread.run_sync(get, port, "/metrics")
            assert status == 200
            assert 'nessus_scanner_up{scanner_instance="east"} 1.0' in metrics
