"""Operator actions on scanners and on the whole: reload, switches, the global pause."""

from __future__ import annotations

from typing import Literal

import attrs

from nessus_sched.api.app import App
from nessus_sched.api.errors import check_scanner, translated
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.scanner_check import Step, probe
from nessus_sched.api.scanners import NoArgs, ScannerAnswer, scanner_answer
from nessus_sched.config.scanners import ApiKeys
from nessus_sched.core.fields import field
from nessus_sched.core.states import TaskState


@attrs.frozen(kw_only=True)
class ReloadAnswer:
    applied: bool = field("The file is in force now, but for `needs_restart`.")
    problems: list[str] = field("What is wrong with it; the old configuration stays.")
    changes: list[str] = field("What is different from before.")
    needs_restart: list[str] = field("Keys whose new value takes effect only after a restart.")


@attrs.frozen(kw_only=True)
class SwitchArgs:
    scanner_instance: str = field("The scanner.", min_length=1, max_length=64)
    action: str = field("drain, undrain, enable, disable or retry.", max_length=16)


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
    with translated():
        await app.operator.switch(args.scanner_instance, args.action, actor=call.peer.actor)
    found = {view.settings.id: view for view in app.queries.scanners()}
    return scanner_answer(found[args.scanner_instance])


@tool(writes=False, timeout=55.0)
async def test_scanner(app: App, call: Call, args: TestArgs) -> TestAnswer:
    """Ask a scanner for all that a scan needs, changing nothing there."""
    check_scanner(app, args.scanner_instance)
    connection = app.queries.connection(args.scanner_instance)
    keys = isinstance(connection.settings.auth, ApiKeys)
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
    with translated():
        told = await app.operator.pause_all(args.running, actor=call.peer.actor)
    return PausedAnswer(paused=True, told=told, resumed=0, paused_scans=_paused_scans(app))


@tool(writes=True)
async def resume_all(app: App, call: Call, args: NoArgs) -> PausedAnswer:
    """End a pause of everything: scans may start again, and scans that pause_all paused go on.
    Those that were paused one by one stay paused."""
    with translated():
        await app.operator.resume_all(actor=call.peer.actor)
        before = _paused_scans(app)
        resumed = await app.service.resume_halted(actor=call.peer.actor)
    stay = max(before - resumed, 0)
    return PausedAnswer(paused=False, told=0, resumed=resumed, paused_scans=stay)


def _paused_scans(app: App) -> int:
    return app.queries.counts()[TaskState.PAUSED]


FLEET_ACTIONS: tuple[ToolDef, ...] = (reload, switch_scanner, test_scanner, pause_all, resume_all)
