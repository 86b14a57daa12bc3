"""Secrets never show: not in errors wherever they stand, nor in what is rendered."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.render import effective, to_yaml

CANARY = "Canary-7f3e"

SAMPLE: dict[str, Any] = {
    "state_directory": "/var/lib/x",
    "socket": {"path": "/run/x", "mode": "0660", "group": "g"},
    "http": {"bind": "127.0.0.1:9834", "hosts": ["a.example"], "status_page": True},
    "targets": {"allow": ["192.0.2.0/24"], "deny": [], "max_addresses": 5},
    "scheduling": {"max_runtime": "2h", "overlap_guard": True},
    "retention": {"completed": "forever"},
    "limits": {"message_size": "64KiB"},
    "log": {"level": "info", "components": {"nessus": "debug"}},
    "credentials": [
        {
            "name": "linux",
            "kind": "ssh_password",
            "username": "u",
            "password": "p",
            "escalation": {"method": "sudo", "account": "root", "password": "q"},
        },
        {"name": "key", "kind": "ssh_key", "username": "u", "private_key": "k", "passphrase": "f"},
        {"name": "snmp", "kind": "snmpv3", "username": "u", "auth_password": "a"},
    ],
    "roles": [{"name": "r", "users": ["a", 5], "tools": ["t"], "targets": ["192.0.2.1"]}],
    "custom_settings_allowed": ["x"],
    "notifications": [{"url": "https://a.example/", "secret": "s", "events": ["dead"]}],
    "scanners": [
        {
            "id": "one",
            "name": "One",
            "url": "https://a.example",
            "auth": {"api_keys": {"access_key": "a", "secret_key": "s"}},
            "tls": {"fingerprint": "ab" * 32},
            "max_concurrent_scans": 2,
            "networks": ["192.0.2.0/24"],
            "labels": {"a": "b"},
        },
        {
            "id": "two",
            "url": "https://b.example",
            "auth": {"ui_session": {"username": "u", "password": "p"}},
        },
    ],
}


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value, inner ones included."""
    if here:
        yield here
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*here, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*here, index))


def planted(path: tuple[Any, ...], value: Any) -> str:
    """The section of the sample with another value at `path`; JSON is YAML."""
    data = {path[0]: deepcopy(SAMPLE[path[0]])}
    parent: Any = data
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return json.dumps(data, indent=1)


def complaint(text: str) -> str:
    """All that an error shows, or nothing when the text loads."""
    environ = {"SECRET": CANARY, "ODD": f"\n{CANARY}\x00 %$"}
    try:
        load_text(text, file="f.yaml", folder=Path("/etc"), environ=environ)
    except ConfigError as error:
        return "".join(traceback.format_exception(error))
    return ""


def test_the_sample_loads() -> None:
    assert complaint(json.dumps(SAMPLE)) == ""


@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", list(paths(SAMPLE)), ids=lambda path: ".".join(map(str, path)))
def test_no_error_repeats_a_value(path: tuple[Any, ...]) -> None:
    planted_values: tuple[Any, ...] = (
        CANARY,
        "${SECRET}",
        "${ODD}",
        "x${SECRET}y",
        [CANARY],
        {"password": CANARY},
        f"https://user:{CANARY}@host",
        f"https://{CANARY}\u2100.example",
        f"{CANARY}:{CANARY}",
        f"[{CANARY}]",
        f"{CANARY}/33",
        f"${{{CANARY} }}",
        "${file:/dev/null}",
        int.from_bytes(CANARY.encode(), "big"),
    )
    for value in planted_values:
        shown = complaint(planted(path, value))
        assert CANARY not in shown
        assert str(planted_values[-1]) not in shown


@pytest.mark.parametrize(
    "value",
    [
        f"*{CANARY}", f"&{CANARY}", f"!{CANARY} x", f"!!{CANARY} x", f"%{CANARY}", f"@{CANARY}",
        f"'{CANARY}' {CANARY}", f'"{CANARY}" {CANARY}', f'"{CANARY}', f"{CANARY}: {CANARY}: x",
        f"[{CANARY}", f"{{{CANARY}", f"|{CANARY}", f"> {CANARY}", f"\t{CANARY}", f'"\\{CANARY}"',
        f"`{CANARY}`", f"- {CANARY}", f"? {CANARY}", f"\x07{CANARY}", f"]{CANARY}", f"!<{CANARY} x",
    ],
)  # fmt: skip
def test_no_syntax_error_quotes_the_text(value: str) -> None:
    shown = complaint(f"credentials:\n  - name: x\n    password: {value}\n")
    assert shown
    assert CANARY not in shown


def test_secrets_are_masked_in_what_is_shown() -> None:
    data = deepcopy(SAMPLE)
    secrets = (
        (data["credentials"][0], "password"),
        (data["credentials"][0]["escalation"], "password"),
        (data["credentials"][1], "private_key"),
        (data["credentials"][1], "passphrase"),
        (data["credentials"][2], "auth_password"),
        (data["scanners"][0]["auth"]["api_keys"], "access_key"),
        (data["scanners"][0]["auth"]["api_keys"], "secret_key"),
        (data["scanners"][1]["auth"]["ui_session"], "password"),
        (data["notifications"][0], "secret"),
    )
    for number, (parent, key) in enumerate(secrets):
        parent[key] = f"{CANARY}-{number}"
    config = load_text(json.dumps(data), file="f", folder=Path("/etc"), environ={})
    for shown in (repr(config), str(config), json.dumps(effective(config)), to_yaml(config)):
        assert CANARY not in shown
        assert shown.count("***") >= len(secrets)
