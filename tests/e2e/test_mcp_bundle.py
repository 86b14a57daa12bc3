"""The `.mcpb` bundle: the relay only, and what is in it works."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nessus_sched.api.tools import TOOLS
from nessus_sched.mcp.bundle import build, main
from nessus_sched.mcp.client import connected
from nessus_sched.sim.options import SimOptions
from support import npm
from support.processes import daemon, scanner_yaml, simulators, site


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = tmp_path / "nessus-sched.mcpb"
    assert main([str(made)]) == 0
    return made


def test_it_has_the_relay_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as content:
        names = content.namelist()
        manifest = json.loads(content.read("manifest.json"))
    assert bundle.stat().st_size < 20_000
    assert all(name == "manifest.json" or name.startswith("server/") for name in names)
    assert not any("tools" in name or "server.py" in name for name in names)
    assert [tool["name"] for tool in manifest["tools"]] == [tool.name for tool in TOOLS]
    build(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("arguments", [[], ["-h"], ["/nosuchdirectory/x.mcpb"]])
def test_wrong_calls_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) > 0
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
async def test_its_relay_reaches_a_daemon_without_the_package(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as content:
        content.extractall(tmp_path / "unpacked")
    async with simulators(SimOptions()) as (sim,):
        place = site(tmp_path, [scanner_yaml("a", sim)])
        async with daemon(place):
            script = str(tmp_path / "unpacked" / "server" / "main.py")
            # Neither our virtual environment nor the checkout is seen.
            argv = [sys.executable, "-S", "-E", "-s", script, "--socket", str(place.socket)]
            with (tmp_path / "errors").open("w") as errors:
                async with connected(argv, place.environ, errors) as tools:
                    assert "submit_scan" in await tools.names()
                    assert (await tools.call("list_scanners"))["total"] == 1


def test_the_official_validator_accepts_it(bundle: Path, tmp_path: Path) -> None:
    cli = npm.package("@anthropic-ai/mcpb") / "dist" / "cli" / "cli.js"
    with zipfile.ZipFile(bundle) as content:
        content.extractall(tmp_path / "unpacked")
    done = subprocess.run(
        [npm.node(), str(cli), "validate", str(tmp_path / "unpacked" / "manifest.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
