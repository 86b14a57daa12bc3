"""How many A4 pages reports are, as a browser prints them, and that no row is cut."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio

from nessus_sched.core.clock import system_now
from support.command import typed
from support.report_network import build

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium"),
]
PAGE = re.compile(rb"/Type\s*/Page\b")


def site(directory: Path, *, hosts: int, known: int, weeks: int, network: str) -> Path:
    make = partial(
        build, directory, now=system_now(), hosts=hosts, known=known, weeks=weeks, network=network
    )
    trio.run(make)
    config = directory / "config.yaml"
    config.write_text(
        f"state_directory: {directory}\ntargets: {{allow: [{network}]}}\n"
        "reports: {organization: Example Corp.}\n"
    )
    return config


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 hosts with every kind of dated finding."""
    directory = tmp_path_factory.mktemp("team")
    return site(directory, hosts=40, known=90, weeks=14, network="192.0.2.0/24")


def printed(config: Path, tmp_path: Path, *words: str) -> int:
    """The number of pages."""
    page, pdf = tmp_path / "page.html", tmp_path / "page.pdf"
    said = typed("report", *words, "-c", str(config), "-o", str(page), "--force")
    assert said.code == 0, said
    subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={tmp_path}/profile", f"--print-to-pdf={pdf}", page.as_uri(),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return len(PAGE.findall(pdf.read_bytes()))


def test_a_page_for_management(team: Path, tmp_path: Path) -> None:
    assert printed(team, tmp_path, "management") == 1


def test_a_team_of_forty_hosts_gets_at_most_six_pages(team: Path, tmp_path: Path) -> None:
    assert 2 <= printed(team, tmp_path, "team") <= 6


def test_a_comparison_of_two_weeks(team: Path, tmp_path: Path) -> None:
    assert printed(team, tmp_path, "comparison", "--since", "14d") <= 10


def test_a_technical_report_of_a_small_network(tmp_path: Path) -> None:
    config = site(tmp_path / "state", hosts=30, known=60, weeks=1, network="192.0.2.0/27")
    assert printed(config, tmp_path, "technical", "last") <= 10
