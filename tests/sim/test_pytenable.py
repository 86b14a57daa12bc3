"""The vendor's own client, unmodified, as an outside judge of the simulator."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nessus_sched.sim import Fault, RunningSim, SimOptions
from support.sim import hand_driven, in_thread, serving

tenable = pytest.importorskip("tenable.nessus", reason="pyTenable is not installed")
errors = pytest.importorskip("tenable.errors")
reports = pytest.importorskip("tenable.reports.nessusv2")

RECORDED = Path(__file__).parents[2] / ".." / "shared" / "data" / "nessus_json"
FAST = SimOptions(scans_take=0.4, transition_takes=0.05, export_takes=0.1)


def by_keys(sim: RunningSim) -> Any:
    return tenable.Nessus(url=sim.url, access_key=sim.access_key, secret_key=sim.secret_key)


def by_password(sim: RunningSim) -> Any:
    return tenable.Nessus(url=sim.url, username=sim.username, password=sim.password)


def template(nessus: Any, name: str = "basic") -> str:
    return next(
        str(row["uuid"]) for row in nessus.editor.template_list("scan") if row["name"] == name
    )


def created(nessus: Any, name: str = "scan", **settings: Any) -> int:
    settings = {"name": name, "enabled": False, "text_targets": "192.0.2.1,192.0.2.9"} | settings
    return int(nessus.scans.create(uuid=template(nessus), settings=settings)["scan"]["id"])


def until(nessus: Any, scan_id: int, status: str) -> Any:
    give_up = time.monotonic() + 10
    while (details := nessus.scans.details(scan_id))["info"]["status"] != status:
        assert time.monotonic() < give_up, details["info"]
        time.sleep(0.02)  # noqa: TID251 - pyTenable blocks, so this runs in a thread
    return details


async def judged(work: Callable[[RunningSim], Any], options: SimOptions = FAST) -> RunningSim:
    async with serving(options) as sim:
        await in_thread(sim, work)
    return sim


def everyday(nessus: Any) -> None:
    """The whole way: create, launch, watch, export, read, delete."""
    assert nessus.server.status()["status"] == "ready"
    scan_id = created(nessus)
    assert len(nessus.scans.launch(scan_id)) == 52
    details = until(nessus, scan_id, "completed")
    document = nessus.scans.export_scan(scan_id, format="nessus")
    items = list(reports.NessusReportv2(document))
    assert len(items) == sum(host["severity"] for host in details["hosts"])
    assert {item["host-report-name"] for item in items} == {"192.0.2.1", "192.0.2.9"}
    assert [row["id"] for row in nessus.scans.list()["scans"]] == [scan_id]
    nessus.scans.delete(scan_id)
    assert nessus.scans.list()["scans"] is None


@pytest.mark.sampled(2)
@pytest.mark.parametrize("log_in", [by_keys, by_password])
async def test_the_whole_way(log_in: Callable[[RunningSim], Any]) -> None:
    def work(sim: RunningSim) -> None:
        nessus = log_in(sim)
        everyday(nessus)
        assert nessus.session.get()["username"] == "admin"
        nessus._deauthenticate()

    sim = await judged(work)
    ledger = sim.nessus.ledger
    assert (ledger.launches("scan"), ledger.of("delete")) == (1, {"scan": 1})
    assert ledger.totals["logout"] == (log_in is by_password)


async def test_pausing_stopping_and_history() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_keys(sim)
        scan_id = created(nessus)
        nessus.scans.launch(scan_id)
        nessus.scans.pause(scan_id)
        until(nessus, scan_id, "paused")
        nessus.scans.resume(scan_id)
        until(nessus, scan_id, "running")
        nessus.scans.stop(scan_id)
        until(nessus, scan_id, "canceled")
        nessus.scans.launch(scan_id, alt_targets=["192.0.2.3"])
        nessus.scans.kill(scan_id)
        history = until(nessus, scan_id, "canceled")["history"]
        assert [row["alt_targets_used"] for row in history] == [True, False]
        nessus.scans.delete_history(scan_id, history[0]["history_id"])
        assert len(nessus.scans.details(scan_id)["history"]) == 1
        nessus.scans.launch(scan_id)
        uuid = nessus.scanners.running_scans(1)[0]["id"]
        nessus.scanners.control_scan(1, uuid, "stop")
        until(nessus, scan_id, "canceled")

    await judged(work, SimOptions(scans_take=30.0, transition_takes=0.05))


@pytest.mark.slow
async def test_everything_else_about_scans() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_keys(sim)
        folder_id = nessus.folders.create("ours")
        scan_id = created(nessus, folder_id=folder_id)
        nessus.scans.configure(scan_id, settings={"name": "renamed"})
        copy_id = nessus.scans.copy(scan_id, name="copy")["id"]
        names = {row["name"] for row in nessus.scans.list(folder_id=folder_id)["scans"]}
        assert names == {"renamed", "copy"}
        nessus.scans.read_status(scan_id, True)
        assert nessus.scans.schedule(scan_id, True)["enabled"] is True
        assert nessus.scans.timezones()
        assert nessus.scans.export_formats(scan_id)["formats"]
        nessus.scans.launch(copy_id)
        details = until(nessus, copy_id, "completed")
        host_id = details["hosts"][0]["host_id"]
        assert nessus.scans.plugin_output(copy_id, host_id, 19506)["outputs"]
        for kind in ("csv", "html"):
            assert nessus.scans.export_scan(copy_id, format=kind).read()
        imported = nessus.scans.import_scan(nessus.scans.export_scan(copy_id))
        assert imported["scan"]["status"] == "imported"
        with pytest.raises(errors.BadRequestError):
            nessus.scans.attachment(copy_id, 1, "abcdef")
        assert nessus.scans.delete_many([scan_id, copy_id, 999]) == [scan_id, copy_id]

    await judged(work)


async def test_folders_policies_files_and_settings() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_keys(sim)
        folder_id = nessus.folders.create("ours")
        nessus.folders.edit(folder_id, "renamed")
        assert "renamed" in [row["name"] for row in nessus.folders.list()]
        nessus.folders.delete(folder_id)
        with pytest.raises(errors.ForbiddenError):
            nessus.folders.delete(2)
        policies(nessus)
        assert nessus.files.upload(io.BytesIO(b"192.0.2.4"))
        assert {row["type"] for row in nessus.scanners.list()} == {"local"}
        assert nessus.scanners.details(1)["id"] == 1
        assert nessus.scanners.scanner_key(1)
        change = {"action": "edit", "name": "global.max_scans", "value": "3"}
        nessus.settings.modify([change])
        values = {row["name"]: row["value"] for row in nessus.settings.list()}
        assert values["global.max_scans"] == "3"
        assert nessus.settings.health()["perf_stats_current"]
        assert nessus.settings.alerts() == []

    await judged(work)


def policies(nessus: Any) -> None:
    assert nessus.policies.list() is None
    policy_id = nessus.policies.create(template(nessus), settings={"name": "p"})["policy_id"]
    nessus.policies.edit(policy_id, uuid=template(nessus), settings={"name": "q"})
    assert nessus.policies.details(policy_id)["settings"]["name"] == "q"
    copy_id = nessus.policies.copy(policy_id)["id"]
    exported = nessus.policies.export_policy(copy_id)
    imported = nessus.policies.import_policy(exported)
    assert len(nessus.policies.list()) == 3
    in_use = created(nessus, policy_id=copy_id)
    with pytest.raises(errors.InvalidMethodError):
        nessus.policies.delete(copy_id)
    nessus.scans.delete(in_use)
    nessus.policies.delete(copy_id)
    assert nessus.policies.delete_many([policy_id, imported["id"]]) == [policy_id, imported["id"]]


async def test_the_editor() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_keys(sim)
        uuid = template(nessus, "compliance")
        details = nessus.editor.template_details("scan", uuid)
        assert {row["id"] for row in details["settings"]["basic"]["inputs"]} >= {"name"}
        audits = [row for kind in details["compliance"]["data"] for row in kind["audits"]]
        audit = next(row for row in audits if row["type"] == "feed")
        assert nessus.editor.export_audit("scan", uuid, audit["id"]).read()
        assert nessus.editor.details("scan", created(nessus))["uuid"] == template(nessus)
        assert nessus.editor.plugin_description(1, 1, 19506)["pluginid"] == "19506"
        assert len(nessus.editor.template_list("policy")) == 24

    await judged(work)


@pytest.mark.slow
async def test_session_and_keys() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_password(sim)
        nessus.session.edit(name="Someone", email="someone@example.com")
        assert nessus.session.get()["email"] == "someone@example.com"
        nessus.session.chpasswd("nessus", "a longer one")
        again = by_password(sim)  # with the new password, which the simulator knows
        keys = again.session.api_keys()
        assert keys["accessKey"] == sim.access_key
        everyday(by_keys(sim))
        nessus.server.restart(reason="test")
        with pytest.raises(errors.UnauthorizedError):
            tenable.Nessus(url=sim.url, username="admin", password="nessus")

    await judged(work)


@pytest.mark.parametrize("edition", ["professional", "essentials"])
async def test_without_scan_api_writes_fail(edition: str) -> None:
    def work(sim: RunningSim) -> None:
        for nessus in (by_keys(sim), by_password(sim)):
            with pytest.raises(errors.PreconditionFailedError):
                created(nessus)
            with pytest.raises(errors.PreconditionFailedError):
                nessus.scans.launch(scan_id)
            with pytest.raises(errors.PreconditionFailedError):
                nessus.scans.delete(scan_id)
            assert nessus.scans.details(scan_id)["info"]["status"] == "completed"
            assert nessus.scans.list()["scans"]
            assert nessus.scans.export_scan(scan_id).read()

    options = SimOptions(edition=edition, scans_take=0.0, export_takes=0.0)
    async with serving(options) as sim:
        scan_id = await in_thread(sim, _through_the_ui)
        await in_thread(sim, work)


def _through_the_ui(sim: RunningSim) -> int:
    nessus = by_password(sim)
    nessus._session.headers["X-API-Token"] = sim.nessus.accounts.ui_token
    scan_id = created(nessus)
    nessus.scans.launch(scan_id)
    return scan_id


async def test_errors_reach_the_client_as_what_they_are() -> None:
    def work(sim: RunningSim) -> None:
        nessus = by_keys(sim)
        scan_id = created(nessus)
        inject = sim.nessus.faults.inject
        inject(Fault(kind="status", status=401))
        with pytest.raises(errors.UnauthorizedError):
            nessus.scans.list()
        inject(Fault(kind="status", status=500))
        with pytest.raises(errors.ServerError):
            nessus.scans.list()
        with pytest.raises(errors.NotFoundError):
            nessus.scans.details(999)
        nessus.scans.launch(scan_id)
        with pytest.raises(errors.RequestConflictError):
            nessus.scans.export_scan(scan_id)
        inject(Fault(kind="status", status=429, retry_after=0))
        assert nessus.scans.details(scan_id)["info"]  # it tries again by itself
        until(nessus, scan_id, "completed")
        inject(Fault(kind="export_fails"))
        with pytest.raises((errors.ServerError, errors.FileDownloadError)):
            nessus.scans.export_scan(scan_id)
        assert nessus.scans.export_scan(scan_id).read()

    await judged(work)


IN_SCOPE = frozenset(
    ("session", "server", "editor", "folders", "policies", "scans", "tokens", "file", "scanners")
)
NOT_OURS = ("aws-targets", "link")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings here")
def test_no_recorded_request_is_unknown() -> None:
    """What pyTenable sends in its own tests finds a route here, if it is in scope."""
    requests = json.loads((RECORDED / "pytenable_1.9.1_recorded_requests.json").read_text())
    paths = {(each["method"], urlsplit(each["path"]).path) for each in requests}
    scope = sorted((method, path) for method, path in paths if _in_scope(method, path))
    assert len(scope) > 60
    call, _ = hand_driven()
    unknown = [
        f"{method} {path}"
        for method, path in scope
        if call(method, path, {}).content == b'{"error":"Unknown API endpoint"}'
    ]
    assert unknown == []


def _in_scope(method: str, path: str) -> bool:
    _, first, *rest = path.split("/")
    if first == "settings":
        return bool(rest) and rest[0] in ("advanced", "health")
    changes_scanners = first == "scanners" and method in ("PUT", "DELETE")
    return first in IN_SCOPE and path.rpartition("/")[2] not in NOT_OURS and not changes_scanners
