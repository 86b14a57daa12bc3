"""A fuzzer of MCP messages that looks for work out of proportion to their size.

    PYTHONPATH=tests/lib .venv/bin/python -m support.message_fuzz --minutes 30

Every kind of message is sent in sizes that grow by four. Reported are the processor time and
the memory for each byte, and kinds whose cost grows faster than their size.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs
import structlog
import trio

from nessus_sched.api.operations import Call, Registry, ToolDef, ToolError
from nessus_sched.api.tools import OPERATORS, TOOLS
from nessus_sched.ipc.budget import MEMORY, Budget
from nessus_sched.ipc.framing import MAX_LINE
from nessus_sched.mcp.transport import Limits
from support.mcp_app import App, wire
from support.mcp_wire import LineBuffer, call, notification, opened, request

Make = Callable[[int], bytes]
"""A message of about so many bytes."""

GROWTH: Final = 4
SLOW: Final = 0.5
"""Seconds of processor time below which growth is noise."""


@attrs.frozen
class Cost:
    kind: str
    size: int
    seconds: float
    memory: int = 0

    def __str__(self) -> str:
        per_byte = f"{1e9 * self.seconds / self.size:8.0f} ns/byte"
        memory = f" {self.memory / self.size:6.1f} bytes/byte" if self.memory else ""
        return (
            f"{self.kind:60} {self.size:9} bytes {1000 * self.seconds:8.1f} ms {per_byte}{memory}"
        )


VALUES: Final[dict[str, Callable[[int], Any]]] = {
    "numbers": lambda size: [1] * (size // 3),
    "lists": lambda size: [[]] * (size // 4),
    "objects": lambda size: [{}] * (size // 4),
    "filters": lambda size: [{"field": "x", "op": "=", "value": 1}] * (size // 40),
    "words": lambda size: ["192.0.2.1"] * (size // 13),
    "long words": lambda size: ["x" * 10_000] * max(1, size // 10_000),
    "text": lambda size: "x" * size,
    "bait": lambda size: "a://b:" * (size // 6),
    "password bait": lambda size: "password " * (size // 9),
    "addresses": lambda size: ",".join(["192.0.2.1"] * (size // 10)),
    "json text": lambda size: json.dumps([1] * (size // 3)),
    "json in json text": lambda size: json.dumps([json.dumps([1] * (size // 3))]),
    "broken json text": lambda size: "[" * size,
    "names": lambda size: {f"n{number}": "1" for number in range(size // 12)},
    "long name": lambda size: {"n" * size: 1},
    "huge number": lambda size: 10 ** min(size, 4000),
    "control characters": lambda size: "\u0000\u202e" * (size // 12),
    "surrogates": lambda size: "\ud800" * (size // 6),
}


def deep(size: int) -> bytes:
    half = size // 2
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * half + b"]" * half


FRAMES: Final[dict[str, Make]] = {
    "not JSON": lambda size: b"\x00\xff" * (size // 2),
    "deep": deep,
    "batch": lambda size: b"[" + b'{"id":1},' * (size // 9) + b"1]",
    "utf-16": lambda size: json.dumps({"method": "x" * size}).encode("utf-16"),
    "byte order marks": lambda size: b"\xef\xbb\xbf" * (size // 3),
    "digits": lambda size: b'{"jsonrpc":"2.0","method":"ping","id":' + b"9" * size + b"}",
    "long id": lambda size: request("i" * size, "ping")[:-1],
    "long method": lambda size: request(1, "m" * size)[:-1],
    "long tool": lambda size: call(1, "t" * size)[:-1],
    "answers": lambda size: json.dumps(
        {"jsonrpc": "2.0", "id": 1, "result": {"a": ["x"] * (size // 5)}}
    ).encode(),
    "notification": lambda size: notification("notifications/cancelled", requestId="r" * size)[:-1],
    "prompt": lambda size: request(
        1, "prompts/get", name="hello", arguments={f"n{n}": 1 for n in range(size // 12)}
    )[:-1],
    "resource": lambda size: request(1, "resources/read", uri="note://" + "x" * size)[:-1],
    "client": lambda size: request(
        1, "initialize", protocolVersion="x", capabilities={"a": [{}] * (size // 4)}, clientInfo={}
    )[:-1],
    "meta": lambda size: request(1, "tools/list", _meta={f"m{n}": {} for n in range(size // 14)})[
        :-1
    ],
}


async def _stub(_app: Any, _call: Call, _args: Any) -> Any:
    raise ToolError("stub", "It was read.")


def _stubs(tools: Registry) -> Registry:
    return Registry(attrs.evolve(tool, fn=_stub) for tool in tools)


def kinds() -> Iterator[tuple[str, Make]]:
    yield from FRAMES.items()
    for registry, method in ((TOOLS, "tools/call"), (OPERATORS, "operator/call")):
        for tool in registry:
            for argument in (*tool.input_schema["properties"], "no_such_argument"):
                for name, value in VALUES.items():
                    yield f"{tool.name}.{argument}: {name}", _calling(tool, method, argument, value)


def _calling(tool: ToolDef, method: str, argument: str, value: Callable[[int], Any]) -> Make:
    def make(size: int) -> bytes:
        arguments = {argument: value(size)}
        return request(1, method, name=tool.name, arguments=arguments)[:-1]

    return make


class Bench:
    """A server of all tools, which do nothing but read their arguments."""

    def __init__(self, stream: trio.abc.Stream, memory: Budget, lines: LineBuffer) -> None:
        self._stream = stream
        self._memory = memory
        self._lines = lines
        self._number = 0

    async def cost(self, kind: str, message: bytes, *, memory: bool = False) -> Cost:
        """What a message costs until it and the ping after it are done with."""
        self._number += 1
        if memory:
            tracemalloc.start()
        began = time.process_time()
        async with trio.open_nursery() as nursery:
            ping = request(f"ping {self._number}", "ping")
            nursery.start_soon(self._stream.send_all, message + b"\n" + ping)
            with trio.fail_after(120):
                while (await self._lines.next()).get("id") != f"ping {self._number}":
                    pass
                while self._memory.used:  # noqa: ASYNC110 - a thread still reads it
                    await trio.sleep(0.001)
        seconds, peak = time.process_time() - began, 0
        if memory:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return Cost(kind, len(message), seconds, peak)


async def growing(bench: Bench, kind: str, make: Make, largest: int) -> list[str]:
    """Complaints about a kind of message."""
    complaints: list[str] = []
    before: Cost | None = None
    size = largest // GROWTH**2
    while size <= largest:
        cost = await bench.cost(kind, make(size))
        if before is not None and cost.seconds > SLOW:
            growth = (cost.seconds / before.seconds) / (cost.size / before.size)
            if growth > GROWTH / 1.5:
                complaints.append(f"grows {growth:.1f} times faster than its size: {cost}")
        before = cost
        size *= GROWTH
    return complaints


async def fuzz(
    chosen: random.Random, largest: int, enough: Callable[[int], bool]
) -> tuple[list[Cost], list[str]]:
    """Tries kinds of messages in a random order until it is `enough`: the costs of the
    largest of each, and complaints."""
    everything = list(kinds())
    chosen.shuffle(everything)
    costs: list[Cost] = []
    complaints: list[str] = []
    limits = Limits(rate=1e9, burst=10**9, max_line=MAX_LINE)
    memory = Budget("limits.connection_memory", MEMORY)
    tools: dict[str, Any] = {"tools": _stubs(TOOLS), "operators": _stubs(OPERATORS)}
    async with wire(App(), limits=limits, memory=memory, **tools) as stream:
        bench = Bench(stream, memory, await opened(stream))
        for count, (kind, make) in enumerate(everything):
            if enough(count):
                break
            complaints += await growing(bench, kind, make, largest)
            costs.append(await bench.cost(kind, make(largest), memory=True))
    return costs, complaints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--size", type=int, default=4 * 2**20 - 2000)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    until = time.monotonic() + 60 * options.minutes
    costs, complaints = trio.run(
        fuzz, random.Random(options.seed), options.size, lambda _count: time.monotonic() > until
    )
    print(f"{len(costs)} kinds, seed {options.seed}; those that cost most:")
    for cost in sorted(costs, key=lambda each: -each.seconds)[:20]:
        print(cost)
    print("and those that take most memory:")
    for cost in sorted(costs, key=lambda each: -each.memory)[:10]:
        print(cost)
    for complaint in complaints:
        print("!!", complaint)
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
