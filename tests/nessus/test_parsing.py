"""Documents of real scanners, and odd ones, as the core's values."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nessus_sched.core.scanner import LicenseExpired, NotFound, ScanStatus, TransientError
from nessus_sched.nessus import parsing
from support.scripted_nessus import UUID, ScriptedNessus, recorded, row, scanner

KEYS = re.findall(
    r"\w+",
    """info hosts history uuid status hostcount scan_start scan_end history_id id name folder_id
    folders scans templates scanprogresscurrent scanprogresstotal license features scan_api ips
    preferences value type""",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=30,
)

PROPERTIES = {
    "nessus_type": "Nessus Professional",
    "server_version": "19.18.4",
    "plugin_set": "202511060226",
    "used_ip_count": 3,
    "scanner_boottime": 1749990000,
    "license": {
        "ips": 16,
        "expiration_date": 1800000000,
        "features": {"api": True, "scan_api": False},
    },
}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("empty", ScanStatus.EMPTY),
        ("pending", ScanStatus.PENDING),
        ("initializing", ScanStatus.PENDING),
        ("running", ScanStatus.RUNNING),
        ("pausing", ScanStatus.RUNNING),
        ("paused", ScanStatus.PAUSED),
        ("resuming", ScanStatus.RUNNING),
        ("stopping", ScanStatus.RUNNING),
        ("stopped", ScanStatus.STOPPED),
        ("canceling", ScanStatus.RUNNING),
        ("canceled", ScanStatus.STOPPED),
        ("cancelled", ScanStatus.STOPPED),
        ("processing", ScanStatus.RUNNING),
        ("publishing", ScanStatus.RUNNING),
        ("completed", ScanStatus.COMPLETED),
        ("Completed", ScanStatus.COMPLETED),
        ("aborted", ScanStatus.ABORTED),
        ("imported", ScanStatus.COMPLETED),
        ("terminating", ScanStatus.RUNNING),
        ("levitating", ScanStatus.UNKNOWN),
        (None, ScanStatus.UNKNOWN),
        (7, ScanStatus.UNKNOWN),
    ],
)
def test_status_words(word: object, status: ScanStatus) -> None:
    assert parsing.status_of(word) is status


def host(current: Any, total: Any) -> dict[str, Any]:
    return {"scanprogresscurrent": current, "scanprogresstotal": total}


@pytest.mark.parametrize(
    ("hosts", "percent"),
    [
        ([], None),
        ([host(0, 0)], None),
        ([host(None, None)], None),
        ([host(0, 100)], 0),
        ([host(50, 100), host(0, 100)], 25),
        ([host("50", "100")], 50),
        ([host(100, 100)], 99),
        ([host(300, 100)], 99),
        ([host(-5, 100)], 0),
    ],
)
def test_progress(hosts: list[dict[str, Any]], percent: int | None) -> None:
    assert parsing.progress(hosts) == percent


def test_only_a_completed_scan_is_at_100() -> None:
    document: dict[str, Any] = {"info": {"status": "completed", "uuid": UUID}, "hosts": None}
    assert parsing.details(document, 7).progress == 100
    document = {"info": {"status": "canceled", "uuid": UUID}, "hosts": [host(100, 100)]}
    assert parsing.details(document, 7).progress == 99


def test_findings_about_logins_are_counted() -> None:
    rows = [(104410, 3), (141118, 2), (110095, 1), (19506, 9), ("104410", 1), (104410, "x")]
    listed = [{"plugin_id": plugin, "count": count} for plugin, count in rows]
    document = {"info": {"status": "running", "uuid": UUID}, "vulnerabilities": listed}
    found = parsing.details(document, 7)
    assert (found.failed_logins, found.worked_logins) == (4, 3)
    nothing = parsing.details({"info": {"status": "running"}, "vulnerabilities": None}, 7)
    assert (nothing.failed_logins, nothing.worked_logins) == (0, 0)


def test_a_run_has_ended_when_both_places_say_so() -> None:
    def found(info: str, history: str) -> ScanStatus:
        run = {"history_id": 1, "uuid": UUID, "status": history}
        document = {"info": {"status": info, "uuid": UUID}, "history": [run]}
        return parsing.details(document, 7).status

    assert found("completed", "completed") is ScanStatus.COMPLETED
    assert found("completed", "running") is ScanStatus.RUNNING
    assert found("running", "completed") is ScanStatus.RUNNING
    assert found("aborted", "pending") is ScanStatus.PENDING


async def test_a_run_that_is_not_listed_yet_is_told_as_it_is() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans/7", {"info": {"status": "empty", "uuid": None}, "history": None})
    found = await scanner(nessus).details(7, uuid=UUID)
    assert found.status is ScanStatus.EMPTY
    assert found.uuid is None


async def test_a_run_that_only_the_history_knows() -> None:
    nessus = ScriptedNessus()
    run = {"history_id": 5, "uuid": UUID, "status": "pending"}
    ours = {"info": {"status": "pending", "uuid": UUID}, "history": [run]}
    nessus.on("GET /scans/7", {"info": {"uuid": None}, "history": [run]}, ours)
    found = await scanner(nessus).details(7, uuid=UUID)
    assert (found.status, found.history_id) == (ScanStatus.PENDING, 5)


DOCUMENT = st.fixed_dictionaries(
    dict.fromkeys(("info", "hosts", "history", "folders", "scans", "templates"), JSON)
) | st.dictionaries(st.sampled_from(KEYS), JSON)


@pytest.mark.slow
@given(DOCUMENT)
@example({"scans": [{"id": 1, "folder_id": []}], "folders": [{"id": {}}]})
@example({"scans": [{"id": float("inf")}, {"id": "٣"}, {"id": "9" * 5000}]})
def test_nothing_a_scanner_sends_breaks_the_reading(holder: dict[str, Any]) -> None:
    found = parsing.details(holder, 7)
    assert found.progress is None or 0 <= found.progress <= 100
    parsing.scan_rows(holder, frozenset({3}))
    parsing.own_folders(holder, "ours")
    parsing.templates(holder)
    parsing.scanner_info(holder, holder)


@pytest.mark.parametrize("name", ["vwt_nessus_GET_scans.json", "csn_nessus8_scans_list.json"])
async def test_a_recorded_list(name: str) -> None:
    document = recorded(name)
    nessus = ScriptedNessus()
    nessus.on("GET /scans", document)
    found = await scanner(nessus).list_scans()
    assert len(found) == len(document["scans"])
    assert ScanStatus.UNKNOWN not in {scan.status for scan in found}
    assert not any(scan.ours for scan in found)


@pytest.mark.parametrize("name", ["vwt_nessus_GET_scans_164.json", "vwt_nessus_GET_scans_170.json"])
async def test_recorded_details(name: str) -> None:
    document = recorded(name)
    nessus = ScriptedNessus()
    nessus.on("GET /scans/7", document)
    info, run = document["info"], document["history"][0]
    found = await scanner(nessus).details(7, uuid=run["uuid"])
    assert found.status is ScanStatus.COMPLETED
    assert found.progress == 100
    assert found.hosts == info["hostcount"]
    assert found.history_id == run["history_id"]
    assert found.started_at == info["scan_start"]
    assert found.ended_at == info["scan_end"]


async def test_recorded_details_of_a_scan_that_ran_often() -> None:
    document = recorded("tio_scan_details_175.json")
    older = document["history"][3]
    nessus = ScriptedNessus()
    nessus.on("GET /scans/7", document)
    await scanner(nessus).details(7, uuid=older["uuid"])
    assert nessus.requests[-1].url.params["history_id"] == str(older["history_id"])
    with pytest.raises(NotFound):
        await scanner(nessus).details(7, uuid="11111111-0000")


async def test_recorded_templates() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /editor/scan/templates", recorded("csn_nessus8_editor_policy_templates.json"))
    found = {template.name: template for template in await scanner(nessus).templates()}
    assert {"basic", "advanced", "discovery", "compliance", "custom"} <= set(found)
    assert found["basic"].uuid == "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"
    assert all(template.usable for template in found.values())


async def test_templates_for_agents_and_web_applications_are_left_out() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /editor/scan/templates", recorded("tio_editor_templates_2.json"))
    names = [template.name for template in await scanner(nessus).templates()]
    assert names
    assert not any(re.match("agent_|was_", name) for name in names)


async def test_info_of_a_ready_scanner() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/properties", PROPERTIES)
    limits = {"preferences": [{"name": "global.max_scans", "value": "4"}, {"name": "x"}]}
    nessus.on("GET /settings/advanced", limits)
    found = await scanner(nessus).info()
    assert found.ready
    assert (found.edition, found.version) == ("Nessus Professional", "19.18.4")
    assert found.scan_api is False
    assert (found.licensed_hosts, found.used_hosts, found.max_scans) == (16, 3, 4)
    assert found.plugin_set_at == 1762395960.0
    assert found.license_expires_at == 1800000000.0
    assert found.boot_time == 1749990000.0


async def test_info_of_a_scanner_that_tells_little() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/status", recorded("csn_nessus8_server_status.json"))
    nessus.on("GET /server/properties", {"nessus_type": "Nessus", "plugin_set": None})
    nessus.on("GET /settings/advanced", (403, {"error": "no"}))
    found = await scanner(nessus).info()
    assert found.ready
    assert (found.scan_api, found.licensed_hosts, found.plugin_set_at) == (None, None, None)
    nessus.on("GET /settings/advanced", {"preferences": [{"name": "global.max_scans", "value": 0}]})
    assert (await scanner(nessus).info()).max_scans is None


@pytest.mark.parametrize(
    ("reply", "percent"),
    [
        ((503, {"code": 503, "progress": 50, "status": "loading"}), 50),
        ({"code": 200, "progress": 70, "status": "loading"}, 70),
        ((503, ""), None),
        ((503, "<html>"), None),
    ],
)
async def test_info_of_a_scanner_that_is_loading(reply: Any, percent: int | None) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/status", reply)
    found = await scanner(nessus).info()
    assert not found.ready
    assert found.loading_percent == percent
    assert len(nessus.requests) == 1


async def test_info_of_a_scanner_that_is_not_registered_or_broken() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /server/status", {"status": "register"})
    with pytest.raises(LicenseExpired):
        await scanner(nessus).info()
    nessus.on("GET /server/status", (500, ""))
    with pytest.raises(TransientError):
        await scanner(nessus).info()
    nessus.on("GET /server/status", httpx.ConnectError(""))
    with pytest.raises(TransientError):
        await scanner(nessus).info()


async def test_names_from_a_scanner_are_cleaned() -> None:
    nessus = ScriptedNessus()
    nessus.scans(row(7, name="a\x1b[2J\nb\u202e [ns:task.1]"))
    [found] = await scanner(nessus).list_scans()
    assert found.name.isprintable()
    assert found.ours
