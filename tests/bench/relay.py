"""How long a host waits for `nessus-sched mcp`, and what the relay weighs.

A daemon with a simulated scanner runs; each round starts a relay, sends what a host sends,
waits for the answer to `tools/list`, reads the relay's memory from /proc, closes stdin and
waits for the end. For comparison, the start of a bare interpreter.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nessus_sched.sim.options import SimOptions
from support.mcp_wire import INITIALIZE, notification, request
from support.standing import standing
from tests.bench.figures import Figure

ROWS = {
    "initialize_ms": ("start until initialize is answered", "ms"),
    "tools_list_ms": ("start until tools/list is answered", "ms"),
    "end_ms": ("end, once stdin is closed", "ms"),
    "rss_mib": ("memory", "MiB"),
    "pss_mib": ("memory of its own", "MiB"),
}

HANDSHAKE = (
    request(0, "initialize", **INITIALIZE)
    + notification("notifications/initialized")
    + request(1, "tools/list")
)


def one_round(argv: Sequence[str], environ: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds and MiB of one relay."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environ)
    ) as relay:
        assert relay.stdin is not None
        assert relay.stdout is not None
        relay.stdin.write(HANDSHAKE)
        relay.stdin.flush()
        first = json.loads(relay.stdout.readline())
        greeted = time.perf_counter()
        listed = json.loads(relay.stdout.readline())
        answered = time.perf_counter()
        assert first["id"] == 0
        assert listed["result"]["tools"]
        memory = mebibytes(relay.pid)
        relay.stdin.close()
        assert relay.wait(timeout=10) == 0
        ended = time.perf_counter()
    return {
        "initialize_ms": (greeted - started) * 1000,
        "tools_list_ms": (answered - started) * 1000,
        "end_ms": (ended - answered) * 1000,
        **memory,
    }


def mebibytes(pid: int) -> dict[str, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()

    def of(text: str, key: str) -> float:
        found = re.search(rf"{key}:\s+(\d+) kB", text)
        assert found
        return int(found[1]) / 1024

    return {"rss_mib": of(status, "VmRSS"), "pss_mib": of(rollup, "Pss")}


def bare() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (time.perf_counter() - started) * 1000


def measure(rounds: int) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as directory,
        standing(Path(directory), {"a": SimOptions()}) as stand,
    ):
        argv = stand.place.argv("mcp")
        one_round(argv, stand.place.environ)
        taken = [one_round(argv, stand.place.environ) for _ in range(rounds)]
    starts = statistics.median(bare() for _ in range(rounds))
    return [
        *(_figure(name, statistics.median(each[name] for each in taken)) for name in taken[0]),
        Figure(what="start and end", who="a bare interpreter", unit="ms", value=starts),
    ]


def _figure(name: str, value: float) -> Figure:
    what, unit = ROWS[name]
    return Figure(what=what, who="nessus-sched mcp", unit=unit, value=value)
