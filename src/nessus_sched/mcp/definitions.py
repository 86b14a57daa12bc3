"""What the server offers besides tools: resources to read and prompts to start from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import attrs

from nessus_sched.api.operations import Call


@attrs.frozen(kw_only=True)
class ResourceDef:
    """A readable resource; `uri` is a URI template (RFC 6570, level 1) if it has braces."""

    uri: str
    name: str
    description: str
    mime_type: str = "application/json"

    @property
    def is_template(self) -> bool:
        return "{" in self.uri


class Resources(Protocol):
    """The resources of a server. `read` returns the text at a URI, and raises `ToolError` if there
    is none or the caller may not read it."""

    @property
    def definitions(self) -> Sequence[ResourceDef]: ...

    async def read(self, call: Call, uri: str) -> tuple[str, str]:
        """MIME type and text of the resource at `uri`."""


@attrs.frozen(kw_only=True)
class PromptArgument:
    name: str
    description: str
    required: bool = False


@attrs.frozen(kw_only=True)
class PromptDef:
    """A prompt for a common job; `render` makes the text of its one message from the arguments and
    whether the caller has a tool."""

    name: str
    description: str
    arguments: tuple[PromptArgument, ...] = ()
    render: Callable[[Mapping[str, str], Callable[[str], bool]], Awaitable[str]]
