"""/health and the metrics say which exceptions wait and are in force, across a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.pages import Pages
from support.processes import client, daemon, site

PROPOSED = {
    "plugins": [51192],
    "hosts": ["192.0.2.0/28"],
    "kind": "accepted",
    "reason": "behind a proxy",
    "owner": "web team",
    "until": "90d",
}


@pytest.mark.parametrize("restart", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_a_proposal_is_shown_and_makes_nothing_unhealthy(
    restart: bool, tmp_path: Path
) -> None:
    pages = Pages()
    place = site(tmp_path, [], http=pages.settings)
    async with daemon(place), client(place) as tools:
        await pages.until(lambda now: "scanners" in now["components"])
        assert "exceptions" not in (await pages.health())["components"]
        answer = await tools.call("propose_exception", **PROPOSED)
        assert answer["concerns"] == 0
        found = (await pages.health())["components"]["exceptions"]
        assert (found["status"], found["reason"]) == ("ok", "0 in force, 1 proposal to be decided")
        assert 'nessus_exceptions{status="proposed"} 1.0' in (await pages.get("/metrics")).body
    if not restart:
        return
    async with daemon(place):
        found = (await pages.until(lambda now: "exceptions" in now["components"]))["components"][
            "exceptions"
        ]
        assert "1 proposal" in found["reason"]
        body = (await pages.get("/metrics")).body
        assert 'nessus_exceptions{status="approved"} 0.0' in body
        assert 'nessus_exceptions{status="proposed"} 1.0' in body
