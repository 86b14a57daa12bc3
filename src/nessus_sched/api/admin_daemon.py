"""Operator actions on the daemon and its scanners: reload, switches, the global pause, log level,
housekeeping; and those of them that a role can grant to models."""

from __future__ import annotations

from typing import Literal

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import as_tool_errors, check_scanner
from nessus_sched.api.operations import Call, ToolDef, ToolError, tool
from nessus_sched.api.scanner_check import Step, probe
from nessus_sched.api.scanners import NoArgs, ScannerAnswer, scanner_answer
from nessus_sched.config.checks import COMPONENTS
from nessus_sched.config.types import LogLevel
from nessus_sched.core.fields import field
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.admission.admit import unknown
from nessus_sched.scheduler.operator import ScannerSwitch


@attrs.frozen(kw_only=True)
class ReloadAnswer:
    applied: bool = field("The file is in effect now, except for `needs_restart`.")
    problems: list[str] = field("What is wrong with it; the old configuration stays.")
    changes: list[str] = field("What is different from before.")
    needs_restart: list[str] = field("Keys whose new value takes effect only after a restart.")


@attrs.frozen(kw_only=True)
class SwitchArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)
    action: str = field("drain, undrain, enable, disable or retry.", max_length=16)
    at: str | None = field("For drain: when, instead of now.", default=None, max_length=40)
    until: str | None = field("For drain: when to end it.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class TestArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)


@attrs.frozen(kw_only=True)
class TestAnswer:
    scanner_instance: str = field("The scanner.")
    passed: bool = field("Nothing failed; there may be warnings.")
    steps: list[Step] = field("What was looked at, in this order.")


@attrs.frozen(kw_only=True)
class PauseArgs:
    running: Literal["keep", "pause", "stop"] = field(
        "What to do with running scans; stop cancels them.", default="keep"
    )


@attrs.frozen(kw_only=True)
class PausedAnswer:
    paused: bool = field("Nothing starts.")
    told: int = field("Running scans being paused or stopped.")
    resumed: int = field("Scans paused by the emergency stop and now resumed.")
    paused_scans: int = field("Scans that stay paused until resumed one by one.")


@attrs.frozen(kw_only=True)
class DrainArgs:
    scanner_instance: str = field("The scanner (see list_scanners).", min_length=1, max_length=64)
    at: str | None = field(
        "When, instead of now: '18:00', '8h' or a date and time.", default=None, max_length=40
    )
    until: str | None = field("When to end it, in the same form.", default=None, max_length=40)


@attrs.frozen(kw_only=True)
class UndrainArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)


@attrs.frozen(kw_only=True)
class LevelArgs:
    level: LogLevel = field("Least severe level that is logged.")
    component: str | None = field(
        "Only of this part of the program, such as nessus, scheduler or mcp.",
        default=None,
        min_length=1,
        max_length=64,
    )


@attrs.frozen(kw_only=True)
class LevelAnswer:
    level: LogLevel = field("Of all parts that have none of their own.")
    components: dict[str, LogLevel] = field("Of those that have.")


@attrs.frozen(kw_only=True)
class HousekeepingArgs:
    dry_run: bool = field("Only count.", default=False)


@attrs.frozen(kw_only=True)
class HousekeepingAnswer:
    deleted: dict[str, int] = field("How many of what were deleted, or would be.")
    dry_run: bool = field("Nothing was deleted.")


@tool(writes=True)
async def reload(app: App, call: Call, args: NoArgs) -> ReloadAnswer:
    """Re-read the configuration and apply it, or say what is wrong with it."""
    reloaded = await app.reload()
    return ReloadAnswer(
        applied=not reloaded.problems,
        problems=list(reloaded.problems),
        changes=list(reloaded.changes),
        needs_restart=list(reloaded.needs_restart),
    )


@tool(writes=True)
async def switch_scanner(app: App, call: Call, args: SwitchArgs) -> ScannerAnswer:
    """Drain, undrain, enable or disable a scanner, or retry one that is suspended."""
    if args.at or args.until:
        if args.action != ScannerSwitch.DRAIN:
            raise ToolError("bad_arguments", f"only drain takes a time, not {args.action}")
        return await _plan_drain(app, call, args.scanner_instance, args.at, args.until)
    return await _switch(app, call, args.scanner_instance, args.action)


@tool(writes=False, timeout=55.0)
async def test_scanner(app: App, call: Call, args: TestArgs) -> TestAnswer:
    """Ask a scanner for all that a scan needs, changing nothing there."""
    check_scanner(app, args.scanner_instance)
    connection = app.queries.connection(args.scanner_instance)
    keys = connection.settings.uses_api_keys
    steps = [step async for step in probe(connection.scanner, app.now, keys=keys)]
    return TestAnswer(
        scanner_instance=args.scanner_instance,
        passed=all(step.status != "failed" for step in steps),
        steps=steps,
    )


@tool(writes=True)
async def pause_all(app: App, call: Call, args: PauseArgs) -> PausedAnswer:
    """Emergency stop of all scanners and all users' tasks: start nothing more, anywhere; with
    `running` also pause or stop what runs. Holds until resume_all."""
    return await _pause(app, call, args)


@tool(writes=True)
async def resume_all(app: App, call: Call, args: NoArgs) -> PausedAnswer:
    """End a pause of everything: scans may start again, and scans that pause_all paused resume.
    Those that were paused one by one stay paused."""
    return await _resume(app, call)


@tool(writes=True)
async def set_log_level(app: App, call: Call, args: LevelArgs) -> LevelAnswer:
    """Log more or less from now on, until the next reload or restart."""
    if args.component is not None and args.component not in COMPONENTS:
        message = unknown("component", args.component, COMPONENTS)
        raise ToolError("unknown_component", message)
    level, components = app.set_log_level(args.level, args.component)
    return LevelAnswer(level=level, components=dict(components))


@tool(writes=True, destructive=True, timeout=3600)
async def housekeeping(app: App, call: Call, args: HousekeepingArgs) -> HousekeepingAnswer:
    """Delete what has been kept long enough, by the retention times of the configuration."""
    with as_tool_errors():
        deleted = await app.housekeeping.sweep(dry_run=args.dry_run)
    return HousekeepingAnswer(deleted=dict(deleted), dry_run=args.dry_run)


@tool(writes=True, destructive=True, operator=True)
async def pause_everything(app: App, call: Call, args: PauseArgs) -> PausedAnswer:
    """Emergency stop, for all scanners and the tasks of all users: nothing more is started until
    resume_everything; submissions still queue.

    Only when the user asks for it."""
    return await _pause(app, call, args)


@tool(writes=True, operator=True)
async def resume_everything(app: App, call: Call, args: NoArgs) -> PausedAnswer:
    """Let all scans run again: end pause_everything. Scans that it paused resume; those paused
    one by one stay paused."""
    return await _resume(app, call)


@tool(writes=True, operator=True, like="a scanner of list_scanners")
async def drain_scanner(app: App, call: Call, args: DrainArgs) -> ScannerAnswer:
    """Take a scanner out of service for maintenance, now or at a time: no more scans, for all
    users; running ones finish, queued ones wait or run elsewhere. Before a planned drain only what
    should end in time is started. Undo: undrain_scanner."""
    if args.at or args.until:
        return await _plan_drain(app, call, args.scanner_instance, args.at, args.until)
    return await _switch(app, call, args.scanner_instance, ScannerSwitch.DRAIN)


@tool(writes=True, operator=True, like="a scanner of list_scanners")
async def undrain_scanner(app: App, call: Call, args: UndrainArgs) -> ScannerAnswer:
    """Put a drained scanner back into service, as after maintenance."""
    return await _switch(app, call, args.scanner_instance, ScannerSwitch.UNDRAIN)


DAEMON_ACTIONS: tuple[ToolDef, ...] = (
    reload,
    switch_scanner,
    test_scanner,
    pause_all,
    resume_all,
    set_log_level,
    housekeeping,
)
EMERGENCY_TOOLS: tuple[ToolDef, ...] = (
    pause_everything,
    resume_everything,
    drain_scanner,
    undrain_scanner,
)
"""The emergency stop for models: shown only to users whose role has `operator_tools`."""


async def _switch(app: App, call: Call, scanner_id: str, action: str) -> ScannerAnswer:
    with as_tool_errors():
        await app.operator.switch(scanner_id, action, actor=call.peer.actor)
    return _scanner(app, scanner_id)


async def _plan_drain(
    app: App, call: Call, scanner_id: str, begin: str | None, end: str | None
) -> ScannerAnswer:
    with as_tool_errors():
        await app.operator.plan_drain(scanner_id, begin, end, actor=call.peer.actor)
    return _scanner(app, scanner_id)


def _scanner(app: App, scanner_id: str) -> ScannerAnswer:
    found = {view.settings.id: view for view in app.queries.scanners()}
    return scanner_answer(found[scanner_id])


async def _pause(app: App, call: Call, args: PauseArgs) -> PausedAnswer:
    with as_tool_errors():
        told = await app.operator.pause_all(args.running, actor=call.peer.actor)
    return PausedAnswer(paused=True, told=told, resumed=0, paused_scans=_paused_scans(app))


async def _resume(app: App, call: Call) -> PausedAnswer:
    with as_tool_errors():
        await app.operator.resume_all(actor=call.peer.actor)
        before = _paused_scans(app)
        resumed = await app.service.resume_halted(actor=call.peer.actor)
    stay = max(before - resumed, 0)
    return PausedAnswer(paused=False, told=0, resumed=resumed, paused_scans=stay)


def _paused_scans(app: App) -> int:
    return app.queries.counts()[TaskState.PAUSED]
