"""The official conformance suite, at both revisions of the protocol that hosts speak.

It judges servers over HTTP only, so our server is served to it over HTTP (`support.mcp_http`);
its own words on stdio are judged by the official clients (`test_mcp_clients`). Which of its
scenarios do not apply, and why, is in `conformance/REVISION.yaml`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import npm
from support.mcp_http import served

BASELINES = Path(__file__).parent / "conformance"
PASSES = {
    "2025-11-25": {
        "server-initialize", "ping", "tools-list", "resources-list", "prompts-list",
        "server-session-lifecycle", "server-sse-multiple-streams", "dns-rebinding-protection",
    },
    "2026-07-28": {
        "tools-list", "resources-list", "prompts-list", "caching", "sep-2164-resource-not-found",
        "server-sse-multiple-streams", "dns-rebinding-protection", "http-header-validation",
        "input-required-result-unsupported-methods",
        "input-required-result-validate-input",
    },
}  # fmt: skip
"""Scenarios that apply, and of which every check has to pass."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    npm.package("@modelcontextprotocol/conformance")
    with served() as url:
        yield url


@pytest.mark.parametrize("revision", sorted(PASSES))
def test_the_applicable_parts_pass(url: str, revision: str, tmp_path: Path) -> None:
    suite = npm.package("@modelcontextprotocol/conformance") / "dist" / "index.js"
    baseline = BASELINES / f"{revision}.yaml"
    done = subprocess.run(
        [
            *(npm.node(), str(suite), "server", "--url", url, "--requirements", revision),
            *("--expected-failures", str(baseline), "-o", str(tmp_path), "--timeout", "20000"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = checks(tmp_path)
    for scenario in PASSES[revision]:
        states = [check["status"] for check in found[scenario]]
        assert "SUCCESS" in states, scenario
        assert "FAILURE" not in states, scenario
    wire = [
        check for each in found.values() for check in each if check["id"] == "wire-schema-valid"
    ]
    assert len(wire) >= 25
    assert {check["status"] for check in wire} == {"SUCCESS"}


def checks(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """The suite's checks by scenario."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in directory.glob("server-*/checks.json"):
        name = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", file.parent.name.removeprefix("server-"))
        found[name] = json.loads(file.read_text())
    return found
