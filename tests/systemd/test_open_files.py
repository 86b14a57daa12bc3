"""The daemon's limit on open files, where it is not started by systemd."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from nessus_sched.cli.serve import OPEN_FILES
from support.processes import daemon, site

UNIT = Path(__file__).parents[2] / "systemd/nessus-sched.service"


def test_the_unit_allows_as_many() -> None:
    assert f"LimitNOFILE={OPEN_FILES}" in UNIT.read_text().splitlines()


@pytest.mark.slow
async def test_a_low_soft_limit_is_raised(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with daemon(site(tmp_path, [])) as process:
            limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (files,) = [line for line in limits if line.startswith("Max open files")]
    assert int(files.split()[3]) == min(OPEN_FILES, hard)
