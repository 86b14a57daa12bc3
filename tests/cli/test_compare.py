"""`results compare` on files: what is fixed, what is not checked and why, what changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.command import typed
from support.nessus_xml import document, element, host, item, output

CASES = Path(__file__).parents[2] / ".." / "shared" / "cases"
ENDED = {"host-ip": "192.0.2.1", "HOST_START": "Mon Mar  3 10:00:00 2025"} | {
    "HOST_END": "Mon Mar  3 10:10:00 2025"
}
POLICY = (
    "<Policy><Preferences><ServerPreferences>"
    "<preference><name>TARGET</name><value>192.0.2.0/29</value></preference>"
    "<preference><name>plugin_set</name><value>{}</value></preference>"
    "</ServerPreferences></Preferences></Policy>"
)
PLUGINS = "10;11;12;13;10180;19506;110385;117885"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def information(login: str = "yes, as 'scan' via ssh", ports: str = "1-65535") -> str:
    return item(
        19506,
        output(
            "Information about this scan :\n\nPort scanner(s) : nessus_syn_scanner\n"
            f"Port range : {ports}\nThorough tests : no\nParanoia level : 1\n"
            f"Credentialed checks : {login}\n"
        ),
    )


def check(plugin_id: int, port: int = 443, kind: str = "local", severity: int = 3) -> str:
    return item(plugin_id, element("plugin_type", kind), port=port, severity=severity)


def report(
    path: Path,
    *items: str,
    info: str | None = None,
    tags: Mapping[str, str] = ENDED,
    name: str = "192.0.2.1",
    plugins: str = PLUGINS,
) -> str:
    alive = item(10180, output("The remote host is up"))
    data = document(
        host(name, *items, alive, information() if info is None else info, tags=tags),
        policy=POLICY.format(plugins),
    )
    path.write_bytes(data)
    return str(path)


def compared(before: str, after: str, change: str = "fixed") -> Any:
    said = typed("results", "compare", before, after, "--change", change, "--json")
    assert said.code == 0, said
    return said.json


def numbers(found: Any) -> dict[str, int]:
    return {
        change: sum(by.values())
        for change, by in found["counts"]["severities"].items()
        if by and set(by) != {"info"}
    }


def test_a_finding_is_fixed_when_the_later_scan_would_have_shown_it(tmp_path: Path) -> None:
    before = report(tmp_path / "a", check(10), check(11))
    after = report(tmp_path / "b", check(11), check(12))
    found = compared(before, after)
    assert numbers(found) == {"fixed": 1, "new": 1, "persisting": 3}
    assert [row["plugin_id"] for row in found["page"]["findings"]] == [10]
    assert found["counts"]["notes"] == []


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("login_failed", {"info": information("no")}),
        ("port_not_scanned", {"info": information(ports="1-100")}),
        ("plugin_not_run", {"plugins": "11;10180;19506;110385;117885"}),
        ("host_unfinished", {"tags": {"HOST_START": ENDED["HOST_START"]}}),
        ("report_incomplete", {"info": ""}),
        ("host_down", {"name": "192.0.2.2", "tags": ENDED | {"host-ip": "192.0.2.2"}}),
        ("host_not_scanned", {"name": "192.0.2.99", "tags": {}, "before": "192.0.2.77"}),
        ("host_changed", {"tags": ENDED | {"netbios-name": "OTHER"}}),
    ],
)
def test_what_might_still_be_there_is_not_called_fixed(
    tmp_path: Path, reason: str, changes: dict[str, Any]
) -> None:
    name = changes.pop("before", "192.0.2.1")
    tags = ENDED | {"netbios-name": "ONE", "host-ip": name}
    before = report(tmp_path / "a", check(10), name=name, tags=tags)
    after = report(tmp_path / "b", **changes)
    found = compared(before, after, "not_checked")
    assert not found["counts"]["severities"]["fixed"]
    assert found["counts"]["not_checked"][reason] >= 1
    row = next(row for row in found["page"]["findings"] if row["plugin_id"] == 10)
    assert row["not_checked"] == reason
    told = typed("results", "compare", before, after)
    assert "may still be there" in told.err
    assert f"{reason}: " in told.err


def test_a_report_compared_with_itself_says_so(tmp_path: Path) -> None:
    one = report(tmp_path / "a", check(10))
    assert "Both scans are the same one" in typed("results", "compare", one, one).err
    other = report(tmp_path / "b", check(10))
    assert "Both scans" not in typed("results", "compare", one, other).err


def test_a_report_that_was_cut_off_proves_nothing(tmp_path: Path) -> None:
    before = report(tmp_path / "a", check(10))
    after = report(tmp_path / "b", check(11))
    whole = Path(after).read_bytes()
    Path(after).write_bytes(whole[: whole.index(b"</Report>")])
    assert compared(before, after)["counts"]["not_checked"] == {"report_incomplete": 1}


def test_what_the_earlier_scan_could_have_missed_is_not_called_new(tmp_path: Path) -> None:
    before = report(tmp_path / "a", info=information("no"))
    after = report(tmp_path / "b", check(10), check(11, kind="remote"))
    found = compared(before, after, "not_checked_before")
    assert numbers(found) == {"new": 1, "not_checked_before": 1}
    assert found["page"]["findings"][0]["not_checked"] == "login_failed"


def test_another_severity_is_a_change(tmp_path: Path) -> None:
    before = report(tmp_path / "a", check(10, severity=1))
    after = report(tmp_path / "b", check(10, severity=4))
    found = compared(before, after, "changed")
    assert numbers(found) == {"changed": 1}
    assert found["page"]["findings"][0]["before"] == "low"


def audit(name: str, result: str) -> str:
    return item(
        21157, element("compliance", "true"), element("cm:compliance-check-name", name),
        element("cm:compliance-audit-file", "made.audit"),
        element("cm:compliance-result", result), severity=3,
    )  # fmt: skip


def test_another_result_of_a_compliance_check_is_a_change(tmp_path: Path) -> None:
    before = report(tmp_path / "a", audit("one", "PASSED"), audit("two", "FAILED"))
    after = report(tmp_path / "b", audit("one", "FAILED"), audit("two", "FAILED"))
    found = compared(before, after, "changed")
    row = found["page"]["findings"][0]
    assert (found["counts"]["compliance_counts"]["changed"], row["before"]) == (
        {"FAILED": 1}, "PASSED",
    )  # fmt: skip
    assert "changed" not in numbers(found)
    assert (found["page"]["total"], found["page"]["compliance_counts"]) == (1, {"FAILED": 1})
    table = typed("results", "compare", before, after, "--change", "changed")
    (line,) = (line for line in table.out.splitlines() if line.startswith("changed "))
    assert line.split()[-2:] == ["1", "failed"]
    assert "1 finding (checks: 1 failed)" in table.err


def test_a_compliance_check_that_is_missing_is_not_fixed(tmp_path: Path) -> None:
    before = report(tmp_path / "a", audit("one", "FAILED"))
    after = report(tmp_path / "b", audit("two", "PASSED"), plugins=f"{PLUGINS};21157")
    found = compared(before, after)
    assert found["counts"]["not_checked"] == {"check_not_run": 1}


def test_a_host_is_the_same_by_its_address(tmp_path: Path) -> None:
    before = report(tmp_path / "a", check(10), check(11, severity=2))
    after = report(tmp_path / "b", check(11, severity=4), name="web.example.com")
    found = compared(before, after, "changed")
    assert numbers(found) == {"fixed": 1, "changed": 1}
    assert found["page"]["findings"][0]["before"] == "medium"
    assert found["counts"]["hosts_in_both"] == 1
    assert found["counts"]["hosts_gone_total"] == 0


@pytest.mark.skipif(not CASES.is_dir(), reason="no case files beside the checkout")
def test_case_files() -> None:
    before, after = CASES / "comp_before.nessus", CASES / "comp_after.nessus"
    found = compared(str(before), str(after), "changed")
    assert sum(found["counts"]["compliance_counts"]["changed"].values()) == 2
    results = {row["before"] for row in found["page"]["findings"]}
    assert results == {"PASSED", "FAILED"}
    one, two = CASES / "p15_byip.nessus", CASES / "p15_byname.nessus"
    for pair in ((one, two), (two, one)):
        counts = compared(*map(str, pair))["counts"]
        assert counts["hosts_in_both"] == 1
        assert sum(counts["severities"]["persisting"].values()) == 2
        assert not counts["severities"]["fixed"]
