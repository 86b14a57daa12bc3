"""Our answers against those that a real Nessus was recorded to give: same keys and types.

This is the strongest check there is, for it compares with the server and not with what a
client imagines. Ours may have more keys; null may stand where either side has a value.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.sim import Caller, HandClock, hand_driven

RECORDED = Path(__file__).parents[2] / ".." / "shared" / "data" / "nessus_json"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings here")

NUMBERS = (int, float)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def problems(theirs: Any, ours: Any, where: str = "$") -> list[str]:
    """Where ours lacks a key of theirs or has another type."""
    if theirs is None or ours is None:
        return []
    if _kind(theirs) != _kind(ours):
        return [f"{where}: {_kind(theirs)} is {_kind(ours)} here"]
    if isinstance(theirs, dict):
        missing = [f"{where}: no {key!r}" for key in theirs if key not in ours]
        shared = [key for key in theirs if key in ours]
        nested = [problems(theirs[key], ours[key], f"{where}.{key}") for key in shared]
        return missing + [found for each in nested for found in each]
    if isinstance(theirs, list) and theirs:
        if not ours:
            return [f"{where}: empty here"]
        return [
            found
            for number, mine in enumerate(ours)
            for found in _like_some(theirs, mine, f"{where}[{number}]")
        ]
    return []


def _like_some(theirs: list[Any], mine: Any, where: str) -> list[str]:
    """A row of ours must be like at least one row of theirs."""
    found = [problems(each, mine, where) for each in theirs]
    return min(found, key=len)


def _kind(value: Any) -> str:
    return (
        "number"
        if isinstance(value, NUMBERS) and not isinstance(value, bool)
        else (type(value).__name__)
    )


def world() -> tuple[Caller, HandClock, int]:
    """A simulator with scans, a policy and everything else that lists can show."""
    call, clock = hand_driven(scans_take=10.0)
    uuid = call.get("/editor/scan/templates")["templates"][0]["uuid"]
    call("POST", "/policies", {"uuid": uuid, "settings": {"name": "p", "description": "d"}})
    scan_id = call.create(targets="192.0.2.0/24")
    schedule = {
        "starttime": "20200428T133000",
        "rrules": "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO",
        "timezone": "Europe/London",
    }
    call.create("weekly", **schedule)
    ssh = {"auth_method": "password", "username": "a", "password": "b"}
    credentials = {"add": {"Host": {"SSH": [ssh]}}}
    call("PUT", f"/scans/{scan_id}", {"settings": {}, "credentials": credentials})
    call.launch(scan_id)
    clock.pass_time(11.0)
    return call, clock, scan_id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("csn_nessus8_server_status", "/server/status"),
        ("csn_nessus8_editor_policy_templates", "/editor/policy/templates"),
        ("csn_nessus8_policies_list", "/policies"),
        ("csn_nessus8_policy_details", "/policies/4"),
        ("csn_nessus8_scans_list", "/scans"),
        ("vwt_nessus_GET_scans", "/scans"),
        ("vwt_nessus_GET_scans_164", "/scans/{scan}"),
        ("vwt_nessus_GET_scans_170", "/scans/{scan}"),
        ("tio_host_details", "/scans/{scan}/hosts/{host}"),
    ],
)
def test_what_is_read(name: str, path: str) -> None:
    call, _, scan_id = world()
    host_id = call.get(f"/scans/{scan_id}")["hosts"][0]["host_id"]
    ours = call.get(path.format(scan=scan_id, host=host_id))
    assert problems(recorded(name), ours) == []


def test_a_session() -> None:
    call, _, _ = world()
    ours = call("POST", "/session", {"username": "admin", "password": "nessus"}).json
    for name in ("csn_nessus8_session_post", "vwt_nessus_POST_session"):
        assert problems(recorded(name), ours) == []


def test_creating_a_scan_as_recorded() -> None:
    call, _, _ = world()
    request = recorded("csn_nessus8_scan_create_req")
    request["settings"]["policy_id"] = 4
    ours = call("POST", "/scans", request).json
    theirs = recorded("csn_nessus8_scan_create_resp")
    assert problems(theirs, ours) == []
    same = ("name", "custom_targets", "enabled", "starttime", "rrules", "timezone", "type")
    assert {key: ours["scan"][key] for key in same} == {key: theirs["scan"][key] for key in same}
    assert len(ours["scan"]["uuid"]) == len(theirs["scan"]["uuid"])


def test_creating_a_policy_as_recorded() -> None:
    call, _, _ = world()
    ours = call("POST", "/policies", recorded("csn_nessus8_policy_create_req")).json
    assert problems(recorded("csn_nessus8_policy_create_resp"), ours) == []


def test_an_export() -> None:
    call, clock, scan_id = world()
    ours = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json
    assert problems(recorded("vwt_nessus_POST_export"), ours) == []
    clock.pass_time(1.0)
    status = call.get(f"/scans/{scan_id}/export/{ours['file']}/status")
    assert status == recorded("vwt_nessus_export_status")


def test_copying_and_plugin_output_are_like_the_clouds() -> None:
    call, _, scan_id = world()
    copy = call("POST", f"/scans/{scan_id}/copy", {}).json
    assert problems(recorded("tio_scan_copy_resp"), copy) == []
    host_id = call.get(f"/scans/{scan_id}")["hosts"][0]["host_id"]
    ours = call.get(f"/scans/{scan_id}/hosts/{host_id}/plugins/19506")
    theirs = recorded("tio_plugin_output")
    assert set(theirs["outputs"][0]) <= set(ours["outputs"][0])
    assert set(theirs["info"]["plugindescription"]) <= set(ours["info"]["plugindescription"])
    attributes = theirs["info"]["plugindescription"]["pluginattributes"]
    assert set(attributes) <= set(ours["info"]["plugindescription"]["pluginattributes"])


def test_the_template_list_is_the_recorded_one() -> None:
    call, _, _ = world()
    theirs = recorded("csn_nessus8_editor_policy_templates")["templates"]
    ours = call.get("/editor/policy/templates")["templates"]
    known = ("name", "title", "uuid", "category", "order", "manager_only")
    assert [{key: row[key] for key in known} for row in ours] == [
        {key: row[key] for key in known} for row in theirs
    ]


def test_the_comparison_itself_can_fail() -> None:
    assert problems({"a": 1}, {}) == ["$: no 'a'"]
    assert problems({"a": 1}, {"a": "1"}) == ["$.a: number is str here"]
    assert problems([{"a": True}], [{"a": 1}]) == ["$[0].a: bool is number here"]
    assert problems([1], []) == ["$: empty here"]
