"""Twenty-five jobs that security teams give to an assistant, as scripted calls.

Each is possible in at most three calls, and all together cost at most half the tokens they
did when they were first tried. `pytest -s tests/e2e/test_jobs.py` prints what each costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from nessus_sched.sim.options import SimOptions
from support.assistant import Assistant, tokens
from support.every_call import CREDENTIALS
from support.processes import client
from support.standing import Standing, standing

pytestmark = pytest.mark.slow

WRONG: Final = {"name": "stale", "kind": "ssh_password", "username": "scan", "password": "wrong"}
TOKENS_BEFORE: Final = {
    "1 what is critical": 3600,
    "2 with a login": 3100,
    "3 a file of targets": 4000,
    "6 new, fixed, open since": 2200,
    "7 who has log4j": 859,
    "8 is it clean": 175,
    "13 why not starting": 313,
    "17 a typo": 130,
    "18 a password": 82,
    "20 the failed hosts again": 6500,
    "21 thousands of findings": 2814,
}
"""Tokens read (of job 3, written), where they were counted, before there was a ledger,
grouping, schedules, splitting and labels."""


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    quick = SimOptions(scans_take=1.5, export_takes=0.05)
    scanners = {
        "east": attrs.evolve(quick, seed=3),
        "west": attrs.evolve(quick, seed=4, scans_take=900.0, max_scans=1),
        "north": attrs.evolve(quick, seed=5, alive_share=1.0),
    }
    directory = tmp_path_factory.mktemp("jobs")
    audit = directory / "linux.audit"
    audit.write_text('<check_type: "Unix">\n</check_type>\n')
    changes: dict[str, Any] = {
        "credentials": [*CREDENTIALS, WRONG],
        "audits": [{"name": "linux-baseline", "file": str(audit), "category": "Unix"}],
        "targets": {"allow": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]},
        "roles": [
            {"name": "all", "users": ["*"], "operator_tools": True, "approve_exceptions": True}
        ],
        "sinks": [{"name": "desk", "json_lines": {"file": str(directory / "events.jsonl")}}],
        "routes": [{"name": "desk", "sink": "desk", "severity": "critical"}],
    }
    with standing(directory, scanners, **changes) as stand:
        yield stand


@attrs.frozen
class Desk:
    """Somebody with an assistant, and with a terminal for what no assistant may do."""

    me: Assistant
    stand: Standing
    rows: dict[str, tuple[int, int, int]] = attrs.field(factory=dict)
    """By job: calls, bytes and tokens read."""
    critical: set[int] = attrs.field(factory=set)
    """Plugins that found something critical without a login."""
    office: list[str] = attrs.field(factory=list)
    """The first scan."""

    def done(self, job: str) -> None:
        me = self.me
        assert me.calls <= 3, me.transcript
        self.rows[job] = me.calls, me.bytes, me.tokens
        me.asked("")

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return await self.me.call(tool, **arguments)

    async def scanned(self, tool: str = "submit_scan", /, **arguments: Any) -> str:
        """A scan that is over; its submission and its end are two calls."""
        arguments.setdefault("scanner_instance", "east")
        task_id: str = (await self.call(tool, **arguments))["task_id"]
        assert (await self.me.until_settled(task_id))["status"] == "completed"
        return task_id

    async def command(self, *words: str, given: str = "") -> str:
        """What a command prints; counted as a call."""
        place = self.stand.place
        done = await trio.run_process(
            place.argv(*words), stdin=given.encode(), env=place.environ,
            capture_stdout=True, capture_stderr=True, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, said
        self.me.calls += 1
        self.me.bytes += len(said.encode())
        self.me.tokens += tokens(said)
        return said


async def test_every_job_in_three_calls_and_half_the_tokens(stand: Standing) -> None:
    async with client(stand.place) as tools:
        desk = Desk(Assistant(tools), stand)
        for job in JOBS:
            await job(desk)
    print(*table(desk.rows), sep="\n")
    assert {int(name.split()[0]) for name in desk.rows} == set(range(1, 26))
    after = {name: tokens_read for name, (_, _, tokens_read) in desk.rows.items()}
    assert sum(after[name] for name in TOKENS_BEFORE) <= sum(TOKENS_BEFORE.values()) / 2


def table(rows: Mapping[str, tuple[int, int, int]]) -> Iterator[str]:
    yield f"\n{'job':<30}{'calls':>6}{'bytes':>8}{'tokens':>8}{'before':>8}"
    for name, (calls, size, count) in rows.items():
        before = TOKENS_BEFORE.get(name, "")
        yield f"{name:<30}{calls:>6}{size:>8}{count:>8}{before:>8}"


async def scan_and_say_what_is_critical(desk: Desk) -> None:
    task_id = await desk.scanned(targets=["192.0.2.64/27"], name="office")
    page = await desk.call("get_scan_results", task_id=task_id, filters=["severity=critical"])
    assert page["total"] > 0
    desk.critical.update(row["plugin_id"] for row in page["findings"])
    desk.office.append(task_id)
    desk.done("1 what is critical")


async def scan_with_a_login(desk: Desk) -> None:
    task_id = await desk.scanned(
        "submit_trusted_scan", targets=["192.0.2.0/27"], credential=["linux"], name="patches"
    )
    page = await desk.call(
        "get_scan_results", task_id=task_id, group_by="host", filters=["host_login!=ok"]
    )
    assert page["total"] > 0
    desk.done("2 with a login")


async def scan_a_file_of_targets(desk: Desk) -> None:
    listed = "# the branch\n" + "\n".join(f"203.0.113.{n}" for n in range(200))
    said = await desk.command(
        "submit", "--targets-file", "-", "--name", "branch", "--scanner", "east", given=listed
    )
    assert "t-" in said
    desk.done("3 a file of targets")


async def every_monday(desk: Desk) -> None:
    made = await desk.call(
        "create_schedule", name="weekly", kind="basic", scan={"targets": ["192.0.2.0/28"]},
        cron="0 2 * * mon", time_zone="Europe/Berlin",
    )  # fmt: skip
    assert made["schedule"]["next"]
    desk.done("4 every Monday")


async def only_at_night(desk: Desk) -> None:
    made = await desk.call("submit_scan", targets=["192.0.2.3"], between="mon-sun 22:00-22:01")
    assert made["task_id"]
    desk.done("5 only at night")
    await desk.call("cancel_scan", task_id=made["task_id"])
    desk.me.asked("")


async def new_fixed_open_since(desk: Desk) -> None:
    nessus = desk.stand.sims["east"].nessus
    gone = next(iter(desk.critical))
    nessus.options = attrs.evolve(nessus.options, patched=frozenset({gone}))
    await desk.scanned(targets=["192.0.2.64/27"], name="office again")
    desk.me.asked("")
    changes = await desk.call("get_changes", targets=["192.0.2.64/27"], severity="high")
    assert any(row["plugin_id"] == gone and row["change"] == "fixed" for row in changes["rows"])
    desk.done("6 new, fixed, open since")
    nessus.options = attrs.evolve(nessus.options, patched=frozenset())
    desk.me.asked("")


async def who_has_log4j(desk: Desk) -> None:
    found = await desk.call("search_findings", filters=["cve=CVE-2021-44228"])
    assert found["total"] >= 0
    desk.done("7 who has log4j")


async def is_it_clean(desk: Desk) -> None:
    host = await desk.call("get_host", host="192.0.2.250")
    assert host["clean"] != "yes"
    desk.done("8 is it clean")


async def accept_until_june(desk: Desk) -> None:
    proposed = await desk.call(
        "propose_exception", plugins=[51192], hosts=["192.0.2.0/24"], kind="accepted",
        reason="replaced in June", owner="web team", until="200d",
    )  # fmt: skip
    await desk.command("exceptions", "approve", proposed["exception"]["exception_id"])
    desk.done("9 accept until June")


async def tell_me_when(desk: Desk) -> None:
    said = await desk.command("routes", "test", "desk")
    assert "desk" in said
    desk.done("10 tell me when critical")


async def a_report_for_people(desk: Desk) -> None:
    written = await desk.call("create_report", kind="management", last="month")
    assert Path(written["path"]).read_text().startswith("<!DOCTYPE html>")
    task = (await desk.call("list_tasks", limit=1, states=["completed"]))["tasks"][0]["task_id"]
    desk.done("11 a report")
    await desk.command("results", "export", task, "--format", "csv", "-o", "-")
    desk.me.asked("")


async def into_another_tool(desk: Desk) -> None:
    file = desk.stand.place.directory / "out.nessus"
    await desk.command("results", "export", "office", "--format", "nessus", "-o", str(file))
    assert b"NessusClientData" in file.read_bytes()
    desk.done("12 into DefectDojo")


async def why_not_starting(desk: Desk) -> None:
    first = await desk.call("submit_scan", targets=["198.51.100.1"], scanner_instance="west")
    while first["status"] == "queued":
        first = await desk.call("get_scan_status", task_id=first["task_id"])
    second = await desk.call("submit_scan", targets=["198.51.100.2"], scanner_instance="west")
    desk.me.asked("")
    status = await desk.call("get_scan_status", task_id=second["task_id"])
    assert "west" in status["wait"]["wait_reason"]
    desk.done("13 why not starting")


async def cancel_all_of_mine(desk: Desk) -> None:
    listed = await desk.call("list_tasks", submitter="me", scanner_instance="west")
    mine = [row for row in listed["tasks"] if row["status"] != "canceled"]
    assert len(mine) == 2
    for row in mine:
        await desk.call("cancel_scan", task_id=row["task_id"])
    desk.done("14 cancel all of mine")


async def stop_everything(desk: Desk) -> None:
    await desk.call("pause_everything", running="pause")
    await desk.call("resume_everything")
    desk.done("15 stop everything, resume")


async def take_a_scanner_out(desk: Desk) -> None:
    drained = await desk.call("drain_scanner", scanner_instance="west", at="8h", until="12h")
    assert drained
    await desk.call("undrain_scanner", scanner_instance="west")
    desk.done("16 west out at 18:00")


async def a_typo(desk: Desk) -> None:
    answer = await desk.call("submit_scan", targets=["192.0.2.1"], scanner_instance="wset")
    assert "did you mean 'west'" in answer["refused"]
    desk.done("17 a typo")


async def a_password(desk: Desk) -> None:
    answer = await desk.call(
        "submit_trusted_scan", targets=["192.0.2.1"], credential=["root:hunter2"]
    )
    assert answer["refused"].endswith("[inline_secret]")
    assert "hunter2" not in answer["refused"]
    desk.done("18 a password")


async def the_same_twice(desk: Desk) -> None:
    scan = {"targets": ["192.0.2.9"], "idempotency_key": "one"}
    first = await desk.call("submit_scan", **scan)
    assert (await desk.call("submit_scan", **scan))["task_id"] == first["task_id"]
    desk.done("19 the same twice")


async def the_failed_hosts_again(desk: Desk) -> None:
    task_id = await desk.scanned(
        "submit_trusted_scan", targets=["203.0.113.0/24"], credential=["stale"],
        scanner_instance="north",
    )  # fmt: skip
    desk.me.asked("")
    again = await desk.call("rescan", task_id=task_id, hosts="failed_logins", credential=["linux"])
    assert again["task_id"]
    desk.done("20 the failed hosts again")


async def thousands_of_findings(desk: Desk) -> None:
    task_id = await desk.scanned(
        targets=["198.51.100.0/24", "203.0.113.0/24"], scanner_instance="north", split="never"
    )
    desk.me.asked("")
    page = await desk.call("get_scan_results", task_id=task_id)
    assert sum(page["severity_counts"].values()) > 5_000
    assert page["groups_total"] < 500
    assert all(row["hosts"] for row in page["findings"])
    desk.done("21 thousands of findings")


async def injected_words(desk: Desk) -> None:
    page = await desk.call(
        "search_findings", fields=["host", "plugin_output"], filters=["host=192.0.2.64/27"],
        page_size=3,
    )  # fmt: skip
    outputs = [row["plugin_output"] for row in page["findings"] if row["plugin_output"]]
    assert all(text.startswith("<untrusted>") for text in outputs)
    desk.done("22 injected words")


async def compliance(desk: Desk) -> None:
    task_id = await desk.scanned(
        "submit_compliance_scan", targets=["192.0.2.64/28"], credential="linux",
        audit="linux-baseline",
    )  # fmt: skip
    page = await desk.call(
        "get_scan_results", task_id=task_id, filters=["compliance_result=FAILED"]
    )
    assert page["total"] > 0
    assert (page["severity_counts"], page["compliance_counts"]) == ({}, {"FAILED": page["total"]})
    for row in page["findings"]:
        assert row["compliance_check_name"]
        assert row["compliance_result"] == "FAILED"
        assert {"host", "port", "compliance_policy_value"} <= row.keys()
        assert row.keys().isdisjoint(("description", "synopsis", "solution", "cve"))
    desk.done("23 compliance")


async def two_assistants(desk: Desk) -> None:
    first = await desk.call("submit_scan", targets=["192.0.2.10"], idempotency_key="two")
    async with client(desk.stand.place) as tools:
        other = await Assistant(tools).call(
            "submit_scan", targets=["192.0.2.10"], idempotency_key="two"
        )
    assert other["task_id"] == first["task_id"]
    desk.done("24 two assistants")


async def across_a_restart(desk: Desk) -> None:
    """Restarts themselves are tried elsewhere; this counts what asking costs."""
    status = await desk.call("get_scan_status", task_id=desk.office[0])
    assert status["status"] == "completed"
    desk.done("25 restart between calls")


JOBS: Final = (
    scan_and_say_what_is_critical,
    scan_with_a_login,
    scan_a_file_of_targets,
    every_monday,
    only_at_night,
    new_fixed_open_since,
    who_has_log4j,
    is_it_clean,
    accept_until_june,
    tell_me_when,
    a_report_for_people,
    into_another_tool,
    why_not_starting,
    cancel_all_of_mine,
    stop_everything,
    take_a_scanner_out,
    a_typo,
    a_password,
    the_same_twice,
    the_failed_hosts_again,
    thousands_of_findings,
    injected_words,
    compliance,
    two_assistants,
    across_a_restart,
)
