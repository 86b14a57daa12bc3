"""Which settings a submitter of a custom scan may choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.core.profile import RESERVED
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.scheduler.admission.custom_settings import SAFE_SETTINGS
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScanner
from support.world import config_of, error_kind, scanner_settings, virtual_now, world


def custom(**settings: str) -> ScanRequest:
    return ScanRequest(
        kind=ScanKind.CUSTOM, targets=("192.0.2.1",), template="advanced", settings=settings
    )


async def refusal_of(tmp_path: Path, request: ScanRequest, **changes: Any) -> str | None:
    config = config_of(tmp_path, scanner_settings("a"), **changes)
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        try:
            await w.service.submit(request, actor="test", dry_run=True)
        except RequestError as error:
            return f"{error} [{error.code}]"
    return None


async def test_harmless_settings_pass(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    assert await refusal_of(tmp_path, custom(portscan_range="1-1024", udp_scanner="no")) is None


async def test_all_others_are_refused_by_name_and_without_their_values(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    said = await refusal_of(
        tmp_path, custom(safe_checks="no", portscan_rnge="hunter2", text_targets="203.0.113.9")
    )
    assert said is not None
    assert "safe_checks is not among those" in said
    assert "did you mean portscan_range?" in said
    assert "text_targets is set by the scheduler itself" in said
    assert "hunter2" not in said
    assert said.endswith("[settings_refused]")


async def test_the_operator_can_allow_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    allowed = {"custom_settings_allowed": ("safe_checks",)}
    assert await refusal_of(tmp_path, custom(safe_checks="no"), **allowed) is None


async def test_what_the_scheduler_sets_can_never_be_allowed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    allowed = {"custom_settings_allowed": ("text_targets",)}
    assert await refusal_of(tmp_path, custom(text_targets="203.0.113.9"), **allowed)


@pytest.mark.parametrize(
    ("allowed", "refused"), [(None, False), (("Quarterly PCI",), False), (("Other",), True)]
)
async def test_the_operator_can_say_which_policies_may_be_named(
    allowed: tuple[str, ...] | None,
    refused: bool,
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    request = attrs.evolve(custom(), template=None, policy="Quarterly PCI")
    said = await refusal_of(tmp_path, request, custom_policies_allowed=allowed)
    assert (said is not None and said.endswith("[policy_not_allowed]")) is refused


async def test_a_policy_that_is_no_longer_allowed_is_not_scanned_with(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"))
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        await w.operator.pause_all("keep", actor="test")
        request = attrs.evolve(custom(), template=None, policy="Quarterly PCI")
        task = (await w.service.submit(request, actor="test")).view.task
        await w.fleet.apply(attrs.evolve(config, custom_policies_allowed=()))
        await w.operator.resume_all(actor="test")
        assert error_kind(await w.settled(task.task_id)) == "settings_refused"
    assert not scanner.scans


@pytest.mark.parametrize("value", ["x" * 2000, "a\nb", "\x00"])
async def test_odd_values_are_refused(
    value: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    assert await refusal_of(tmp_path, custom(portscan_range=value))


def test_nothing_harmless_is_reserved() -> None:
    assert not SAFE_SETTINGS & RESERVED
