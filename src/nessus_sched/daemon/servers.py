"""The daemon's servers: MCP on the socket and on stdio, and the HTTP pages."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import structlog
import trio
from mcp.server import Server

from nessus_sched import __version__
from nessus_sched.api.app import App
from nessus_sched.api.operations import ToolDef
from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS, OPERATORS
from nessus_sched.config.limits import LimitSettings
from nessus_sched.config.schema import Config
from nessus_sched.daemon.health import HealthCheck
from nessus_sched.daemon.instrumentation import collect_gauges
from nessus_sched.daemon.overview import take_overview
from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.standby.identity import socket_path
from nessus_sched.daemon.system import System
from nessus_sched.http.app import App as HttpApp
from nessus_sched.http.app import PageSources
from nessus_sched.http.server import listen
from nessus_sched.http.server import serve as serve_pages
from nessus_sched.http.status_page import render
from nessus_sched.ipc import discovery, leaders
from nessus_sched.ipc.cleanup import remove_stale_files
from nessus_sched.ipc.listener import (
    Guest,
    SocketError,
    accept,
    inherited_listener,
    self_peer,
    supervised,
    unix_listener,
)
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.stdio import claim_stdio
from nessus_sched.mcp.prompts import PROMPTS
from nessus_sched.mcp.resources import TaskResources
from nessus_sched.mcp.server import ServerParts, build_server
from nessus_sched.mcp.transport import Limits, serve_stream
from nessus_sched.store.pages import keep_page
from nessus_sched.telemetry.metrics import Metrics

FIRST_PASSED_FD = 3

log = structlog.get_logger("daemon")


def app_of(system: System, reloader: Reloader) -> App:
    """What the operations of this daemon work on."""
    roles = system.roles
    return App(
        queries=system.queries,
        service=system.service,
        schedules=system.schedules,
        exceptions=system.exceptions,
        operator=system.operator,
        certifier=system.certifier,
        delivery=system.delivery,
        housekeeping=system.housekeeping,
        findings=system.findings,
        ledger=system.ledger,
        reload=partial(reloader.reload, actor="operator"),
        set_log_level=reloader.logs.set_level,
        scopes_of=lambda peer: roles.now().scopes_of(peer),
        sees=lambda peer, task: roles.now().sees(peer, task),
        manages=lambda peer, task: roles.now().manages(peer, task),
        may_submit=lambda peer, kind: roles.now().may_submit(peer, kind),
        plan_accuracy=system.plan_accuracy.sentence,
        may_approve=lambda peer: roles.now().may_approve(peer),
        users=lambda: roles.now().users,
        keep_report=partial(_keep_report, system),
    )


def mcp_server(app: App, system: System, metrics: Metrics) -> Server[Any]:
    """One MCP server for the socket and stdio."""
    roles = system.roles

    def permits(peer: Peer, tool: ToolDef) -> bool:
        return roles.now().permits(peer, tool)

    def zone() -> str:
        return system.context.config.calendar.time_zone

    parts = ServerParts(
        app=app,
        tools=ALL_TOOLS,
        operators=OPERATORS,
        resources=TaskResources(app=app, permits=permits, mask=system.context.mask, zone=zone),
        prompts=PROMPTS,
        permits=permits,
        learn=lambda peer: roles.now().users.learn(peer),
        observe=metrics.observe_call,
        mask=system.context.mask,
        zone=zone,
    )
    return build_server(parts, version=__version__, instructions=INSTRUCTIONS)


async def _keep_report(system: System, name: str, text: str) -> str:
    directory = system.context.config.state_directory / "reports"
    return str(await trio.to_thread.run_sync(keep_page, directory, name, text))


async def serve_http(
    system: System,
    reloader: Reloader,
    metrics: Metrics,
    *,
    task_status: trio.TaskStatus[str | None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves health and metrics until canceled; the started value is the URL. Raises
    `HttpTrouble`."""
    settings = system.context.config.http
    if settings.bind is None:
        task_status.started(None)
        return
    check = HealthCheck(system, reloader)
    sources = PageSources(
        health=check.health,
        ready=check.ready,
        registry=metrics.registry,
        refresh=partial(collect_gauges, system, metrics),
        status_page=_status_page(system, check) if settings.status_page else None,
        hosts=frozenset(settings.hosts),
        mask=system.context.mask,
    )
    sock = listen(settings.bind)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check.follow)
        await serve_pages(HttpApp(sources), sock, connections=system.pages, task_status=task_status)
        nursery.cancel_scope.cancel(reason="the pages are served no more")


def _status_page(system: System, check: HealthCheck) -> Callable[[], Awaitable[str]]:
    async def page() -> str:
        return await trio.to_thread.run_sync(render, await take_overview(system, check))

    return page


async def serve_socket(
    server: Server[Any],
    system: System,
    file: Path,
    environ: Mapping[str, str],
    *,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listens on the Unix socket until canceled. Raises `SocketError`."""
    config = system.context.config
    system.connections.apply(config.limits)

    async def serve_client(stream: trio.SocketStream, guest: Guest) -> None:
        limits = transport_limits(system.context.config.limits)  # perhaps of a later reload
        try:
            await serve_stream(
                server, stream, guest.peer, limits, memory=guest.memory, activity=guest.activity
            )
        finally:
            system.service.imports.abandon(guest.peer.connection)

    async def admit(peer: Peer) -> str | None:
        return await system.roles.now().admit(peer)

    await trio.to_thread.run_sync(
        remove_stale_files, _runtime_directory(environ), system.context.wall
    )
    async with _listener(config, file, environ) as (listener, path):
        with published(config, file, path, environ):
            task_status.started(path)
            await accept(listener, serve_client, system.connections, admit)


def is_passed(environ: Mapping[str, str]) -> bool:
    """Whether systemd has passed a socket (sd_listen_fds(3)), as `FIRST_PASSED_FD`."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") != "0"


@asynccontextmanager
async def _listener(
    config: Config, file: Path, environ: Mapping[str, str]
) -> AsyncIterator[tuple[trio.SocketListener, Path]]:
    """The socket that systemd passed (sd_listen_fds(3)) or a new one, and its path (a new one is
    bound under a temporary name, which getsockname keeps reporting)."""
    if is_passed(environ):
        async with inherited_listener(FIRST_PASSED_FD) as listener:
            yield listener, Path(listener.socket.getsockname())
        return
    settings = config.socket
    path = socket_path(config, file, environ)
    async with unix_listener(path, mode=settings.mode, group=settings.group) as listener:
        yield listener, path


async def serve_stdio(server: Server[Any], system: System, stop: trio.CancelScope) -> None:
    """Serves the client on stdin and stdout, and stops the daemon when it leaves."""
    # A host may take its time, and there is no other client on this stream.
    limits = attrs.evolve(transport_limits(system.context.config.limits), stall=math.inf)
    await supervised(
        lambda stream, peer: serve_stream(
            server, stream, peer, limits, memory=system.connections.memory
        ),
        claim_stdio(),
        self_peer(),
    )
    stop.cancel(reason="the client on stdin is gone")


def transport_limits(limits: LimitSettings) -> Limits:
    return Limits(
        max_line=limits.message_size,
        max_items=limits.message_items,
        stall=limits.stall,
        in_flight=limits.calls_at_once,
        rate=limits.calls_per_second,
        burst=round(10 * limits.calls_per_second),
    )


def _runtime_directory(environ: Mapping[str, str]) -> Path:
    try:
        return Path(discovery.user_directory(environ))
    except (discovery.UnsafeDirectory, OSError) as error:
        raise SocketError(f"no usable runtime directory: {error}") from error


@contextmanager
def published(
    config: Config, file: Path, path: Path, environ: Mapping[str, str], *, standby: bool = False
) -> Iterator[None]:
    """The links by which relays find the socket, and where else a leader may be."""
    points = discovery.meeting_points(str(file), environ)
    runtime = environ.get("RUNTIME_DIRECTORY")
    if runtime:
        points.append(f"{runtime.split(':')[0]}/mcp.sock")
    leaders.write_list(config.leaders, points)
    links = discovery.create_links(str(file), os.fspath(path), environ, standby=standby)
    try:
        yield
    finally:
        discovery.remove_links(links, os.fspath(path))
