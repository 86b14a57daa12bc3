"""A client session over stdio with the official SDK, as an MCP host has it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TextIO

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client


class CallFailed(Exception):
    """A tool answered with an error; the message is its text."""


class Tools:
    """The tools of a connected server."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """A tool's structured answer. Raises `CallFailed`."""
        result = await self._session.call_tool(tool, arguments)
        if result.is_error:
            raise CallFailed(
                " ".join(
                    part.text for part in result.content if isinstance(part, types.TextContent)
                )
            )
        answer = result.structured_content
        assert isinstance(answer, dict)
        return answer

    async def names(self) -> list[str]:
        return [tool.name for tool in (await self._session.list_tools()).tools]


@asynccontextmanager
async def connected(
    argv: Sequence[str], environ: Mapping[str, str], errors: TextIO
) -> AsyncIterator[Tools]:
    """Starts `argv` as a stdio server, as Claude Desktop does, and initializes a session; its
    stderr goes to `errors`."""
    server = StdioServerParameters(command=argv[0], args=list(argv[1:]), env=dict(environ))
    async with (
        stdio_client(server, errlog=errors) as (reading, writing),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        yield Tools(session)
