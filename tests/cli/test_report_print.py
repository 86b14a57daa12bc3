"""How many A4 pages reports are, as a browser prints them, and that no row is cut."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.ledger.sla import SlaCounts, SlaState
from nessus_sched.results.ledger.trend import Step, TrendPoint
from nessus_sched.results.reports import management, rendering
from nessus_sched.results.reports.period import Period
from support.command import typed
from support.report_network import books, build
from tests.bench import ledger as bench

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
    page = tmp_path / "page.html"
    said = typed("report", *words, "-c", str(config), "-o", str(page), "--force")
    assert said.code == 0, said
    return pages(page)


def pages(page: Path) -> int:
    tmp_path, pdf = page.parent, page.with_suffix(".pdf")
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


def test_management_stays_on_one_page_whatever_there_is_to_say(tmp_path: Path) -> None:
    words = "Apply the patches of the vendor's advisory to all of the affected products. " * 9
    group = {
        "solution": words, "severity": "critical", "findings": 10**7, "hosts": 10**6,
        "plugins": 10**4, "cisa_kev": True, "first_seen": 0,
    }  # fmt: skip
    counts = dict.fromkeys(("critical", "high", "medium", "low", "unknown"), 10**7)
    points = [
        TrendPoint(
            since=week * 604_800, until=(week + 1) * 604_800, open=counts, new=10**6, baseline=0,
            fixed=10**6, resurfaced=10**6, mean_age=1.0, hosts=10**6,
        )
        for week in range(29)
    ]  # fmt: skip
    run = LoginRun(
        task_id="t", at=0, hosts=10**6, full=10**5, partial=10**5, failed=10**5, others=()
    )
    facts = management.Facts(
        period=Period(since=0, until=20_000_000), open=counts, ended=True,
        history=management.History(
            step=Step.WEEK, points=points, before={}, within=points[-5:]
        ),
        exploited=10**7, ages=[counts] * len(management.AGES), solutions=[group] * 1000,
        solutions_total=10**5, coverage=dict.fromkeys(Reach, 10**7), all_allowed=True, days=30,
        excepted=dict.fromkeys(("accepted", "false_positive", "severity"), 10**6),
        logins={f"a-credential-with-quite-a-long-name-{number}": run for number in range(3)},
        sla=SlaCounts(counts=dict.fromkeys(SlaState, counts), excepted={}, unlimited=0),
    )  # fmt: skip
    head = rendering.head(
        "management", "Vulnerability report", scope="owner " + "x" * 150, period="p" * 60,
        made="today", organization="An organization with a long name " * 3,
        notes=["1000 finished scans not entered yet: findings may be missing."],
    )  # fmt: skip
    page = tmp_path / "page.html"
    document = {**head, **management.document(facts)}
    page.write_text("".join(rendering.page("management", document)))
    assert pages(page) == 1


def test_a_team_of_forty_hosts_gets_at_most_six_pages(team: Path, tmp_path: Path) -> None:
    assert 2 <= printed(team, tmp_path, "team") <= 6


def test_a_comparison_of_two_weeks(team: Path, tmp_path: Path) -> None:
    assert printed(team, tmp_path, "comparison", "--since", "14d") <= 10


def test_a_technical_report_of_a_small_network(tmp_path: Path) -> None:
    config = site(tmp_path / "state", hosts=30, known=60, weeks=1, network="192.0.2.0/27")
    assert printed(config, tmp_path, "technical", "last") <= 10


def test_a_large_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """65,536 hosts: no report grows with them."""
    monkeypatch.setattr(bench, "PER_HOST", 5)
    monkeypatch.setattr(bench, "NOW", int(system_now()) - 86_400)
    state = tmp_path / "state"
    trio.run(_empty, state)
    bench.fill(state / "ledger.db", 65_536 * 5)
    config = state / "config.yaml"
    config.write_text(f"state_directory: {state}\ntargets: {{allow: [10.0.0.0/15]}}\n")
    for kind, most in (("management", 1), ("team", 6)):
        assert printed(config, tmp_path, kind) <= most
        assert (tmp_path / "page.html").stat().st_size < 200_000
    said = typed("report", "team", "-c", str(config), "--format", "jsonl", "-o", "-")
    assert said.out.count("\n") == 10_000
    assert len(said.out) < 6_000_000


async def _empty(state: Path) -> None:
    async with books(state, system_now()):
        pass
