"""`test_scanner`: what is looked at, in which order, and what each finding means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import OPERATORS
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import MAY_SCAN, ScannerError, ScannerInfo
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import one_scanner, virtual_now

DAY = 86400.0
SOUND = ScannerInfo(
    ready=True, edition="Nessus Manager", version="10.8", scan_api=True, licensed_hosts=1
)


@attrs.frozen
class Bench:
    app: App
    scanner: FakeScanner

    async def test(self, name: str = "a", **info: Any) -> dict[str, Any]:
        """What is found of a scanner that is sound but for `info`, whose times are from now."""
        info = {"plugin_set_at": -DAY, **info}
        now = virtual_now()()
        times = {name: now + at for name, at in info.items() if name.endswith("_at") and at}
        self.scanner.info_answer = attrs.evolve(SOUND, **{**info, **times})
        tool = OPERATORS.get("test_scanner")
        assert tool is not None
        args: Any = validation.parse(tool.arguments, {"scanner_instance": name})
        answer = await tool.fn(self.app, Call(peer=Peer(connection="c", uid=0)), args)
        return validation.answer(answer)[0]

    async def step(self, check: str, **info: Any) -> tuple[str, str]:
        steps = (await self.test(**info))["steps"]
        found = [each for each in steps if each["check"] == check]
        assert all((each["remedy"] is None) == (each["status"] == "ok") for each in steps)
        return found[-1]["status"], found[-1]["message"]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.latency = 0.0
        scanner.offered_templates = {"basic": True, "advanced": True, "pci": False}
        yield Bench(app_of(w), scanner)


async def test_a_sound_scanner_passes_every_step(bench: Bench) -> None:
    answer = await bench.test()
    assert answer["passed"]
    assert [(each["check"], each["status"], each["message"]) for each in answer["steps"]] == [
        ("reach", "ok", "reachable"),
        ("edition", "ok", "Nessus Manager 10.8, 1 host"),
        ("license", "ok", "scans may be created through the API"),
        ("plugins", "ok", "the plugin set is 1.0 days old"),
        ("clock", "ok", "the scanner does not report its time, so it was not compared with ours"),
        ("login", "ok", "logged in; scans: 0, of them ours: 0"),
        ("rights", "ok", f"this login may create scans (permissions {MAY_SCAN})"),
        ("templates", "ok", "2 of 3 templates may be used"),
    ]
    assert not bench.scanner.scans


@pytest.mark.parametrize(
    ("days", "status", "message"),
    [
        (14.5, "ok", "scans may be created through the API"),
        (13.6, "warning", "the license ends in 14 days"),
        (1.2, "warning", "the license ends in 1 day"),
        (-0.1, "failed", "the license has expired"),
    ],
)
async def test_the_end_of_a_license(bench: Bench, days: float, status: str, message: str) -> None:
    assert await bench.step("license", license_expires_at=days * DAY) == (status, message)


async def test_plugins_are_old_after_two_weeks(bench: Bench) -> None:
    for days, status, part in (
        (13.9, "ok", "13.9 days old"), (15, "warning", "15 days old"), (-3, "ok", "0.0 days old"),
    ):  # fmt: skip
        found = await bench.step("plugins", plugin_set_at=-days * DAY)
        assert found == (status, f"the plugin set is {part}")
    found = await bench.step("plugins", plugin_set_at=None)
    assert found == ("warning", "the scanner does not report the age of its plugins")


async def test_clocks_may_differ_by_a_minute(bench: Bench) -> None:
    for ahead, status, part in (
        (60.0, "ok", "is within 60 s of ours"), (-60.0, "ok", "is within 60 s of ours"),
        (61.0, "warning", "is 61 s ahead of ours"), (-3600.0, "warning", "is 3600 s behind ours"),
    ):  # fmt: skip
        bench.scanner.clock_ahead = ahead
        found = await bench.step("clock")
        assert found[0] == status
        assert part in found[1]


async def test_a_license_without_the_api_fails_for_keys(bench: Bench) -> None:
    answer = await bench.test(scan_api=False)
    assert not answer["passed"]
    found = {each["check"]: each for each in answer["steps"]}
    assert found["license"]["status"] == "failed"
    assert "auth.ui_session" in found["license"]["remedy"]
    assert "rights" not in found


async def test_no_usable_template_fails(bench: Bench) -> None:
    bench.scanner.offered_templates = {"pci": False}
    assert await bench.step("templates") == ("failed", "no template may be used")
    assert not (await bench.test())["passed"]


async def test_while_plugins_load_nothing_else_is_asked(bench: Bench) -> None:
    bench.scanner.requests.clear()
    answer = await bench.test(ready=False, loading_percent=40)
    assert [each["message"] for each in answer["steps"]] == [
        "reachable", "still loading its plugins (40 %)",
    ]  # fmt: skip
    assert answer["passed"]
    assert "list_scans" not in bench.scanner.requests


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (ErrorKind.SCANNER_UNREACHABLE, "reach"),
        (ErrorKind.CERTIFICATE_MISMATCH, "certificate"),
        (ErrorKind.LOGIN_REFUSED, "login"),
        (ErrorKind.LICENSE_EXPIRED, "license"),
    ],
)
async def test_the_first_refusal_ends_it(bench: Bench, kind: ErrorKind, check: str) -> None:
    refusal = type("Refusal", (ScannerError,), {"kind": kind})
    bench.scanner.down = refusal(f"\x1b[31mno{'!' * 900}")
    answer = await bench.test()
    (step,) = answer["steps"]
    assert (step["check"], step["status"], answer["passed"]) == (check, "failed", False)
    assert "\x1b" not in step["message"]
    assert len(step["message"]) <= 500
    assert step["remedy"]


async def test_a_scanner_that_is_not_configured(bench: Bench) -> None:
    with pytest.raises(ToolError, match="no scanner 'b'; known: a"):
        await bench.test("b")
