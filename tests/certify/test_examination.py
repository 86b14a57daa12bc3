"""The table of a certification, against simulators that answer in different ways."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.certify.examination import examine
from nessus_sched.certify.rows import CHECKS
from nessus_sched.sim.refusals import Refusal
from support.certification import (
    DIFFERS,
    FAILED,
    UNTESTED,
    all_hold,
    client_of,
    examined,
    found,
    results,
    subject,
)
from support.five_scanners import FIVE
from support.simulated_nessus import lab

SCANS = CHECKS[CHECKS.index("templates") :]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIVE)
async def test_the_table_is_right(name: str, autojump_clock: MockClock, tmp_path: Path) -> None:
    auth, options, table = FIVE[name]
    one = lab(auth, scans_take=30, **options)
    outcome = await examined(one, tmp_path, auth=auth)
    assert results(outcome) == table
    assert outcome.clean
    assert not one.nessus.scans
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
async def test_what_a_contrary_trial_says_for_a_report(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = lab(trial=True, assume={"trial_refuses_export": False}, scans_take=30)
    outcome = await examined(one, tmp_path)
    assert results(outcome)["export"] == FAILED
    assert outcome.measured is not None
    assert outcome.measured.export_allowed is False


async def test_without_api_access_keys_create_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    outcome = await examined(lab(edition="professional"), tmp_path)
    expected = {**all_hold(license=FAILED, rights=UNTESTED), **dict.fromkeys(SCANS, UNTESTED)}
    assert results(outcome) == expected


@pytest.mark.parametrize(
    ("refusal", "check"),
    [
        (Refusal.NO_TEMPLATES, "templates"),
        (Refusal.LICENSE_EXPIRED, "create"),
        (Refusal.LAUNCH_REFUSED, "launch"),
        (Refusal.DISK_FULL, "create"),
    ],
)
async def test_a_refusal_fails_its_own_check(
    refusal: Refusal, check: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = lab(refuses=frozenset({refusal}))
    table = results(await examined(one, tmp_path))
    assert [name for name, result in table.items() if result == FAILED] == [check]
    after = CHECKS[CHECKS.index(check) + 1 : -1]
    assert {table[name] for name in after} <= {UNTESTED, "holds"}
    assert not one.nessus.scans


async def test_a_login_that_may_only_read(autojump_clock: MockClock, tmp_path: Path) -> None:
    table = results(await examined(lab(permissions=16), tmp_path))
    assert table["rights"] == FAILED
    assert table["create"] == UNTESTED


@pytest.mark.slow
async def test_times_are_measured(autojump_clock: MockClock, tmp_path: Path) -> None:
    outcome = await examined(lab(scans_take=60, pause_takes=75, transition_takes=4), tmp_path)
    measured = outcome.measured
    assert measured is not None
    assert measured.pause_seconds == pytest.approx(75, abs=1.1)
    assert measured.resume_seconds == pytest.approx(4, abs=1.1)
    assert measured.stop_seconds == pytest.approx(4, abs=1.1)
    assert measured.idle_timeout == 1800
    assert (measured.differs, measured.failed) == (0, 0)


async def test_a_scan_that_is_over_too_soon_proves_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    outcome = await examined(lab(scans_take=0.5), tmp_path)
    assert results(outcome) == all_hold(
        pause=UNTESTED, resume=UNTESTED, stop=UNTESTED, partial_export=UNTESTED
    )
    assert "too soon" in found(outcome, "resume")


@pytest.mark.slow
async def test_a_clock_that_is_wrong_differs(autojump_clock: MockClock, tmp_path: Path) -> None:
    one = lab(scans_take=30)
    honest = one.nessus.now
    one.nessus.now = lambda: honest() + 7200.0
    outcome = await examined(one, tmp_path)
    assert results(outcome) == all_hold(clock=DIFFERS)
    assert found(outcome, "clock") == "120 min ahead of ours"


@pytest.mark.slow
async def test_a_cancellation_leaves_no_scan(autojump_clock: MockClock, tmp_path: Path) -> None:
    for seconds in range(0, 200, 5):
        one = lab(scans_take=30)
        with trio.move_on_after(seconds) as scope:
            await examine(subject(one, tmp_path))
        assert not one.nessus.scans
        if not scope.cancelled_caught:
            return
    raise AssertionError("it never came to its end")


@pytest.mark.slow
async def test_scans_of_others_stay(autojump_clock: MockClock, tmp_path: Path) -> None:
    one = lab(scans_take=30)
    foreign, _ = await one.finished("task")
    await examined(one, tmp_path)
    assert list(one.nessus.scans) == [foreign]


class Forgetful(httpx.AsyncBaseTransport):
    """A scanner that ignores the settings of a new scan."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) == ("POST", "/scans"):
            body = json.loads(request.content)
            kept = ("name", "text_targets", "folder_id", "launch", "enabled")
            body["settings"] = {name: body["settings"][name] for name in kept}
            headers = {**request.headers}
            del headers["content-length"]
            request = httpx.Request(
                "POST", request.url, headers=headers, json=body, extensions=request.extensions
            )
        return await self._inner.handle_async_request(request)


@pytest.mark.slow
async def test_a_scan_without_port_scanners_is_told(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    one = lab(scans_take=30, assume={"fills_defaults": False})
    settings = one.client._settings
    one = attrs.evolve(one, client=client_of(one, settings, Forgetful))
    outcome = await examined(one, tmp_path)
    assert results(outcome) == all_hold(what_ran=DIFFERS)
    assert "port scanner" in found(outcome, "what ran")
