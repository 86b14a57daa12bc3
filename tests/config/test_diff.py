"""What a reload would do about a changed configuration."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nessus_sched.config.diff import ASPECTS, Aspect, ConfigDiff, NameChanges, diff
from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    TlsSettings,
)
from nessus_sched.config.schema import (
    Config,
    HttpSettings,
    LogSettings,
    SocketSettings,
    TargetSettings,
)
from nessus_sched.config.types import LogFormat, LogLevel
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret


def scanner(name: str) -> ScannerSettings:
    keys = ApiKeys(access_key=Secret("canary-a"), secret_key=Secret("canary-s"))
    return ScannerSettings(id=name, url=f"https://{name}.example", auth=keys)


def credential(name: str, password: str) -> Credential:
    return Credential(
        name=name, kind=CredentialKind.WINDOWS, username="u", password=Secret(password)
    )


OLD = Config(
    scanners=(scanner("one"), scanner("two")),
    credentials=(credential("a", "canary-1"), credential("b", "canary-2")),
)


def test_nothing_changed() -> None:
    assert diff(OLD, attrs.evolve(OLD)) == ConfigDiff()
    assert not diff(OLD, OLD)
    assert diff(OLD, OLD).lines() == ()


@pytest.mark.parametrize(
    ("change", "aspects"),
    [
        ({"max_concurrent_scans": 9}, {Aspect.LIMIT}),
        ({"url": "https://new.example"}, {Aspect.CONNECTION}),
        ({"tls": TlsSettings(verify=False)}, {Aspect.CONNECTION}),
        ({"auth": ApiKeys(access_key=Secret("x"), secret_key=Secret("y"))}, {Aspect.CONNECTION}),
        ({"enabled": False}, {Aspect.FLAGS}),
        ({"pool": "other"}, {Aspect.ROUTING}),
        ({"networks": ("192.0.2.0/24",)}, {Aspect.ROUTING}),
        ({"labels": {"a": "b"}}, {Aspect.LABELS}),
        ({"enabled": False, "max_concurrent_scans": 1}, {Aspect.FLAGS, Aspect.LIMIT}),
    ],
)
def test_aspects_of_a_changed_scanner(change: dict[str, Any], aspects: set[Aspect]) -> None:
    changed = attrs.evolve(OLD.scanners[1], **change)
    found = diff(OLD, attrs.evolve(OLD, scanners=(OLD.scanners[0], changed)))
    (only,) = found.scanners_changed
    assert (only.id, only.before, only.after) == ("two", OLD.scanners[1], changed)
    assert only.aspects == aspects
    assert found == ConfigDiff(scanners_changed=(only,))


def test_every_key_of_a_scanner_has_an_aspect() -> None:
    keys = {field.name for field in attrs.fields(ScannerSettings)}
    assert keys - {"id"} == set(ASPECTS)


def test_scanners_added_and_removed() -> None:
    found = diff(OLD, attrs.evolve(OLD, scanners=(scanner("two"), scanner("three"))))
    assert found == ConfigDiff(scanners_added=(scanner("three"),), scanners_removed=("one",))


def test_a_rotated_secret_is_a_change() -> None:
    new = (credential("b", "canary-new"), credential("c", "canary-3"))
    found = diff(OLD, attrs.evolve(OLD, credentials=new))
    assert found == ConfigDiff(
        credentials=NameChanges(added=("c",), removed=("a",), changed=("b",))
    )


def test_sections_scope_and_what_needs_a_restart() -> None:
    new = attrs.evolve(
        OLD,
        state_directory=OLD.state_directory / "x",
        targets=TargetSettings(allow=("192.0.2.1",)),
        socket=SocketSettings(mode=0o600),
        http=HttpSettings(bind=None, hosts=("a.example.com",), status_page=False),
        log=LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON),
    )
    found = diff(OLD, new)
    assert found == ConfigDiff(
        scope_changed=True,
        sections=("log",),
        restart=(
            "state_directory",
            "socket.mode",
            "http.bind",
            "http.hosts",
            "http.status_page",
            "log.format",
        ),
    )
    assert found.lines() == (
        "scope changed",
        "log changed",
        "state_directory changed: needs a restart",
        "socket.mode changed: needs a restart",
        "http.bind changed: needs a restart",
        "http.hosts changed: needs a restart",
        "http.status_page changed: needs a restart",
        "log.format changed: needs a restart",
    )


def test_lines_say_all_and_no_secret() -> None:
    new = Config(
        scanners=(attrs.evolve(OLD.scanners[0], max_concurrent_scans=5), scanner("three")),
        credentials=(credential("a", "canary-new"), credential("c", "canary-3")),
    )
    lines = diff(OLD, new).lines()
    assert lines == (
        "scanner three added",
        "scanner two removed",
        "scanner one changed: limit",
        "credential c added",
        "credential b removed",
        "credential a changed",
    )


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Config)])
def test_no_changed_section_goes_unnoticed(field: str) -> None:
    # Anything that is not equal will do: diff looks at no section's inside but these.
    if field in {"scanners", "credentials", "state_directory", "socket", "http", "log"}:
        return
    changed: dict[str, Any] = {field: "changed"}
    assert diff(OLD, attrs.evolve(OLD, **changed))
