"""What scans changed: since a time, and between the runs of a schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nessus_sched.core.clock import system_now
from support.command import one_sentence
from support.live_daemon import Live, asked
from support.nessus_xml import document, element, host, item

HOST = "192.0.2.201"
RUN = "192.0.2.208"


@pytest.fixture(scope="module")
def imported(live: Live, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two scans of a host: the second has lost one finding and has two more."""
    directory = tmp_path_factory.mktemp("reports")
    for hours, plugins in ((3, {101: 4, 102: 2}), (1, {102: 2, 103: 3, 104: 1})):
        end = str(int(system_now() - hours * 3600))
        tags = {"HOST_END_TIMESTAMP": end, "host-ip": HOST}
        found = (item(plugin, severity=severity) for plugin, severity in plugins.items())
        path = directory / f"{hours}.nessus"
        about = item(19506, element("plugin_output", "Information about this scan :\n"))
        path.write_bytes(document(host(HOST, about, *found, tags=tags)))
        asked(live, "results import", "results", "import", str(path))


@pytest.fixture
def often(live: Live) -> Iterator[str]:
    """A schedule that has not run."""
    words = ("schedules", "add", "often", RUN, "--every", "1d")
    asked(live, "schedules add", *words)
    yield "often"
    live("schedules", "remove", "often")


@pytest.mark.usefixtures("imported")
def test_changes_are_counted_by_severity_and_listed(live: Live) -> None:
    words = ("changes", "--target", HOST)
    found = asked(live, "changes", *words)
    new = {"medium": 1, "high": 1, "low": 1}
    assert found["counts"] == {"new": new, "unverified": {"critical": 1}}
    assert sum(found["unverified"].values()) == 1
    said = live(*words, "--severity", "high")
    assert said.code == 0
    summary, table = (part.splitlines() for part in said.out.split("\n\n"))
    shown = dict(re.split("  +", line) for line in summary)
    assert (shown["new"], shown["unverified"]) == ("1 high", "1 critical")
    assert shown["unverified by"] == "1 host_down"
    assert table[0].split()[:3] == ["change", "host", "severity"]
    assert [line.split()[:3] for line in table[1:]] == [
        ["new", HOST, "high"],
        ["unverified", HOST, "critical"],
    ]
    fixed = asked(live, "changes", *words, "--change", "fixed")
    assert (fixed["rows"], fixed["counts"]) == ([], found["counts"])


@pytest.mark.usefixtures("imported")
def test_a_page_says_how_to_continue(live: Live) -> None:
    words = ("changes", "--target", HOST, "--change", "new", "-n", "1")
    first = live(*words)
    cursor = asked(live, "changes", *words)["next_cursor"]
    assert f"There are more: --cursor {cursor}.\n" in first.err
    assert live(*words, "--cursor", cursor).out != first.out
    one_sentence(live(*words, "--cursor", "1.2"), 1, "cursor: not one that 'nessus-sched changes'")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--since", "1d", "--schedule", "x"), 2, "give --since or --schedule, not both"),
        (("--schedule", "nosuch"), 1, "no schedule 'nosuch'"),
        (("--target", "198.51.100.0/33"), 1, "targets: "),
        (("--change", "gone"), 2, "'gone' is not one of"),
        (("--since", "soon"), 2, "'soon' is not a time"),
        (("-n", "201"), 2, "1<=x<=200"),
    ],
)
def test_what_makes_no_sense_is_refused(
    live: Live, words: tuple[str, ...], code: int, part: str
) -> None:
    one_sentence(live("changes", *words), code, part)


def test_changes_between_the_runs_of_a_schedule(live: Live, often: str) -> None:
    words = ("changes", "--schedule", often)
    one_sentence(live(*words), 1, "Schedule often has no finished run yet")
    for told in ("has run once: everything it found is new", "Between the last two runs of"):
        (ran,) = asked(live, "schedules run", "schedules", "run", often)["schedules"]
        assert live("watch", ran["last"]["task_id"]).code == 0
        found = asked(live, "changes", *words, "--target", RUN)
        assert told in found["notes"][0]
        assert told in live(*words).err


def test_without_a_daemon_a_schedule_is_not_known(live: Live, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"state_directory: {tmp_path}\n")
    said = live("changes", "--schedule", "often", "--config", str(config))
    one_sentence(said, 3, "no daemon answers at ")
