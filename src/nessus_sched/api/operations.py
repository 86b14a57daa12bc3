"""Definitions of the operations: name, arguments, answer and function. Independent of the SDK."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from nessus_sched.api.schema import Schema, input_schema, output_schema, shown_answer
from nessus_sched.core.fields import doc_of
from nessus_sched.ipc.peer import Peer

MAX_DESCRIPTION: Final = 2047
"""Claude Code cuts tool descriptions and instructions at 2,048 characters."""

COMMAND_LINE: Final = "nessus-sched"
"""What the command line calls itself as a client."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class ToolError(Exception):
    """An operation failed: `code` is stable and for programs, `message` says what is wrong,
    `hint` what to do about it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


async def _no_progress(progress: float, total: float | None, message: str | None) -> None:
    """The client did not ask for progress."""


@attrs.frozen(kw_only=True)
class Call:
    """One call of a tool: on whose behalf, through which program (as it calls itself), under
    which trace (the client's when it has one, and then what every log line of the call
    carries), and how to report progress (`progress(done, total, message)`; does nothing when
    the client did not ask)."""

    peer: Peer
    client: str | None = None
    trace_id: str | None = None
    progress: Callable[[float, float | None, str | None], Awaitable[None]] = _no_progress


@attrs.frozen(kw_only=True)
class ToolDef:
    """A tool. `timeout` in seconds bounds a call. `answer_memory`: bytes that its answer may
    take, as objects and as text, beyond what every request is charged. The other flags
    become the annotations of the specification, all of them said explicitly because its
    defaults are pessimistic."""

    name: str
    title: str
    description: str
    arguments: type
    answer: type
    fn: Callable[[Any, Call, Any], Awaitable[Any]]
    writes: bool
    destructive: bool
    idempotent: bool
    open_world: bool
    timeout: float
    answer_memory: int = 0
    operator: bool = False
    """Concerns everybody's tasks: only for users whose role has `operator_tools`."""
    approves: bool = False
    """Decides about exceptions: only for users whose role has `approve_exceptions`, too."""
    like: str = ""
    """The tool whose answer this one has, too; or what of that answer."""

    @property
    def input_schema(self) -> Schema:
        return input_schema(self.arguments)

    @property
    def output_schema(self) -> Schema:
        return output_schema(self.answer)

    @property
    def shown_answer(self) -> Schema:
        """What models are shown of `output_schema`."""
        return shown_answer(self.output_schema, self.like)


def tool(
    *,
    writes: bool,
    destructive: bool = False,
    idempotent: bool = True,
    open_world: bool = False,
    timeout: float = 45.0,
    answer_memory: int = 0,
    operator: bool = False,
    approves: bool = False,
    like: str = "",
) -> Callable[[Callable[[Any, Call, Any], Awaitable[Any]]], ToolDef]:
    """Makes a `ToolDef` of `async def name(app, call, args: Args) -> Answer`; the docstring
    is the description."""

    def define(fn: Callable[[Any, Call, Any], Awaitable[Any]]) -> ToolDef:
        hints = typing.get_type_hints(fn)
        description = _unwrapped(inspect.getdoc(fn) or "")
        name = fn.__name__
        _check(name, description, hints["args"])
        return ToolDef(
            name=name,
            title=name.replace("_", " ").capitalize(),
            description=description,
            arguments=hints["args"],
            answer=hints["return"],
            fn=fn,
            writes=writes,
            destructive=destructive,
            idempotent=idempotent,
            open_world=open_world,
            timeout=timeout,
            answer_memory=answer_memory,
            operator=operator,
            approves=approves,
            like=like,
        )

    return define


def _unwrapped(doc: str) -> str:
    """`doc` with each paragraph on one line: a model pays for line breaks, too."""
    return "\n\n".join(" ".join(part.split()) for part in doc.split("\n\n"))


def _check(name: str, description: str, arguments: type) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: tool names are snake_case and of at most 40 characters")
    if not 0 < len(description) <= MAX_DESCRIPTION:
        raise ValueError(f"{name}: a description has 1 to {MAX_DESCRIPTION} characters")
    for attribute in attrs.fields(arguments):
        if doc_of(attribute) is None:
            raise ValueError(f"{name}: argument {attribute.name} is not documented")


class Registry:
    """Tools by name, in definition order."""

    def __init__(self, tools: Iterable[ToolDef]) -> None:
        self._tools: dict[str, ToolDef] = {}
        for entry in tools:
            if entry.name in self._tools:
                raise ValueError(f"two tools are called {entry.name}")
            self._tools[entry.name] = entry

    def __iter__(self) -> Iterator[ToolDef]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> ToolDef | None:
        return self._tools.get(name)

    def read_only(self) -> Registry:
        """The tools that change nothing."""
        return Registry(entry for entry in self if not entry.writes)
