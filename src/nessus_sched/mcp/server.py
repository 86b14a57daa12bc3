"""The MCP server: with `transport` and `client`, the only module that imports the SDK.

It is also the named supervisor of everything that a client can call: any exception of a tool
ends here as an answer that leaks nothing, and as a log line with an incident id. The SDK itself
would send the exception's text to the client.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from typing import Any, Final, TypeVar

import attrs
import structlog
import trio
from mcp import MCPError, types
from mcp.server import Server, ServerRequestContext
from mcp.server.caching import CacheHint

from nessus_sched.api import validation
from nessus_sched.api.access import with_task_ids
from nessus_sched.api.operations import MAX_DESCRIPTION, Call, Registry, ToolDef, ToolError
from nessus_sched.api.schema import without_lengths
from nessus_sched.api.secret_guard import refuse_secrets
from nessus_sched.api.untrusted import for_model
from nessus_sched.api.weight import weight_of
from nessus_sched.core.calendar.local_times import localized
from nessus_sched.core.masking import Masker
from nessus_sched.core.text import did_you_mean
from nessus_sched.ipc.budget import LimitReached, Ticket
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import UsersUnavailable
from nessus_sched.mcp.bounded import for_client, noting
from nessus_sched.mcp.definitions import PromptDef, ResourceDef, Resources
from nessus_sched.results.untrusted import clean_line
from nessus_sched.telemetry import events

R = TypeVar("R")
Context = ServerRequestContext[Any, Any]
Shown = Callable[[Any], Any]
"""Sanitizes the JSON data of an answer for its reader."""
Observer = Callable[[str, str, float], None]

OPERATOR_CALL: Final = "operator/call"
"""A private request for the command line's operator actions: parameters and result are those of
`tools/call`, the names are from the operator registry, which models do not see."""

ERROR_META: Final = "nessus-sched/error"
"""Key in a tool error's `_meta` that holds its code for programs."""

CALLS_AT_ONCE: Final = 256
_HEAVY: Final = 500
"""Weight of arguments (`weight_of`) from which they are parsed in a thread; that much takes a few
milliseconds."""
_LIST_TTL_MS: Final = 300_000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger("mcp")


def _permit_all(_peer: Peer, _tool: ToolDef) -> bool:
    return True


async def _know_all(_peer: Peer) -> None:
    pass


def _observe_nothing(_tool: str, _status: str, _seconds: float) -> None:
    pass


@attrs.frozen(kw_only=True)
class ServerParts:
    """The parts of a server.

    `app` is passed to every tool. `permits` decides per peer which tools exist for it, once
    `learn` has identified it. `observe(tool, status, seconds)` is called after every call;
    status is `ok` or an error code. `mask` removes secrets from every answer. `zone` is the time
    zone of times in answers.
    """

    app: object
    tools: Registry
    operators: Registry = attrs.field(factory=lambda: Registry(()))
    resources: Resources | None = None
    prompts: Sequence[PromptDef] = ()
    permits: Callable[[Peer, ToolDef], bool] = _permit_all
    learn: Callable[[Peer], Awaitable[object]] = _know_all
    observe: Observer = _observe_nothing
    calls_at_once: int = CALLS_AT_ONCE
    mask: Masker = attrs.field(factory=Masker)
    zone: Callable[[], str] = lambda: "UTC"


def build_server(parts: ServerParts, *, version: str, instructions: str) -> Server[Any]:
    """An SDK server for `parts`, for any number of connections and both protocol generations."""
    if len(instructions) > MAX_DESCRIPTION:
        raise ValueError(f"instructions have at most {MAX_DESCRIPTION} characters")
    handlers = _Handlers(parts)
    hint = CacheHint(ttl_ms=_LIST_TTL_MS, scope="private")
    server: Server[Any] = Server(
        "nessus-sched",
        version=version,
        title="Nessus scan scheduler",
        instructions=instructions,
        cache_hints={
            "server/discover": hint,
            "tools/list": hint,
            "prompts/list": hint,
            "resources/list": hint,
            "resources/templates/list": hint,
        },
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
    )
    if len(parts.operators):
        server.add_request_handler(
            OPERATOR_CALL, types.CallToolRequestParams, handlers.call_operator
        )
    return server


class _Handlers:
    """The handlers of a server's requests."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._room = trio.Semaphore(parts.calls_at_once)
        self._heavy = trio.CapacityLimiter(1)
        self._turn = trio.Lock()  # one answer in each pass of the loop, see `transport`

    async def list_tools(self, ctx: Context, _params: object) -> types.ListToolsResult:
        peer = await self._known(ctx)
        tools = [tool for tool in self._parts.tools if self._parts.permits(peer, tool)]
        # In a thread: making the schemas of all tools for the first time takes a while.
        listed = await trio.to_thread.run_sync(lambda: [_listed(tool) for tool in tools])
        return types.ListToolsResult(tools=listed)

    async def _known(self, ctx: Context) -> Peer:
        """The caller, of whom is known what `permits` asks. Raises `MCPError`."""
        peer = _peer(ctx)
        try:
            await self._parts.learn(peer)
        except UsersUnavailable as error:
            raise MCPError(code=types.INTERNAL_ERROR, message=str(error)) from None
        return peer

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        cleaned = partial(for_model, mask=self._parts.mask, zone=self._parts.zone())
        shown = for_client(cleaned, _client(ctx))
        return await self._call(self._parts.tools, ctx, params, shown)

    async def call_operator(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        mask, zone = self._parts.mask, self._parts.zone()
        return await self._call(
            self._parts.operators, ctx, params, lambda answer: localized(mask.masked(answer), zone)
        )

    async def _call(
        self, registry: Registry, ctx: Context, params: types.CallToolRequestParams, shown: Shown
    ) -> types.CallToolResult:
        tool, peer = registry.get(params.name), await self._known(ctx)
        if tool is None or not self._parts.permits(peer, tool):
            known = (each.name for each in registry if self._parts.permits(peer, each))
            said = f"Unknown tool: {params.name[:80]}{did_you_mean(params.name, known)}"
            raise MCPError(code=types.INVALID_PARAMS, message=said)
        call, started, status = _call(ctx), trio.current_time(), "canceled"
        with structlog.contextvars.bound_contextvars(trace_id=call.trace_id):
            try:
                result = await self._outcome(tool, call, ctx.request, params.arguments, shown)
                status = "ok" if not result.is_error else _code_of(result)
                return result
            finally:
                seconds = trio.current_time() - started
                self._parts.observe(tool.name, status, seconds)
                write = log.info if tool.writes else log.debug
                write(events.TOOL_CALLED, tool=tool.name, status=status, seconds=round(seconds, 3))

    async def _outcome(
        self,
        tool: ToolDef,
        call: Call,
        ticket: object,
        arguments: dict[str, Any] | None,
        shown: Shown,
    ) -> types.CallToolResult:
        try:
            args = await self._checked(tool, arguments)
            if tool.answer_memory and isinstance(ticket, Ticket):
                await ticket.charge(tool.answer_memory)
            with trio.move_on_after(tool.timeout) as scope:
                async with self._room:
                    args, said = await with_task_ids(self._parts.app, call, tool, args)
                    value = await tool.fn(self._parts.app, call, args)
            if not scope.cancelled_caught:
                async with self._turn:
                    return _answer(value, noting(shown, said))
        except (validation.BadArguments, ToolError) as refusal:
            return _refusal(refusal, shown)
        except LimitReached as full:
            return _refusal(ToolError("no_room", str(full)))
        except Exception as error:  # noqa: BLE001 - the supervisor: no tool may end a connection
            incident = _incident(tool.name, error)
            return _refusal(ToolError("internal_error", f"Internal error, incident {incident}."))
        return _refusal(
            ToolError(
                "timeout",
                f"{tool.name} had no answer within {tool.timeout:g} s.",
                "What it started may continue; check the status before retrying.",
            )
        )

    async def _checked(self, tool: ToolDef, arguments: dict[str, Any] | None) -> Any:
        """The tool's arguments; heavy ones are parsed in a thread, one at a time."""
        if weight_of(arguments) <= _HEAVY:
            return _read_arguments(tool, arguments)
        return await trio.to_thread.run_sync(_read_arguments, tool, arguments, limiter=self._heavy)

    async def list_prompts(self, _ctx: Context, _params: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(
            prompts=[
                types.Prompt(
                    name=prompt.name,
                    description=prompt.description,
                    arguments=[
                        types.PromptArgument(**attrs.asdict(argument))
                        for argument in prompt.arguments
                    ],
                )
                for prompt in self._parts.prompts
            ]
        )

    async def get_prompt(
        self, ctx: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        peer = await self._known(ctx)

        def has_tool(name: str) -> bool:
            tool = self._parts.tools.get(name)
            return tool is not None and self._parts.permits(peer, tool)

        for prompt in self._parts.prompts:
            if prompt.name == params.name:
                rendering = prompt.render(params.arguments or {}, has_tool)
                text = await _guarded(prompt.name, rendering, self._parts.mask)
                content = types.TextContent(type="text", text=text)
                return types.GetPromptResult(
                    description=prompt.description,
                    messages=[types.PromptMessage(role="user", content=content)],
                )
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown prompt: {params.name[:80]}")

    def _resources(self, *, templates: bool) -> list[ResourceDef]:
        listed = self._parts.resources.definitions if self._parts.resources else ()
        return [resource for resource in listed if resource.is_template == templates]

    async def list_resources(self, _ctx: Context, _params: object) -> types.ListResourcesResult:
        found = [
            types.Resource(uri=r.uri, name=r.name, description=r.description, mime_type=r.mime_type)
            for r in self._resources(templates=False)
        ]
        return types.ListResourcesResult(resources=found)

    async def list_templates(
        self, _ctx: Context, _params: object
    ) -> types.ListResourceTemplatesResult:
        found = [
            types.ResourceTemplate(
                uri_template=r.uri, name=r.name, description=r.description, mime_type=r.mime_type
            )
            for r in self._resources(templates=True)
        ]
        return types.ListResourceTemplatesResult(resource_templates=found)

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        if self._parts.resources is None:
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown resource: {uri[:200]}")
        await self._known(ctx)
        reading = self._parts.resources.read(_call(ctx), uri)
        mime_type, text = await _guarded(uri, reading, self._parts.mask, data={"uri": uri[:1000]})
        contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
        return types.ReadResourceResult(contents=[contents])


def _read_arguments(tool: ToolDef, arguments: dict[str, Any] | None) -> Any:
    validation.refuse_too_much_text(tool.arguments, arguments)
    # Before lengths are checked: a private key in place of a name is first of all a secret.
    refuse_secrets(arguments, texts=tool.writes)
    return validation.parse(tool.arguments, arguments)


async def _guarded(what: str, work: Awaitable[R], mask: Masker, *, data: Any = None) -> R:
    """The supervisor of requests that fail with a protocol error instead of a tool error; `data`
    goes into the error."""
    try:
        return await work
    except ToolError as refusal:
        message = f"{for_model(_sentence(refusal), mask)} [{refusal.code}]"
        raise MCPError(code=types.INVALID_PARAMS, message=message, data=data) from None
    except Exception as error:  # noqa: BLE001 - the supervisor: nothing may leak or end a connection
        message = f"Internal error, incident {_incident(what, error)}."
        raise MCPError(code=types.INTERNAL_ERROR, message=message) from None


def _incident(what: str, error: Exception) -> str:
    incident = secrets.token_hex(4)
    log.error(events.TOOL_CRASHED, tool=what, incident=incident, exc_info=error)
    return incident


def _peer(ctx: Context) -> Peer:
    return ctx.request.peer if isinstance(ctx.request, Ticket) else Peer(connection="memory")


def _client(ctx: Context) -> str | None:
    params = ctx.session.client_params
    return clean_line(params.client_info.name, 64) if params is not None else None


def _call(ctx: Context) -> Call:
    traceparent = (ctx.meta or {}).get("traceparent")
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return Call(
        peer=_peer(ctx),
        client=_client(ctx),
        trace_id=found[1] if found else secrets.token_hex(16),
        progress=ctx.session.report_progress,
    )


@cache
def _listed(tool: ToolDef) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=without_lengths(tool.input_schema),
        output_schema=tool.shown_answer,
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.writes,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
            open_world_hint=tool.open_world,
        ),
    )


def _answer(value: Any, shown: Shown) -> types.CallToolResult:
    # Claude Code shows a model only the structured content, Claude Desktop only the text.
    data, text = validation.answer(value, shown)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=data
    )


def _sentence(refusal: validation.BadArguments | ToolError) -> str:
    hint = refusal.hint if isinstance(refusal, ToolError) else ""
    text = str(refusal)
    if hint:
        text = f"{text.rstrip('.')}{'.' if hint[0].isupper() else ';'} {hint}"
    return text.encode("utf-8", "replace").decode()


def _refusal(
    refusal: validation.BadArguments | ToolError, shown: Shown = validation.as_it_is
) -> types.CallToolResult:
    """An `isError` answer. It has no structured content, which would have to match the output
    schema."""
    detail: dict[str, Any] = {"code": refusal.code, "message": _sentence(refusal)}
    if isinstance(refusal, validation.BadArguments):
        detail["problems"] = [attrs.asdict(problem) for problem in refusal.problems]
    detail = shown(detail)
    text = f"{detail['message']} [{refusal.code}]"
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        is_error=True,
        _meta={ERROR_META: detail},
    )


def _code_of(result: types.CallToolResult) -> str:
    return str((result.meta or {})[ERROR_META]["code"])
