"""The operations of a daemon that waits: reads of tasks and results. For the rest it names the
leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
from mcp.server import Server

from nessus_sched import __version__
from nessus_sched.api.answers import iso
from nessus_sched.api.operations import Call, Registry, ToolDef, ToolError
from nessus_sched.api.outcomes.ledger import known_host
from nessus_sched.api.permissions import Roles
from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS, OPERATORS
from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now, system_now
from nessus_sched.core.leading.leader import Leader
from nessus_sched.core.masking import Masker
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.daemon.standby.results import FollowedResults
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import Users
from nessus_sched.mcp.server import ServerParts, build_server
from nessus_sched.results.findings_port import FindingsReader
from nessus_sched.results.ledger.port import LedgerReader
from nessus_sched.scheduler.queries import StoredTasks
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.telemetry.metrics import Metrics

READS: Final = frozenset(
    {
        "get_scan_status", "get_scan_summary", "list_tasks", "list_dead_letters",
        "read_summary", "find_task", "show_journal",
    }
)  # fmt: skip
"""The operations that tasks and journal alone can answer."""
RESULTS: Final = frozenset(
    {
        "get_scan_results", "search_findings", "compare_scans", "get_coverage", "get_host",
        "get_changes", "read_findings", "search_all", "search_now", "compare_findings",
        "read_coverage", "read_reach", "read_host", "read_changes",
    }
)  # fmt: skip
"""Those that findings and the ledger can answer, too; they say as of when."""
_INSTEAD: Final = {"get_host": known_host}
"""What leaves out of an answer what only the leader knows."""

WhoLeads = Callable[[], Leader | None]
Answers = Callable[[Any, Call, Any], Awaitable[Any]]


def who(leader: Leader | None) -> str:
    """For people."""
    if leader is None or leader.released:
        return "no daemon leads at the moment"
    return f"the daemon on {leader.daemon.host} leads"


@attrs.frozen(kw_only=True)
class WaitingApp:
    """Implements `api.app.ReadApp`, for the operations in `READS`, and with `results` for those in
    `RESULTS`."""

    config: Config
    queries: StoredTasks
    mask: Masker
    roles: Roles
    leader: WhoLeads
    results: FollowedResults | None = None
    now: Now = system_now

    def sees(self, peer: Peer, task: Task) -> bool:
        return self.roles.sees(peer, task)

    def scopes_of(self, peer: Peer) -> Sequence[Scope]:
        return self.roles.scopes_of(peer)

    def users(self) -> Users:
        return self.roles.users

    @property
    def findings(self) -> FindingsReader:
        if self._results.findings is None:
            raise StoreUnavailable("this daemon is on standby and cannot open its findings yet")
        return self._results.findings

    @property
    def ledger(self) -> LedgerReader:
        return self._results.ledger

    @property
    def schedules(self) -> Schedules:
        raise not_leading("answer this about schedules", self.leader())

    @property
    def _results(self) -> FollowedResults:
        assert self.results is not None, "results are not read here"
        return self.results

    def caution(self) -> str:
        """What to say with results."""
        copied = self._results.ledger.copied_at
        ledger = "no ledger yet" if copied is None else f"the ledger as of {iso(copied)}"
        return (
            f"This daemon is on standby ({who(self.leader())}), so this may be some minutes old: "
            f"{self._results.state()}; {ledger}."
        )


def waiting_server(app: WaitingApp, metrics: Metrics) -> Server[Any]:
    """An MCP server with all tools, so that clients need not list them again when the daemon
    leads. Those that it cannot answer are refused with `not_leading`."""

    async def learn(peer: Peer) -> None:
        await app.roles.users.learn(peer)

    parts = ServerParts(
        app=app,
        tools=_only_reads(ALL_TOOLS, app),
        operators=_only_reads(OPERATORS, app),
        permits=app.roles.permits,
        learn=learn,
        observe=metrics.observe_call,
        mask=app.mask,
        zone=lambda: app.config.calendar.time_zone,
    )
    return build_server(parts, version=__version__, instructions=INSTRUCTIONS)


def _only_reads(tools: Registry, app: WaitingApp) -> Registry:
    return Registry(attrs.evolve(tool, fn=_answers(tool, app)) for tool in tools)


def _answers(tool: ToolDef, app: WaitingApp) -> Answers:
    if tool.name in READS:
        return tool.fn
    if tool.name in RESULTS and app.results is not None:
        return _cautious(_INSTEAD.get(tool.name, tool.fn), app)

    async def refuse(_app: Any, _call: Call, _args: Any) -> Any:
        raise not_leading(f"do {tool.name}", app.leader())

    return refuse


def _cautious(answers: Answers, app: WaitingApp) -> Answers:
    async def answer(_app: Any, call: Call, args: Any) -> Any:
        caution = app.caution()  # before it is read
        try:
            return _with_note(await answers(app, call, args), caution)
        except ToolError as error:
            if error.code != "no_results":
                raise
            message = f"{error.message.removesuffix('.')}. {caution}"
            raise ToolError(error.code, message, error.hint) from error

    return answer


def _with_note(answer: Any, note: str) -> Any:
    if hasattr(answer, "page"):
        return attrs.evolve(answer, page=_with_note(answer.page, note))
    return attrs.evolve(answer, notes=[note, *answer.notes])


def not_leading(what: str, leader: Leader | None) -> ToolError:
    return ToolError(
        "not_leading",
        f"This daemon is on standby and cannot {what}: {who(leader)}.",
        "Ask that one, or try again in half a minute; a client with `leaders` finds it "
        "automatically.",
    )
