"""Whatever is wrong, one clear sentence: never a traceback, never silence."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.mcp.client import CallFailed
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.tasks.schema import TASKS
from support.processes import Site, client, daemon, scanner_yaml, simulators, site

SCANNER: dict[str, Any] = {
    "id": "east",
    "url": "https://scanner.example.com:8834",
    "auth": {"api_keys": {"access_key": "a" * 64, "secret_key": "b" * 64}},
}


def refused(place: Site) -> tuple[int, str]:
    """What `serve` says when it cannot start, and its exit code."""
    ended = subprocess.run(
        place.argv("serve"), env=place.environ, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("scanner", "said"),
    [
        ({"max_concurent_scans": 2}, "did you mean 'max_concurrent_scans'?"),
        ({"url": "scanner.example.com"}, "https://HOST"),
        ({"name": "${NO_SUCH_VARIABLE}"}, "NO_SUCH_VARIABLE"),
    ],
)
def test_a_mistake_in_the_configuration(tmp_path: Path, scanner: dict[str, Any], said: str) -> None:
    code, text = refused(site(tmp_path, [{**SCANNER, **scanner}]))
    assert code == 78
    assert said in text
    assert text.startswith(f"nessus-sched: {tmp_path}/config.yaml:1:")


@pytest.mark.slow
def test_a_scanner_that_is_there_twice(tmp_path: Path) -> None:
    code, text = refused(site(tmp_path, [SCANNER, SCANNER]))
    assert code == 78
    assert "scanners[1].id: the same id as scanners[0]" in text


@pytest.mark.slow
def test_no_configuration_and_one_that_is_no_yaml(tmp_path: Path) -> None:
    place = site(tmp_path, [SCANNER])
    place.file.write_text("scanners: [")
    assert refused(place)[0] == 78
    place.file.unlink()
    code, text = refused(place)
    assert code == 78
    assert "No such file" in text


@pytest.mark.slow
def test_a_state_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, text = refused(site(tmp_path, [SCANNER], state_directory=str(tmp_path / "file")))
    assert code == 1
    assert str(tmp_path / "file") in text


@pytest.mark.slow
async def test_a_state_directory_in_use_and_a_port_in_use(tmp_path: Path) -> None:
    blocker = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = blocker[0].socket.getsockname()[1]
    place = site(tmp_path, [SCANNER])
    async with daemon(place):
        code, text = await trio.to_thread.run_sync(refused, place)
        assert code == 1
        assert "in use" in text or "already" in text
    other = site(tmp_path, [SCANNER], http={"bind": f"127.0.0.1:{port}"})
    code, text = await trio.to_thread.run_sync(refused, other)
    assert code == 1
    assert f"127.0.0.1:{port}" in text
    await blocker[0].aclose()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Site]:
    options = SimOptions(seed=1)
    async with simulators(options, options) as (good, other):
        yield site(
            tmp_path,
            [
                scanner_yaml("good", good),
                scanner_yaml("login", other)
                | {"auth": {"api_keys": {"access_key": "0" * 64, "secret_key": "0" * 64}}},
                scanner_yaml("certificate", other) | {"tls": {"fingerprint": "0" * 64}},
                SCANNER | {"id": "gone", "url": "https://127.0.0.1:9"},
            ],
        )


REFUSALS: list[tuple[str, dict[str, Any], str, str]] = [
    ("submit_scan", {"targets": []}, "invalid_arguments", "targets"),
    ("submit_scan", {"targets": ["not an address!"]}, "targets_refused", "not"),
    ("submit_scan", {"targets": ["203.0.113.1"]}, "targets_out_of_scope", "allow-list"),
    (
        "submit_scan",
        {"targets": ["192.0.2.1"], "scanner_instance": "god"},
        "unknown_scanner",
        "did you mean 'good'?",
    ),
    ("submit_scan", {"targets": ["192.0.2.1"], "nane": "x"}, "invalid_arguments", "'name'"),
    (
        "submit_trusted_scan",
        {"targets": ["192.0.2.1"], "credential": "linux"},
        "unknown_credential",
        "list_credentials",
    ),
    ("get_scan_status", {"task_id": "t-none"}, "unknown_task", "t-none"),
    ("get_scan_results", {"task_id": "t-none"}, "unknown_task", "t-none"),
]
"""Tool, arguments, the code of the refusal, and something that it says."""


@pytest.mark.slow
async def test_requests_that_cannot_be_served_are_refused_with_what_to_do(place: Site) -> None:
    async with daemon(place), client(place) as tools:
        for tool, arguments, code, said in REFUSALS:
            with pytest.raises(CallFailed) as refusal:
                await tools.call(tool, **arguments)
            assert f"[{code}]" in str(refusal.value)
            assert said in str(refusal.value)


@pytest.mark.slow
async def test_scanners_that_cannot_be_used_say_why(place: Site) -> None:
    async with daemon(place), client(place) as tools:
        with trio.fail_after(30):
            while True:
                listed = await tools.call("list_scanners")
                found = {each["scanner_instance"]: each for each in listed["scanners"]}
                if not any(each["reason"] == "not contacted yet" for each in found.values()):
                    break
                await trio.sleep(0.1)
    assert found["good"]["available"]
    for name, said in [("login", "key"), ("certificate", "fingerprint"), ("gone", "refused")]:
        assert not found[name]["available"]
        assert said in found[name]["reason"], found[name]["reason"]


@pytest.mark.slow
def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    place = site(tmp_path, [SCANNER])
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with sqlite3.connect(state / "tasks.db") as connection:
        connection.execute(f"PRAGMA application_id = {TASKS.application_id}")
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    code, text = refused(place)
    assert code == 78
    assert "newer" in text
