"""One request for a network of Linux and Windows hosts: who logged in where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nessus_sched.mcp.client import CallFailed
from support.command import one_sentence
from support.live_daemon import CANARIES, Live, asked
from support.processes import client

NETWORK = "192.0.2.0/27"
SEVERAL = ("--credential", "stale", "--credential", "linux", "--credential", "windows")


@pytest.fixture(scope="module")
def mixed(live: Live) -> str:
    """A completed trusted scan with three credentials."""
    words = ("submit", NETWORK, "--kind", "trusted", *SEVERAL, "--scanner", "east", "--wait")
    return str(asked(live, "submit --wait", *words)["task_id"])


def logins(summary: dict[str, Any]) -> dict[str, tuple[str | None, int]]:
    return {
        row["credential"]: (row["protocol"], row["hosts"]) for row in summary["verdict"]["logins"]
    }


def test_a_mixed_network_is_one_request(live: Live, mixed: str) -> None:
    status = asked(live, "status", "status", mixed)
    assert status["credentials"] == ["stale", "linux", "windows"]
    assert [each["name"] for each in status["asked"]["logins"]] == status["credentials"]
    summary = asked(live, "results summary", "results", "summary", mixed)
    found = logins(summary)
    assert found["stale"] == (None, 0)
    assert (found["linux"][0], found["windows"][0]) == ("ssh", "smb")
    worked = summary["verdict"]["counts"]["full"] + summary["verdict"]["counts"]["partial"]
    assert min(found["linux"][1], found["windows"][1]) > 0
    assert found["linux"][1] + found["windows"][1] == worked
    rows = asked(live, "results show", "results", "show", mixed, "--group-by", "host")["findings"]
    by_host = {row["host"]: row.get("logins", []) for row in rows}
    assert sum(each == ["linux (ssh as scan)"] for each in by_host.values()) == found["linux"][1]
    windows = ["windows (smb as LAB\\scanner)"]
    assert sum(each == windows for each in by_host.values()) == found["windows"][1]


def test_people_read_it_too(live: Live, mixed: str) -> None:
    for words in (("results", "summary", mixed), ("status", mixed)):
        said = " ".join(live(*words).out.split())
        assert "linux (ssh as scan) on " in said, words
        assert "stale on none" in said, words
    assert "stale, linux, windows" in live("status", mixed).out


def test_a_report_says_it(live: Live, mixed: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert live("results", "export", mixed, "--format", "html", "-o", str(page)).code == 0
    assert "linux (ssh as scan) on " in page.read_text()


def test_a_dry_run_shows_the_credentials(live: Live) -> None:
    words = ("submit", NETWORK, "--kind", "trusted", *SEVERAL, "--dry-run")
    assert asked(live, "submit", *words)["credentials"] == ["stale", "linux", "windows"]
    assert "stale, linux, windows" in live(*words).out


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["linux", "linux"], "'linux' is named 2 times"),
        (["linux", "widows"], "did you mean 'windows'?"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_queues_nothing(
    live: Live, names: list[str], part: str
) -> None:
    before = asked(live, "tasks", "tasks", "--limit", "1")
    options = [word for name in names for word in ("--credential", name)]
    one_sentence(live("submit", NETWORK, "--kind", "trusted", *options), 1, part)
    assert asked(live, "tasks", "tasks", "--limit", "1") == before


async def test_a_model_gives_a_list_or_a_single_name(live: Live) -> None:
    async with client(live.place) as tools:
        common = {"targets": [NETWORK], "dry_run": True}
        for given, taken in (
            (["linux", "windows"], ["linux", "windows"]),
            ("linux", ["linux"]),
            ('["linux", "windows"]', ["linux", "windows"]),
        ):
            answer = await tools.call("submit_trusted_scan", credential=given, **common)
            assert answer["credentials"] == taken
        for bad, code in (
            (["linux", CANARIES[0] + "!"], "inline_secret"),
            ([], "invalid_arguments"),
            (["linux"] * 11, "invalid_arguments"),
            (["linux", "linux"], "repeated_credential"),
        ):
            with pytest.raises(CallFailed) as caught:
                await tools.call("submit_trusted_scan", credential=bad, **common)
            assert str(caught.value).endswith(f"[{code}]")
            assert CANARIES[0] not in str(caught.value)
