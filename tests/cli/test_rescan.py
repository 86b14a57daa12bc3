"""Scanning again what an earlier scan did not deal with, through both doors."""

from __future__ import annotations

import pytest

from nessus_sched.mcp.client import CallFailed
from support.command import one_sentence
from support.live_daemon import Live, asked
from support.processes import client

NETWORK = "192.0.2.32/28"


@pytest.fixture(scope="module")
def failed(live: Live) -> str:
    """A completed scan with a login that works nowhere."""
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "stale", "--name", "patches")
    return str(asked(live, "submit --wait", *words, "--scanner", "east", "--wait")["task_id"])


def hosts_with(live: Live, task: str, *filters: str) -> set[str]:
    words = [word for each in filters for word in ("--filter", each)]
    shown = asked(live, "results show", "results", "show", task, "--group-by", "host", *words,
                  "--all")  # fmt: skip
    return {row["host"] for row in shown["findings"]}


def test_failed_logins_with_a_corrected_credential(live: Live, failed: str) -> None:
    before = hosts_with(live, failed, "host_login=failed")
    assert before
    words = ("rescan", failed, "--failed-logins", "--credential", "linux")
    dry = asked(live, "rescan", *words, "--dry-run")
    assert (dry["task_id"], dry["rescan_of"], dry["credentials"]) == (None, failed, ["linux"])
    assert dry["target_count"] == len(before)
    assert failed in live(*words, "--dry-run").out
    again = asked(live, "rescan --wait", *words, "--wait", "--key", "once")
    assert (again["rescan_of"], again["kind"], again["name"]) == (failed, "trusted", "patches")
    assert again["scanner_instance"] == "east"
    assert hosts_with(live, again["task_id"], "host_login!=none") == before
    assert hosts_with(live, again["task_id"], "host_login=full") == before
    same = asked(live, "rescan", *words, "--key", "once")
    assert (same["task_id"], same["created"]) == (again["task_id"], False)
    assert failed in live("status", again["task_id"]).out
    nothing = live("rescan", again["task_id"], "--failed-logins")
    one_sentence(nothing, 1, "no host in its report has a failed login")
    assert "says nothing about hosts that the scan did not see" in " ".join(nothing.err.split())


def test_what_did_not_answer(live: Live, failed: str) -> None:
    answered = hosts_with(live, failed)
    missed = asked(live, "rescan", "rescan", failed, "--silent", "--dry-run")
    assert missed["target_count"] == 16 - len(answered)
    assert missed["credentials"] == ["stale"]
    assert not set(missed["targets"]) & answered


def test_hosts_with_certain_findings(live: Live, failed: str) -> None:
    filters = ("severity>=high", "port=443")
    words = [word for each in filters for word in ("--hosts-with", each)]
    found = hosts_with(live, failed, *filters)
    assert 0 < len(found) < len(hosts_with(live, failed))
    answer = asked(live, "rescan", "rescan", failed, *words, "--dry-run")
    assert answer["target_count"] == len(found)


@pytest.mark.slow
def test_a_login_where_a_quick_scan_found_ssh(live: Live) -> None:
    words = ("submit", NETWORK, "--kind", "quick", "--discovery", "ports", "--scanner", "east")
    quick = asked(live, "submit --wait", *words, "--wait")["task_id"]
    with_ssh = hosts_with(live, quick, "port=22")
    assert with_ssh
    login = ("--kind", "trusted", "--credential", "linux")
    again = asked(
        live, "rescan --wait", "rescan", quick, "--hosts-with", "port=22", *login, "--wait"
    )
    assert (again["kind"], again["credentials"]) == ("trusted", ["linux"])
    assert hosts_with(live, again["task_id"], "host_login=full") == with_ssh


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((), 2, "give one of"),
        (("--failed-logins", "--not-reached"), 2, "give one of"),
        (("--silent", "--not-reached"), 2, "give one of"),
        (("--failed-logins", "--hosts-with", "port=22"), 2, "give one of"),
        (("--hosts-with", "prot=22"), 1, "did you mean 'port'"),
        (("--failed-logins", "--wait", "--dry-run"), 2, "cannot be combined"),
        (("--failed-logins", "--credential", "x"), 1, "no credential 'x'"),
    ],
)
def test_mistakes(live: Live, failed: str, words: tuple[str, ...], code: int, part: str) -> None:
    one_sentence(live("rescan", failed, *words), code, part)


@pytest.mark.slow
async def test_a_model_rescans(live: Live, failed: str) -> None:
    async with client(live.place) as tools:
        answer = await tools.call(
            "rescan", task_id=failed, hosts="matching", filters=["host_login=failed"], dry_run=True
        )
        assert answer["rescan_of"] == failed
        assert answer["target_count"] > 0
        with pytest.raises(CallFailed) as caught:
            await tools.call(
                "rescan", task_id=failed, hosts="matching", filters=["plugin_id=999999"]
            )
        assert str(caught.value).endswith("[nothing_to_rescan]")
        assert "Nothing was queued" in str(caught.value)
