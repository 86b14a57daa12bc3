"""Secrets in arguments are refused, and never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from nessus_sched.api.operations import ToolError
from nessus_sched.api.secret_guard import refuse_secrets

SECRET = "hunter2-correct-horse"


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": SECRET},
        {"Passphrase": SECRET},
        {"ssh": {"private_key": SECRET}},
        {"settings": {"snmp_community_string": SECRET}},
        {"scanner": {"access_key": SECRET, "secretKey": SECRET}},
        {"credential": f"root:{SECRET}"},
        {"credential": {"name": "x", "value": SECRET}},
        {"credential": ["linux-prod", f"root:{SECRET}"]},
        {"credential": ["linux-prod", {"value": SECRET}]},
        {"credential": f'["linux-prod", "{SECRET}!"]'},
        {"credential": f"{SECRET}!"},
        {"description": f"password = {SECRET}"},
        {"description": f'{{"api_key": "{SECRET}"}}'},
        {"description": f"scan it as root with password {SECRET}"},
        {"description": f"The Password for user root is {SECRET}"},
        {"description": "log in with passphrase 'swordfish'"},
        {"name": f"web tier, pw {SECRET}"},
        {"name": f"log in as root:{SECRET}"},
        {"targets": [f"https://u:{SECRET}@192.0.2.1/"]},
        {"targets": [f"root:{SECRET}@192.0.2.1"]},
        {"name": f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}"},
    ],
)
def test_what_looks_like_a_secret_is_refused_without_saying_it(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as caught:
        refuse_secrets(arguments, texts=True)
    assert caught.value.code == "inline_secret"
    assert SECRET not in caught.value.message + caught.value.hint
    assert "list_credentials" in caught.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        {},
        {"credential": "linux-prod"},
        {"credential": ["linux-prod", "windows-prod"]},
        {"credential": '["linux-prod", "windows-prod"]'},
        {"credential": None, "password": None},
        {"targets": ["192.0.2.1", "2001:db8::1", "2001:db8::/64", "host.example.com"]},
        {"name": "second pass: web tier", "description": "Checks of password policies at 12:30"},
        {"description": "Password reset portal, 2 of 3, and password policy CIS 1.1"},
        {"description": "which password is weak? look at password 12 characters and more"},
        {"description": "admin: see ticket 4711; passwords expire in 90 days"},
        {"idempotency_key": "weekly-web-2026-W12"},
        {"settings": {"portscan_range": "T:1-1024,U:53"}},
    ],
)
def test_what_does_not_passes(arguments: dict[str, Any] | None) -> None:
    refuse_secrets(arguments, texts=True)


def test_a_search_may_be_for_texts_about_passwords() -> None:
    search = {"filters": [{"field": "plugin_output", "op": "contains", "value": "password: x"}]}
    refuse_secrets(search, texts=False)
    with pytest.raises(ToolError):
        refuse_secrets({"password": SECRET}, texts=False)
