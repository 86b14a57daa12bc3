"""Requests in the manner of other people's clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from support.sim import Caller, hand_driven


def inputs(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every input of a template, however deep, as nessrest collects them."""
    if isinstance(node, list):
        for each in node:
            yield from inputs(each)
    elif isinstance(node, Mapping):
        if "id" in node:
            yield node
        for below in node.values():
            yield from inputs(below)


def test_a_policy_first_and_then_a_scan_of_it() -> None:
    """As nessrest does: log in, read the template, post its defaults as a policy."""
    call, clock = hand_driven(scans_take=5.0)
    nobody = Caller(call.nessus)
    login = {"username": "admin", "password": "nessus"}
    token = nobody("POST", "/session", login).json["token"]
    user = Caller(call.nessus, {"X-Cookie": f"token={token}"})
    templates = user.get("/editor/policy/templates")["templates"]
    uuid = next(row["uuid"] for row in templates if row["title"] == "Advanced Scan")
    editor = user.get(f"/editor/policy/templates/{uuid}")
    settings = {
        entry["id"]: entry["default"]
        for entry in inputs(editor["settings"])
        if entry.get("default") is not None
    }
    policy = {
        "uuid": uuid,
        "settings": {**settings, "name": "by nessrest"},
        "credentials": {
            "add": {
                "Host": {
                    "SSH": [
                        {
                            "auth_method": "password",
                            "username": "scan",
                            "password": "right",
                            "elevate_privileges_with": "Nothing",
                        }
                    ]
                }
            },
            "edit": {},
            "delete": [],
        },
    }
    policy_id = user("POST", "/policies", policy).json["policy_id"]
    scan = {
        "uuid": uuid,
        "settings": {
            "name": "by nessrest",
            "text_targets": "192.0.2.0/28",
            "policy_id": policy_id,
            "folder_id": 3,
            "launch": "ON_DEMAND",
            "scanner_id": 1,
        },
    }
    scan_id = user("POST", "/scans", scan).json["scan"]["id"]
    user("POST", f"/scans/{scan_id}/launch")
    clock.pass_time(60.0)
    details = user.get(f"/scans/{scan_id}")
    assert details["info"]["status"] == "completed"
    assert 0 < len(details["hosts"]) < 14  # it pinged
    ids = {row["plugin_id"] for row in details["vulnerabilities"]}
    assert {10180, 14272, 19506, 141118} <= ids
    wanted = {"format": "nessus", "chapters": "vuln_hosts_summary"}
    file = user("POST", f"/scans/{scan_id}/export", wanted).json["file"]
    clock.pass_time(1.0)
    assert user.get(f"/scans/{scan_id}/export/{file}/status") == {"status": "ready"}
    document = user("GET", f"/scans/{scan_id}/export/{file}/download").content
    assert b"by nessrest" in document
    assert user("DELETE", f"/scans/{scan_id}").status == 200
    assert user("DELETE", "/session").status == 200
