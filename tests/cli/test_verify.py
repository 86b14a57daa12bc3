"""Checking whether findings are fixed, really scanned on the simulator, through both doors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from nessus_sched.core.clock import system_now
from nessus_sched.mcp.client import CallFailed
from nessus_sched.sim.targets import parse
from support.command import one_sentence
from support.live_daemon import Live, asked
from support.processes import client

NETWORK = "192.0.2.96/28"


@pytest.fixture(scope="module")
def scanned(live: Live) -> str:
    words = ("submit", NETWORK, "--kind", "privileged", "--credential", "linux")
    task_id = str(asked(live, "submit --wait", *words, "--scanner", "east", "--wait")["task_id"])
    pass_a_second(live)
    return task_id


@pytest.fixture
def unpatched(live: Live) -> Iterator[None]:
    yield
    patch(live)


def patch(live: Live, *plugins: int) -> None:
    for sim in live.sims:
        sim.nessus.options = attrs.evolve(sim.nessus.options, patched=frozenset(plugins))
    pass_a_second(live)


def pass_a_second(live: Live) -> None:
    """Scans of a host in the same second have no order."""
    begun = int(system_now())
    while int(system_now()) <= begun + 1:
        live("status", "last")


def ledger(live: Live, host: str) -> dict[tuple[int, int], dict[str, Any]]:
    found = asked(live, "hosts", "hosts", host, "-n", "200", "--shown", "all")
    return {(row["plugin_id"], row["port"]): row for row in found["findings"]}


def local_finding(live: Live, task: str) -> tuple[str, int]:
    """A host and a plugin that needed the login there."""
    shown = asked(
        live, "results show", "results", "show", task, "-f", "plugin_family~Ubuntu", "--all",
        "-f", "severity>=low", "--fields", "host,plugin_id",
    )  # fmt: skip
    row = shown["findings"][0]
    return row["host"], row["plugin_id"]


@pytest.mark.slow
@pytest.mark.usefixtures("unpatched")
def test_a_fix_is_proved_and_nothing_else_of_the_host_changes(live: Live, scanned: str) -> None:
    host, plugin = local_finding(live, scanned)
    before = ledger(live, host)
    words = ("verify", host, "--plugin", str(plugin))
    dry = asked(live, "verify", *words, "--dry-run")
    (scan,) = dry["scans"]
    assert (scan["task_id"], scan["targets"], scan["plugin_ids"]) == (None, [host], [plugin])
    assert (scan["ports"], scan["credentials"]) == ("22", ["linux"])
    still = asked(live, "verify", *words, "--wait", code=1)
    assert still["counts"] == {"still_there": 1}
    assert still["findings"][0]["text"].startswith("still there: seen again at ")
    patch(live, plugin)
    done = asked(live, "verify", *words, "--wait")
    (row,) = done["findings"]
    assert (row["host"], row["plugin_id"], row["result"]) == (host, plugin, "fixed")
    task = done["scans"][0]["task_id"]
    assert row["text"] == (f"fixed since {row['at']}: task {task} would have shown it, and did not")
    after = ledger(live, host)
    assert after.pop((plugin, 0))["state"] == "fixed"
    before.pop((plugin, 0))
    assert after == before
    shown = asked(
        live, "results show", "results", "show", task, "--all", "--fields", "plugin_family"
    )
    assert {row["plugin_family"] for row in shown["findings"]} <= {"Settings", "Port scanners"}
    again = live("verify", "--task", task)
    assert again.code == 0
    assert f"{host}, plugin {plugin}" in again.out
    failed = asked(live, "verify", *words, "--credential", "stale", "--wait", code=4)
    assert "this scan could not tell" in failed["findings"][0]["text"]
    assert f"fixed before, at {row['at']} ({task})" in failed["findings"][0]["text"]
    confirmed = asked(live, "verify", *words, "--wait")
    last = confirmed["scans"][0]["task_id"]
    assert confirmed["findings"][0]["text"].startswith(f"fixed since {row['at']}: task {last} ")
    assert ledger(live, host)[(plugin, 0)]["fixed_at"] == row["at"]
    patch(live)
    back = asked(live, "verify", *words, "--wait", code=1)
    assert back["counts"] == {"still_there": 1}
    assert ledger(live, host)[(plugin, 0)]["state"] == "resurfaced"


def test_a_login_that_fails_and_a_host_that_is_down_verify_nothing(
    live: Live, scanned: str
) -> None:
    host, plugin = local_finding(live, scanned)
    words = ("verify", host, "--plugin", str(plugin))
    failed = asked(live, "verify", *words, "--credential", "stale", "--wait", code=4)
    (row,) = failed["findings"]
    task = failed["scans"][0]["task_id"]
    assert row["result"] == "not_verified"
    assert row["text"] == (
        "not verified: the login failed, was missing, or had fewer rights "
        f"(task {task}); fix the credential and scan again"
    )
    for sim in live.sims:
        sim.nessus.network = attrs.evolve(sim.nessus.network, dead=tuple(parse([host])))
    try:
        down = asked(live, "verify", *words, "--wait", code=4)
    finally:
        for sim in live.sims:
            sim.nessus.network = attrs.evolve(sim.nessus.network, dead=())
    assert down["findings"][0]["text"].startswith(
        "not verified: the host did not answer or could not be reached (task "
    )
    assert ledger(live, host)[(plugin, 0)]["unverified"] == "host_down"
    again = asked(live, "verify", *words, "--wait", code=1)
    assert again["counts"] == {"still_there": 1}
    assert ledger(live, host)[(plugin, 0)].get("unverified") is None


def test_ports_of_remote_findings_and_several_hosts(live: Live, scanned: str) -> None:
    rows = [row for host in hosts_of(live, scanned) for row in ledger(live, host).values()]
    plugin, port = next((row["plugin_id"], row["port"]) for row in rows if row["port"] == 443)
    having = {row["host"] for row in rows if row["plugin_id"] == plugin}
    found = asked(live, "verify", "verify", *having, "--plugin", str(plugin), "--dry-run")
    scans = found["scans"]  # several if scans of other tests have seen some of them since
    assert {target for scan in scans for target in scan["targets"]} == having
    assert {scan["ports"] for scan in scans} == {f"22,{port}"}
    assert {row["host"] for row in found["findings"]} == having
    with_cve = next(row for row in rows if row["cve"])
    by_cve = asked(live, "verify", "verify", "--cve", with_cve["cve"][0].lower(), "--dry-run")
    assert with_cve["plugin_id"] in by_cve["scans"][0]["plugin_ids"]
    assert live("verify", with_cve["host"], "--dry-run").out.count("would be verified") > 1


def hosts_of(live: Live, task: str) -> list[str]:
    shown = asked(live, "results show", "results", "show", task, "--group-by", "host", "--all")
    return [row["host"] for row in shown["findings"]]


@pytest.mark.slow
def test_the_same_call_twice_is_one_scan(live: Live, scanned: str) -> None:
    host, plugin = local_finding(live, scanned)
    words = ("verify", host, "--plugin", str(plugin))
    for sim in live.sims:
        sim.nessus.scans_take = 1.0
    try:
        first = asked(live, "verify", *words)
        second = asked(live, "verify", *words)
        assert first["counts"] == {"pending": 1}
        assert first["scans"][0]["task_id"] == second["scans"][0]["task_id"]
        assert live("verify", "--task", first["scans"][0]["task_id"]).code == 4
    finally:
        for sim in live.sims:
            sim.nessus.scans_take = 0.1
    live("watch", first["scans"][0]["task_id"])
    keyed = [asked(live, "verify", *words, "--key", "fix")["scans"][0]["task_id"] for _ in "ab"]
    assert keyed[0] == keyed[1] != first["scans"][0]["task_id"]
    live("watch", keyed[0])


def test_what_cannot_be_verified_is_said_and_not_scanned(live: Live, scanned: str) -> None:
    host, _ = local_finding(live, scanned)
    before = [sim.nessus.ledger.totals["create"] for sim in live.sims]
    for words, said in (
        (("203.0.113.7",), "No scan has ever reported 203.0.113.7"),
        ((host, "--plugin", "999999"), "No scan has ever found anything with plugin 999999"),
        (("--cve", "CVE-1999-0001"), "no such finding is open"),
        (("--cve", "log4j"), "Not a CVE"),
        (("192.0.2.0/99",), "hosts cannot be read"),
        (("--task", scanned), "does not verify fixes"),
        ((host, "--credential", "nosuch"), "nosuch"),
    ):
        said_now = live("verify", *words)
        assert said_now.code == 1, words
        assert said in " ".join(said_now.err.split()), words
    one_sentence(live("verify"), 2, "give HOSTS")
    one_sentence(live("verify", host, "--task", scanned), 2, "give HOSTS")
    one_sentence(live("verify", host, "--wait", "--dry-run"), 2, "cannot be combined")
    assert [sim.nessus.ledger.totals["create"] for sim in live.sims] == before


@pytest.mark.slow
async def test_a_model_asks_in_two_calls(live: Live, scanned: str) -> None:
    host, plugin = local_finding(live, scanned)
    async with client(live.place) as tools:
        asked_for = await tools.call("verify_fix", hosts=[host], plugin_ids=[plugin])
        task = asked_for["scans"][0]["task_id"]
        assert asked_for["next"] == "wait_for_scan waits; then call verify_fix with the task_id."
        waited = await tools.call("wait_for_scan", task_id=task, timeout_seconds=25)
        assert waited["task"]["status"] == "completed"
        assert (
            waited["task"]["next"] == "verify_fix with this task_id says which findings are fixed."
        )
        found = await tools.call("verify_fix", task_id=task)
        assert found["counts"] == {"still_there": 1}
        with pytest.raises(CallFailed, match="takes nothing else"):
            await tools.call("verify_fix", task_id=task, hosts=[host])
