"""The operations of a daemon that waits: reads of tasks. For the rest it names the leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
from mcp.server import Server

from nessus_sched import __version__
from nessus_sched.api.operations import Call, Registry, ToolDef, ToolError
from nessus_sched.api.permissions import Roles
from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS, OPERATORS
from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now, system_now
from nessus_sched.core.leading.leader import Leader
from nessus_sched.core.masking import Masker
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import Users
from nessus_sched.mcp.server import ServerParts, build_server
from nessus_sched.results.findings_port import FindingsReader
from nessus_sched.results.ledger.port import LedgerReader
from nessus_sched.scheduler.queries import StoredTasks
from nessus_sched.telemetry.metrics import Metrics

READS: Final = frozenset(
    {
        "get_scan_status", "get_scan_summary", "list_tasks", "list_dead_letters",
        "read_summary", "find_task", "show_journal",
    }
)  # fmt: skip
"""The operations that tasks and journal alone can answer."""

WhoLeads = Callable[[], Leader | None]


def who(leader: Leader | None) -> str:
    """For people."""
    if leader is None or leader.released:
        return "no daemon leads at the moment"
    return f"the daemon on {leader.daemon.host} leads"


@attrs.frozen(kw_only=True)
class WaitingApp:
    """Implements `api.app.ReadApp`, for the operations in `READS`."""

    config: Config
    queries: StoredTasks
    mask: Masker
    roles: Roles
    now: Now = system_now

    def sees(self, peer: Peer, task: Task) -> bool:
        return self.roles.sees(peer, task)

    def scopes_of(self, peer: Peer) -> Sequence[Scope]:
        return self.roles.scopes_of(peer)

    def users(self) -> Users:
        return self.roles.users

    @property
    def findings(self) -> FindingsReader:
        raise AssertionError("findings are not read here")

    @property
    def ledger(self) -> LedgerReader:
        raise AssertionError("the ledger is not read here")


def waiting_server(app: WaitingApp, leader: WhoLeads, metrics: Metrics) -> Server[Any]:
    """An MCP server with all tools, so that clients need not list them again when the daemon
    leads. Those that it cannot answer are refused with `not_leading`."""

    async def learn(peer: Peer) -> None:
        await app.roles.users.learn(peer)

    parts = ServerParts(
        app=app,
        tools=_only_reads(ALL_TOOLS, leader),
        operators=_only_reads(OPERATORS, leader),
        permits=app.roles.permits,
        learn=learn,
        observe=metrics.observe_call,
        mask=app.mask,
        zone=lambda: app.config.calendar.time_zone,
    )
    return build_server(parts, version=__version__, instructions=INSTRUCTIONS)


def _only_reads(tools: Registry, leader: WhoLeads) -> Registry:
    return Registry(
        tool if tool.name in READS else attrs.evolve(tool, fn=_refusal(tool, leader))
        for tool in tools
    )


def _refusal(tool: ToolDef, leader: WhoLeads) -> Callable[[Any, Call, Any], Awaitable[Any]]:
    async def refuse(_app: Any, _call: Call, _args: Any) -> Any:
        raise ToolError(
            "not_leading",
            f"This daemon is on standby and cannot do {tool.name}: {who(leader())}.",
            "Ask that one, or try again in half a minute; a client with `leaders` finds it "
            "automatically.",
        )

    return refuse
