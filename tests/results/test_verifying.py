"""What a verification scans, and what is said about each finding afterwards. Pure."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Priority, ScanKind, ScanRequest, Task, TaskError
from nessus_sched.results.absence import MEANINGS, Reason
from nessus_sched.results.coverage import HostCoverage
from nessus_sched.results.ledger.questions import Entry
from nessus_sched.results.ledger.selection import Selected
from nessus_sched.results.ledger.states import Life, State
from nessus_sched.results.ledger.verifying import Result, plan, verdict
from nessus_sched.results.logins.verdict import Login

LOGINS = {"linux": "SSH", "windows": "Windows", "snmp": "SNMPv3"}
EARLIER = ScanRequest(
    kind=ScanKind.TRUSTED,
    targets=("192.0.2.0/24",),
    credentials=("linux",),
    pool="dmz",
    profile="gentle",
    between="mon-fri 20:00-06:00",
    deadline="06:00",
    settings={"portscan_range": "1-9", "discovery_mode": "Custom", "ssh_port": "2222"},
    name="weekly",
    max_runtime=60.0,
)
AT = 1_700_000_000


def entry(host: str = "192.0.2.1", plugin: int = 10, port: int = 443, **changes: Any) -> Entry:
    life = Life(state=State.ACTIVE, first_seen=AT - 90, last_seen=AT, since=AT - 90)
    given: dict[str, Any] = {
        "host": host, "ip": None, "plugin_id": plugin, "name": "n", "severity": 3,
        "first_severity": 3, "port": port, "protocol": "tcp", "check": None, "life": life,
        "first_scan": True, "unseen_before": None, "cves": (), "exploited": False,
        "published": None, "solution": None, "first_task_id": "t-1", "last_task_id": "t-1",
    }  # fmt: skip
    return Entry(**{**given, **changes})


def found(
    *args: Any,
    kind: str = "remote",
    ports: str | None = "default",
    series: str = "s",
    thorough: int = 0,
    **changes: Any,
) -> Selected:
    seen_on = HostCoverage(
        whole=True, answered=True, ended=True, login=Login.FULL, ports=ports,
        settings={"thorough": thorough},
    )  # fmt: skip
    return Selected(
        entry=entry(*args, **changes), family="F", plugin_type=kind, seen_on=seen_on, series=series
    )


def planned(*several: Selected, **changes: Any) -> list[ScanRequest]:
    bases = {"t-1": attrs.evolve(EARLIER, **changes)}
    return plan(several, bases, logins=LOGINS)


def test_a_scan_has_the_hosts_plugins_and_login_of_the_findings_and_nothing_else() -> None:
    (request,) = planned(found(), found("192.0.2.2", 11), found("192.0.2.2", 10))
    assert request.targets == ("192.0.2.1", "192.0.2.2")
    assert request.verify is not None
    assert request.verify.plugins == {"F": (10, 11)}
    assert len(request.verify.findings) == 3
    assert (request.kind, request.template) == (ScanKind.CUSTOM, "advanced")
    assert (request.credentials, request.pool, request.profile) == (("linux",), "dmz", "gentle")
    assert (request.between, request.deadline) == (EARLIER.between, None)
    assert (request.priority, request.max_runtime) == (Priority.HIGH, None)
    assert request.settings == {"ssh_port": "2222", "portscan_range": "443,2222"}
    assert request.name == "verify 2 plugins on 2 hosts"


@pytest.mark.parametrize(
    ("several", "credentials", "ports"),
    [
        ([found(port=443)], (), "443"),
        ([found(port=443), found(port=8443)], ("linux",), "22,443,8443"),
        ([found(port=443)], ("windows",), "139,443,445"),
        ([found(port=443)], ("linux", "windows"), "22,139,443,445"),
        ([found(port=443)], ("snmp",), "443"),
        ([found(port=443)], ("gone",), "443"),
        ([found(port=0, kind="local")], ("linux",), "22"),
        ([found(port=0, kind="local"), found(port=443)], ("linux",), "22,443"),
        ([found(port=0)], ("linux",), "default"),
        ([found(port=0), found(port=443)], ("linux",), "default"),
        ([found(port=161, protocol="udp")], (), "default"),
        ([found(port=0, ports="1-65535")], (), "1-65535"),
        ([found(port=0), found(port=0, ports="1-9")], (), None),
        ([found(port=0, ports=None)], (), None),
        ([found(port=0, ports="<odd>")], (), None),
        ([found(port=0, kind="local")], (), "default"),
        ([found(port=number) for number in range(10000, 10400)], (), "default"),
    ],
)
def test_the_ports(
    several: list[Selected], credentials: tuple[str, ...], ports: str | None
) -> None:
    (request,) = planned(*several, credentials=credentials, settings={})
    assert request.settings.get("portscan_range") == ports


def test_findings_of_other_logins_settings_or_series_take_a_scan_of_their_own() -> None:
    other = attrs.evolve(EARLIER, credentials=("windows",))
    three = [found(), found("192.0.2.2", last_task_id="t-2"), found("192.0.2.3", series="x")]
    requests = plan(three, {"t-1": EARLIER, "t-2": other}, logins=LOGINS)
    assert [each.targets for each in requests] == [
        ("192.0.2.1",), ("192.0.2.2",), ("192.0.2.3",),
    ]  # fmt: skip
    assert [each.credentials[0] for each in requests] == ["linux", "windows", "linux"]
    again = attrs.evolve(EARLIER, settings={**EARLIER.settings, "portscan_range": "22"})
    assert len(plan([three[0], three[1]], {"t-1": EARLIER, "t-2": again}, logins=LOGINS)) == 1


def test_an_earlier_scan_that_is_gone_leaves_its_login_unknown() -> None:
    (request,) = plan([found()], {}, logins=LOGINS)
    assert (request.credentials, request.pool) == ((), "nessus")
    (request,) = plan([found()], {}, logins=LOGINS, credentials=["windows"])
    assert request.credentials == ("windows",)
    (request,) = plan([found()], {"t-1": EARLIER}, logins=LOGINS, credentials=["windows"])
    assert request.credentials == ("windows",)


def test_what_thorough_tests_found_is_looked_for_as_thoroughly() -> None:
    (request,) = planned(found(thorough=1), found(plugin=11))
    assert request.settings["thorough_tests"] == "yes"
    assert "thorough_tests" not in planned(found())[0].settings


# -- the answer

TASK = Task(
    task_id="t-v", trace_id="x", request=EARLIER, actor="a", created_at=AT + 10.5, order=1,
    state=TaskState.COMPLETED, launched_at=AT + 20.5, summary={"hosts": 1},
)  # fmt: skip


def life(**changes: Any) -> Life:
    return attrs.evolve(entry().life, **changes)


@pytest.mark.parametrize(
    ("what", "task", "entered", "result", "said"),
    [
        ({}, {"state": TaskState.RUNNING}, True, Result.PENDING, "the scan is running"),
        ({}, {}, False, Result.PENDING, "not entered yet"),
        (None, {}, True, Result.NOT_VERIFIED, "no longer has the finding"),
        (
            {"life": life(state=State.FIXED, since=AT + 30), "last_task_id": "t-v"},
            {}, True, Result.FIXED, f"fixed since {AT + 30}: task t-v would have shown it",
        ),
        (
            {"life": life(state=State.FIXED, since=AT + 90), "last_task_id": "t-later"},
            {}, True, Result.FIXED, "task t-later would have shown it",
        ),
        (
            {"life": life(state=State.FIXED, since=AT - 30), "last_task_id": "t-v"},
            {}, True, Result.FIXED, f"fixed since {AT - 30}: task t-v would have shown it",
        ),
        (
            {"life": life(state=State.FIXED, since=AT - 30)},
            {}, True, Result.NOT_VERIFIED, f"could not tell (task t-v); fixed before, at {AT - 30}",
        ),
        (
            {"life": life(last_seen=AT + 5), "last_task_id": "t-v"},
            {}, True, Result.STILL_THERE, f"seen again at {AT + 5} (task t-v)",
        ),
        (
            {"life": life(last_seen=AT + 90), "last_task_id": "t-later"},
            {}, True, Result.STILL_THERE, "(task t-later)",
        ),
        ({}, {}, True, Result.NOT_VERIFIED, "the scan did not report on it (task t-v)"),
        (
            {"life": life(last_seen=AT + 20), "last_task_id": "t-same-second"},
            {}, True, Result.NOT_VERIFIED, "did not report on it",
        ),
        (
            {"life": life(state=State.FIXED, since=AT + 20), "last_task_id": "t-same-second"},
            {}, True, Result.NOT_VERIFIED, "this scan could not tell",
        ),
        (
            {}, {"summary": None, "state": TaskState.DEAD,
                 "last_error": TaskError(kind="k", message="It broke.", transient=False, at=0.0)},
            True, Result.NOT_VERIFIED, "the scan is dead: It broke (task t-v); verify it again",
        ),
        *(
            (
                {"life": life(reason=reason, unverified_since=AT + 1)},
                {}, True, Result.NOT_VERIFIED, f"{MEANINGS[reason][0]} (task t-v)",
            )
            for reason in Reason
        ),
    ],
)  # fmt: skip
def test_the_verdict_on_a_finding(
    what: dict[str, Any] | None, task: dict[str, Any], entered: bool, result: Result, said: str
) -> None:
    told = None if what is None else entry(**what)
    answer = verdict(told, attrs.evolve(TASK, **task), entered=entered, when=str)
    assert answer.result is result
    assert said in answer.text
    assert answer.text.startswith(result.replace("_", " "))
