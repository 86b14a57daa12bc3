"""The emergency stop for models: shown only to users whose role has `operator_tools`."""

from __future__ import annotations

import attrs

from nessus_sched.api import admin_daemon
from nessus_sched.api.admin_daemon import PauseArgs, PausedAnswer, SwitchArgs
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.scanners import NoArgs, ScannerAnswer
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class DrainArgs:
    scanner_instance: str = field("The scanner (see list_scanners).", min_length=1, max_length=64)


@tool(writes=True, destructive=True, operator=True)
async def pause_everything(app: App, call: Call, args: PauseArgs) -> PausedAnswer:
    """Emergency stop, for all scanners and the tasks of all users: nothing more is started until
    resume_everything; submissions still queue. `running` says what becomes of scans that run:
    keep them, pause them, or stop them, which cancels their tasks for good.

    Only when the user asks for it. For one scanner use drain_scanner, for one task pause_scan."""
    paused: PausedAnswer = await admin_daemon.pause_all.fn(app, call, args)
    return paused


@tool(writes=True, operator=True)
async def resume_everything(app: App, call: Call, args: NoArgs) -> PausedAnswer:
    """End pause_everything: scans may start again, and those that it paused resume. Scans that
    were paused one by one stay paused."""
    resumed: PausedAnswer = await admin_daemon.resume_all.fn(app, call, args)
    return resumed


@tool(writes=True, operator=True)
async def drain_scanner(app: App, call: Call, args: DrainArgs) -> ScannerAnswer:
    """Stop sending a scanner scans, for all users; running ones finish. Its queued tasks
    wait, or run elsewhere. Undo it with undrain_scanner."""
    return await _switch(app, call, args, "drain")


@tool(writes=True, operator=True)
async def undrain_scanner(app: App, call: Call, args: DrainArgs) -> ScannerAnswer:
    """Send a drained scanner scans again."""
    return await _switch(app, call, args, "undrain")


EMERGENCY_TOOLS: tuple[ToolDef, ...] = (
    pause_everything,
    resume_everything,
    drain_scanner,
    undrain_scanner,
)


async def _switch(app: App, call: Call, args: DrainArgs, action: str) -> ScannerAnswer:
    switch = SwitchArgs(scanner_instance=args.scanner_instance, action=action)
    answer: ScannerAnswer = await admin_daemon.switch_scanner.fn(app, call, switch)
    return answer
