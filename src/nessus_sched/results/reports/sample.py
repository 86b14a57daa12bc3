"""Small documents of every report, to try templates with."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.ledger.sla import SlaCounts, SlaState
from nessus_sched.results.ledger.trend import Step, TrendPoint
from nessus_sched.results.reports import comparison, management, rendering, team, technical
from nessus_sched.results.reports.grouping import Found, found_of
from nessus_sched.results.reports.period import DAY, Period
from nessus_sched.results.summary import summarize

_NOW: Final = 1_767_225_600.0
_PERIOD: Final = Period(since=_NOW - 30 * DAY, until=_NOW)
_REPORT: Final = b"""<?xml version="1.0"?>
<NessusClientData_v2><Report name="sample"><ReportHost name="192.0.2.1"><HostProperties/>
<ReportItem port="443" svc_name="www" protocol="tcp" severity="4" pluginID="1"
 pluginName="Sample finding" pluginFamily="General"><solution>Update it.</solution></ReportItem>
</ReportHost></Report></NessusClientData_v2>"""


def bad_templates(own: Path) -> Iterator[rendering.BadTemplate]:
    """What is wrong with the templates in a directory: each report is rendered with a sample, and
    its first mistake counts."""
    seen = set()
    for kind, make in _SAMPLES.items():
        head = rendering.head(
            kind, "Sample", scope="all hosts", period=_PERIOD.text, made="today",
            organization="Example Corp.", notes=["A note."],
        )  # fmt: skip
        try:
            for _ in rendering.page(kind, {**head, **make()}, own):
                pass
        except rendering.BadTemplate as error:
            if str(error) not in seen:
                seen.add(str(error))
                yield error


def _found() -> Found:
    return found_of(
        host="192.0.2.1", port=443, protocol="tcp", plugin_id=1, name="Sample finding",
        severity="critical", solution="Update it.", exploited=True, since=_NOW - 40 * DAY,
        note="the host did not answer",
    )  # fmt: skip


def _management() -> dict[str, Any]:
    counts = {"critical": 1, "high": 2}
    group = {
        "solution": "Update it.", "severity": "critical", "findings": 3, "hosts": 1, "plugins": 1,
        "cisa_kev": True, "first_seen": int(_NOW - 40 * DAY),
    }  # fmt: skip
    point = TrendPoint(
        since=int(_NOW - 7 * DAY), until=int(_NOW), open=counts, new=1, baseline=0, fixed=1,
        resurfaced=1, mean_age=DAY, hosts=1,
    )  # fmt: skip
    history = management.History(
        step=Step.WEEK, points=[point, point], before={"critical": 0}, within=[point]
    )
    run = LoginRun(
        task_id="t-sample", at=int(_NOW), hosts=2, full=1, partial=0, failed=1, others=()
    )
    return management.document(
        management.Facts(
            period=_PERIOD, open=counts, ended=False, history=history, exploited=1,
            ages=[counts for _ in management.AGES],
            solutions=[group] * (management.FIRST + 1), solutions_total=management.FIRST + 1,
            coverage=dict.fromkeys(Reach, 1), days=30, all_allowed=True, excepted={"accepted": 1},
            logins={"linux": run}, failed_checks=(1, 1),
            sla=SlaCounts(
                counts={each: {"critical": 1} for each in SlaState}, excepted={}, unlimited=1
            ),
        )
    )  # fmt: skip


def _team() -> dict[str, Any]:
    failed = attrs.evolve(_found(), check="Sample check")
    return team.document([_found()], 2, _PERIOD, _NOW, 7 * DAY, [failed])


def _technical() -> dict[str, Any]:
    row: technical.Row = {
        "host": "192.0.2.1", "port": 443, "protocol": "tcp", "severity": "critical",
        "plugin_id": 1, "plugin_name": "Sample finding", "plugin_output": "Version 1",
        "solution": "Update it.", "synopsis": "It is old.", "cve": ("CVE-2026-0001",),
    }  # fmt: skip
    coverage = {
        "counts": {"requested": 2, "answered": 1, "silent": 1, "not_reached": 0},
        "rows": [{"targets": "192.0.2.2", "status": "silent", "why": None}],
    }
    rows = (row, {**row, "severity": "info"})
    return technical.document("Sample", summarize(io.BytesIO(_REPORT)), rows, None, coverage)


def _comparison() -> dict[str, Any]:
    sections = [
        comparison.Section(change=change, counts={"critical": 1}, found=[_found()])
        for change in comparison.TITLES
    ]
    return comparison.document(sections, _PERIOD, ["From one scan to the next."])


_SAMPLES: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "management": _management,
    "team": _team,
    "technical": _technical,
    "comparison": _comparison,
}
