"""What the server offers besides tools: resources to read and prompts to start from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import attrs

from nessus_sched.api.operations import Call


@attrs.frozen(kw_only=True)
class ResourceDef:
    """A readable thing; `uri` is a URI template (RFC 6570, level 1) when it has braces."""

    uri: str
    name: str
    description: str
    mime_type: str = "application/json"

    @property
    def is_template(self) -> bool:
        return "{" in self.uri


class Resources(Protocol):
    """The resources of a server. `read` answers the text at a URI, and raises `ToolError`
    when there is no such thing or it may not be read."""

    @property
    def listed(self) -> Sequence[ResourceDef]: ...

    async def read(self, call: Call, uri: str) -> tuple[str, str]:
        """MIME type and text of the resource at `uri`."""


@attrs.frozen(kw_only=True)
class PromptArgument:
    name: str
    description: str
    required: bool = False


@attrs.frozen(kw_only=True)
class PromptDef:
    """A usual job, put into words for the model; `render` makes the text of its one message."""

    name: str
    description: str
    arguments: tuple[PromptArgument, ...] = ()
    render: Callable[[Mapping[str, str]], Awaitable[str]]
