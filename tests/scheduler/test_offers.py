"""Custom scans: the template or policy must be one that a suitable scanner offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScanner, unreachable
from support.world import World, config_of, scanner_settings, virtual_now, world


def custom(**changes: Any) -> ScanRequest:
    return ScanRequest(kind=ScanKind.CUSTOM, targets=("192.0.2.1",), **changes)


async def refusal(w: World, request: ScanRequest) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        await w.service.submit(request, actor="me", dry_run=True)
    with pytest.raises(RequestError):
        await w.service.submit(request, actor="me")
    return caught.value.code, str(caught.value)


async def contacted(w: World, scanner_id: str) -> None:
    """By a scan that has run there."""
    request = ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.2",), scanner_instance=scanner_id)
    if scanner_id == "lab":
        request = attrs.evolve(request, pool="lab")
    task = (await w.service.submit(request, actor="me")).view.task
    await w.until(task.task_id, TaskState.RUNNING)


async def test_what_no_suitable_scanner_offers_is_refused_at_submission(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {each: FakeScanner(virtual_now()) for each in ("a", "lab")}
    scanners["a"].offered_templates = {"malware": True, "mobile": False}
    scanners["a"].offered_policies = ["web tier"]
    scanners["lab"].offered_templates = {"advanced": True}
    scanners["lab"].offered_policies = ["lab only\x1b[31m"]
    settings = (scanner_settings("a"), scanner_settings("lab", pool="lab"))
    async with world(config_of(tmp_path, *settings), scanners) as w:
        await contacted(w, "a")
        await contacted(w, "lab")
        code, text = await refusal(w, custom(template="malwear"))
        assert code == "unknown_template"
        assert "did you mean 'malware'?" in text
        assert "advanced" not in text, "that is in another pool"
        assert (await refusal(w, custom(template="mobile")))[0] == "template_not_licensed"
        code, text = await refusal(w, custom(policy="web teir"))
        assert code == "unknown_policy"
        assert "did you mean 'web tier'?" in text
        _, text = await refusal(w, custom(policy="x", scanner_instance="lab", pool="lab"))
        assert "\x1b" not in text
        for wanted in (
            custom(template="malware"),
            custom(policy="web tier"),
            custom(template="advanced", pool="lab"),
        ):
            assert (await w.service.submit(wanted, actor="me", dry_run=True)).dry_run


async def test_a_scanner_that_never_answered_rules_nothing_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    scanner.down = unreachable()
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        assert (await w.service.submit(custom(policy="any"), actor="me")).created


async def test_a_new_policy_is_known_after_the_next_look_and_an_outage_forgets_none(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        await contacted(w, "a")
        await refusal(w, custom(policy="new"))
        scanner.offered_policies.append("new")
        w.fleet.drivers["a"].connection.look_again()
        await contacted(w, "a")
        scanner.down = unreachable()
        assert (await w.service.submit(custom(policy="new"), actor="me", dry_run=True)).dry_run
        await refusal(w, custom(policy="other"))
