"""Whatever a client sends, the simulator answers; a mistake of the client is told as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.sim.api.routes import ROUTES, Route
from support.sim import BASIC, Caller, hand_driven

FIELDS = st.sampled_from(
    [
        *("name", "settings", "credentials", "audits", "add", "edit", "delete", "ids", "uuid"),
        *("text_targets", "file_targets", "folder_id", "policy_id", "alt_targets", "action"),
        *("custom", "feed", "file", "id", "Host", "SSH", "username", "password", "format"),
        *("setting.0.action", "setting.0.name", "setting.0.value", "global.max_scans"),
        *("launch_now", "current_password", "status", "1", "enabled", "email"),
    ]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10) | st.sampled_from(["", "x", "192.0.2.1", "7"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.sampled_from(["1", "2", "4", "5", "999", "x", "scan", "policy", BASIC, "-1"])


def _seeded() -> Caller:
    call, clock = hand_driven(scans_take=1.0)
    login = {"auth_method": "password", "username": "a", "password": "b"}
    call.launch(call.create(body={"credentials": {"add": {"Host": {"SSH": [login]}}}}))
    call("POST", "/policies", {"uuid": BASIC, "settings": {"name": "policy"}})
    clock.pass_time(2.0)
    return call


def _fill(route: Route, parts: list[str]) -> str:
    path = route.pattern
    for part in parts:
        head, _, rest = path.partition("{")
        if not rest:
            break
        path = head + part + rest.partition("}")[2]
    return path


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(ROUTES),
    st.lists(PARTS, min_size=4, max_size=4),
    st.dictionaries(FIELDS, JSON_VALUES, max_size=5),
)
def test_any_body_on_any_route(route: Route, parts: list[str], body: dict[str, Any]) -> None:
    call = _seeded()
    reply = call(route.method, _fill(route, parts), body)
    assert reply.status < 500 or route.pattern.endswith("/launch")
    if reply.status >= 400:
        assert set(reply.json) == {"error"}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.dictionaries(FIELDS, JSON_VALUES, max_size=5), JSON_VALUES)
def test_any_scan_body(settings_: dict[str, Any], rest: Any) -> None:
    call = _seeded()
    named = {"name": "n", "text_targets": "192.0.2.1", **settings_}
    for part in ("credentials", "audits"):
        body = {"uuid": BASIC, "settings": named, part: rest}
        for method, path in (("POST", "/scans"), ("PUT", "/scans/4"), ("POST", "/policies")):
            assert call(method, path, body).status < 500


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    call, _ = hand_driven()
    assert call("POST", "/scans", body).status == 400
    assert call("POST", "/file/upload", body, content_type="multipart/form-data").status == 400
    assert call("POST", "/session", body).status == 400


def test_an_unknown_route_is_not_found() -> None:
    call, _ = hand_driven()
    assert call("GET", "/no/such/thing").status == 404
    assert json.loads(call("PATCH", "/scans").content) == {"error": "Unknown API endpoint"}
