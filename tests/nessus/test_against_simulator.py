"""The client against the simulated Nessus: whole scans, licenses, sessions, other people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock as Clock

from nessus_sched.core.credentials import Credential, CredentialKind, Escalation, EscalationMethod
from nessus_sched.core.scanner import (
    ApiRefused,
    BadExport,
    DiskFull,
    LaunchRefused,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NoPlugins,
    NoTemplates,
    NotFound,
    NotOurs,
    NotReady,
    OutcomeUnknown,
    PermissionDenied,
    Refused,
    ScannerError,
    ScanStatus,
    TemplateNotLicensed,
)
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import Discovery, ScanKind
from nessus_sched.sim.refusals import Refusal
from support.seals import marker
from support.simulated_nessus import Lab, failure, lab, scan_order

MARKER = marker("task", 1)
PASSWORD = "canary-ssh-password"
SSH = Credential(
    name="lab",
    kind=CredentialKind.SSH_PASSWORD,
    username="scan",
    password=Secret(PASSWORD),
    escalation=Escalation(method=EscalationMethod.SUDO, password=Secret("canary-sudo")),
)
AUDIT = "CIS Debian Linux 11 Server L1 v1.0.0"


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["keys", "session"])
async def test_a_scan_from_creation_to_deletion(
    autojump_clock: Clock, auth: str, tmp_path: Path
) -> None:
    one = lab(auth)
    info = await one.client.info()
    assert info.ready
    assert info.scan_api
    assert info.plugin_set_at
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    found = await one.listed()
    assert found is not None
    assert (found.scan_id, found.status, found.ours) == (scan_id, ScanStatus.EMPTY, True)
    uuid = await one.launch(scan_id)
    seen = [await one.client.details(scan_id, uuid=uuid)]
    while seen[-1].status is not ScanStatus.COMPLETED:
        await trio.sleep(1)
        seen.append(await one.client.details(scan_id, uuid=uuid))
    assert all(step.uuid == uuid for step in seen)
    assert seen[-1].progress == 100
    assert all(step.progress is None or step.progress < 100 for step in seen[:-1])
    path = tmp_path / "report.nessus"
    size = await one.client.export(scan_id, seen[-1].history_id, path)
    assert path.stat().st_size == size
    assert b"192.0.2.7" in path.read_bytes()
    await one.client.delete(scan_id, (MARKER,))
    assert await one.listed() is None
    await one.client.close()
    assert one.nessus.ledger.launches() == 1
    assert one.nessus.ledger.totals["logout"] == (1 if auth == "session" else 0)


async def test_pause_resume_stop(autojump_clock: Clock) -> None:
    one = lab()
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    uuid = await one.launch(scan_id)
    await trio.sleep(1)
    await one.client.pause(scan_id, (MARKER,))
    await trio.sleep(1)
    assert (await one.client.details(scan_id)).status is ScanStatus.PAUSED
    assert type(await failure(one.client.pause(scan_id, (MARKER,)))) is Refused
    await one.client.resume(scan_id, (MARKER,))
    await trio.sleep(1)
    assert (await one.client.details(scan_id)).status is ScanStatus.RUNNING
    assert type(await failure(one.client.delete(scan_id, (MARKER,)))) is Refused
    assert type(await failure(one.client.export(scan_id, None, Path("x")))) is BadExport
    await one.client.stop(scan_id, (MARKER,))
    ended = await one.ended(scan_id, uuid)
    assert ended.status is ScanStatus.STOPPED
    assert ended.ended_at is not None


@pytest.mark.parametrize("status", [409, 500])
async def test_launching_twice_is_launching_once(autojump_clock: Clock, status: int) -> None:
    one = lab(launch_conflict_status=status)
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    assert await one.launch(scan_id) == await one.client.launch(scan_id, (MARKER,))
    assert one.nessus.ledger.launches() == 1


KINDS: list[dict[str, Any]] = [
    {"kind": ScanKind.BASIC},
    {"kind": ScanKind.TRUSTED, "credential": SSH},
    {"kind": ScanKind.PRIVILEGED, "credential": SSH},
    {"kind": ScanKind.CUSTOM, "template": "custom"},
    {"kind": ScanKind.QUICK, "discovery": Discovery.HOSTS},
    {"kind": ScanKind.COMPLIANCE, "credential": SSH, "audit": AUDIT},
]


@pytest.mark.slow
@pytest.mark.parametrize("request_", KINDS, ids=lambda request: str(request["kind"]))
async def test_every_kind_of_scan_runs(autojump_clock: Clock, request_: dict[str, Any]) -> None:
    one = lab()
    _, ended = await one.finished(**request_)
    assert ended.status is ScanStatus.COMPLETED
    assert ended.hosts == 2


async def test_a_key_is_uploaded_and_the_password_not_shown_by_the_scan(
    autojump_clock: Clock,
) -> None:
    one = lab()
    key = Credential(
        name="key",
        kind=CredentialKind.SSH_KEY,
        username="scan",
        private_key=Secret("canary-private-key"),
    )
    await one.finished(kind=ScanKind.TRUSTED, credential=key)
    assert b"canary-private-key" in one.nessus.uploads.values()
    await one.finished("other", kind=ScanKind.TRUSTED, credential=key)
    assert len(one.nessus.uploads) == 2


async def test_two_scans_at_once_make_one_folder(autojump_clock: Clock) -> None:
    one = lab("session")
    async with trio.open_nursery() as nursery:
        for task in ("a", "b", "c"):
            nursery.start_soon(one.finished, task)
    assert one.nessus.ledger.totals["login"] == 1
    assert one.nessus.ledger.requests["POST /folders"] == 1
    assert len([scan for scan in await one.client.list_scans() if scan.ours]) == 3


@pytest.mark.parametrize("edition", ["professional", "essentials"])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_license_without_api_refuses_changes_by_keys(
    autojump_clock: Clock, edition: str, cut: bool
) -> None:
    one = lab(edition=edition, gate_cuts_body=cut)
    assert (await one.client.info()).scan_api is False
    error = await failure(one.client.create_scan(scan_order()))
    assert type(error) is (OutcomeUnknown if cut else ApiRefused)
    assert "ui_session" in str(error)
    assert not one.nessus.scans


@pytest.mark.slow
@pytest.mark.parametrize("upper", [False, True])
async def test_a_license_without_api_is_passed_as_the_web_ui(
    autojump_clock: Clock, upper: bool
) -> None:
    one = lab("session", edition="essentials", ui_token_upper_case=upper)
    await one.finished()
    one.nessus.reinstall_ui()
    await one.finished("later")
    assert one.nessus.ledger.launches() == 2


async def test_a_template_beyond_the_license(autojump_clock: Clock) -> None:
    one = lab("session", edition="essentials")
    order = scan_order(kind=ScanKind.CUSTOM, template="pci")
    assert type(await failure(one.client.create_scan(order))) is TemplateNotLicensed
    names = {template.name: template.usable for template in await one.client.templates()}
    assert names["basic"]
    assert not names["pci"]


async def test_a_session_that_expires_while_a_scan_runs(autojump_clock: Clock) -> None:
    one = lab("session", idle_timeout=60.0, scans_take=600.0)
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    uuid = await one.launch(scan_id)
    await trio.sleep(300)
    assert (await one.client.details(scan_id, uuid=uuid)).status is ScanStatus.RUNNING
    await trio.sleep(100)
    await one.client.pause(scan_id, (MARKER,))
    assert one.nessus.ledger.totals["login"] == 3
    assert one.nessus.ledger.totals["pause"] == 1


async def test_a_wrong_password_never_locks_the_account(autojump_clock: Clock) -> None:
    one = lab("session")
    one.nessus.accounts.password = "changed"
    for _ in range(20):
        assert type(await failure(one.client.list_scans())) is LoginRefused
    assert one.nessus.ledger.totals["bad_login"] == 1


async def test_wrong_keys(autojump_clock: Clock) -> None:
    one = lab()
    one.nessus.accounts.renew_keys()
    assert type(await failure(one.client.info())) is LoginRefused
    assert type(await failure(one.client.list_scans())) is LoginRefused


async def test_a_scanner_that_loads_its_plugins(autojump_clock: Clock) -> None:
    one = lab(loading_seconds=100.0)
    await trio.sleep(50)
    info = await one.client.info()
    assert (info.ready, info.loading_percent) == (False, 50)
    assert type(await failure(one.client.list_scans())) is NotReady
    assert type(await failure(one.client.create_scan(scan_order()))) is NotReady
    await trio.sleep(51)
    assert (await one.client.info()).ready


@pytest.mark.parametrize("auth", ["keys", "session"])
async def test_a_restart_is_survived(autojump_clock: Clock, auth: str) -> None:
    one = lab(auth, scans_take=100.0)
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    uuid = await one.launch(scan_id)
    await trio.sleep(10)
    before = await one.client.info()
    one.nessus.restart(loading_seconds=30.0)
    assert not (await one.client.info()).ready
    await trio.sleep(31)
    after = await one.client.info()
    assert after.boot_time is not None
    assert before.boot_time is not None
    assert after.boot_time > before.boot_time
    assert (await one.client.details(scan_id, uuid=uuid)).status is ScanStatus.ABORTED


async def test_a_full_scanner(autojump_clock: Clock) -> None:
    one = lab(max_scans=1, over_limit="refuse")
    assert (await one.client.info()).max_scans == 1
    first = (await one.client.create_scan(scan_order("a"))).scan_id
    second = (await one.client.create_scan(scan_order("b"))).scan_id
    await one.launch(first, "a")
    assert type(await failure(one.launch(second, "b"))) is NoCapacity
    assert one.nessus.ledger.max_running == 1


async def test_a_scan_that_waits_for_room_is_pending(autojump_clock: Clock) -> None:
    one = lab(max_scans=1)
    first = (await one.client.create_scan(scan_order("a"))).scan_id
    second = (await one.client.create_scan(scan_order("b"))).scan_id
    await one.launch(first, "a")
    uuid = await one.launch(second, "b")
    found = await one.client.details(second, uuid=uuid)
    assert (found.status, found.progress) == (ScanStatus.PENDING, None)


async def test_a_session_that_expires_during_an_export(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    one = lab("session", export_takes=120.0)
    scan_id, ended = await one.finished()
    path = tmp_path / "report.nessus"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.client.export, scan_id, ended.history_id, path)
        await trio.sleep(60)
        one.nessus.accounts.forget_sessions()
    assert path.exists()
    assert one.nessus.ledger.totals["login"] == 2


async def test_a_scan_that_aborts_and_one_that_stays_pending(autojump_clock: Clock) -> None:
    one = lab()
    one.inject(kind="scan_aborts", scan="*first*")
    _, ended = await one.finished("first")
    assert ended.status is ScanStatus.ABORTED
    one.inject(kind="stays_pending")
    scan_id = (await one.client.create_scan(scan_order("second"))).scan_id
    uuid = await one.launch(scan_id, "second")
    await trio.sleep(1000)
    assert (await one.client.details(scan_id, uuid=uuid)).status is ScanStatus.PENDING


async def test_an_unknown_status_has_not_ended(autojump_clock: Clock) -> None:
    one = lab()
    one.inject(kind="unknown_status", message="levitating")
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    uuid = await one.launch(scan_id)
    await trio.sleep(1)
    found = await one.client.details(scan_id, uuid=uuid)
    assert (found.status, found.status_text) == (ScanStatus.UNKNOWN, "levitating")


async def test_the_second_run_of_a_scan_is_told_from_the_first(autojump_clock: Clock) -> None:
    one = lab()
    scan_id, first = await one.finished()
    uuid = await one.launch(scan_id)
    again = await one.client.details(scan_id, uuid=first.uuid)
    assert (again.status, again.history_id) == (ScanStatus.COMPLETED, first.history_id)
    second = await one.ended(scan_id, uuid)
    assert second.history_id != first.history_id
    one.nessus.engine.delete_run(one.nessus.scans[scan_id], first.history_id or 0)
    assert type(await failure(one.client.details(scan_id, uuid=first.uuid))) is NotFound


async def test_somebody_elses_scans_are_safe(autojump_clock: Clock) -> None:
    one = lab()
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    scan = one.nessus.scans[scan_id]
    scan.name = "mine now"
    for act in (one.client.launch, one.client.pause, one.client.resume, one.client.stop):
        assert type(await failure(act(scan_id, (MARKER,)))) is NotOurs
    assert type(await failure(one.client.delete(scan_id, (MARKER,)))) is NotOurs
    scan.name = f"copied {MARKER}"
    scan.folder_id = 3
    assert type(await failure(one.client.delete(scan_id, (MARKER,)))) is NotOurs
    assert await one.listed() is None
    assert scan_id in one.nessus.scans


async def test_two_clients_share_a_scanner_and_not_their_scans(autojump_clock: Clock) -> None:
    one = lab()
    two = lab(nessus=one.nessus)
    await one.finished("a")
    assert await two.listed("a")
    assert await two.listed("b") is None


async def test_no_error_of_a_login_shows_its_password(autojump_clock: Clock) -> None:
    one: Lab = lab("session")
    for kind in ("reset_after", "html", "empty"):
        one.inject(kind=kind, method="POST", path="/session")
        error = await failure(one.client.list_scans())
        assert one.nessus.accounts.password not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal.LICENSE_EXPIRED, LicenseExpired),
        (Refusal.NO_RIGHTS, PermissionDenied),
        (Refusal.NO_API, ApiRefused),
        (Refusal.NO_PLUGINS, NoPlugins),
        (Refusal.NO_TEMPLATES, NoTemplates),
        (Refusal.SCAN_LIMIT, NoCapacity),
        (Refusal.DISK_FULL, DiskFull),
    ],
)
async def test_why_a_whole_scanner_creates_nothing(
    autojump_clock: Clock, refusal: Refusal, kind: type[ScannerError]
) -> None:
    one = lab()
    one.nessus.refuses = {refusal}
    assert type(await failure(one.client.create_scan(scan_order()))) is kind
    one.nessus.refuses = set()
    assert (await one.client.create_scan(scan_order())).scan_id


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [(Refusal.HOST_LIMIT, LicenseLimit), (Refusal.LAUNCH_REFUSED, LaunchRefused)],
)
async def test_why_a_whole_scanner_launches_nothing(
    autojump_clock: Clock, refusal: Refusal, kind: type[ScannerError]
) -> None:
    one = lab()
    scan_id = (await one.client.create_scan(scan_order())).scan_id
    one.nessus.refuses = {refusal}
    assert type(await failure(one.launch(scan_id))) is kind


async def test_a_scanner_without_plugins_says_so(autojump_clock: Clock) -> None:
    one = lab()
    assert (await one.client.info()).plugins is True
    one.nessus.refuses = {Refusal.NO_PLUGINS}
    assert (await one.client.info()).plugins is False
