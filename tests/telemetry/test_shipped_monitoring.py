"""The shipped alerts and dashboard speak of metrics that exist, and work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from ruamel.yaml import YAML

from nessus_sched.telemetry.metrics import Metrics
from support.readings import reading, scanner
from support.scrape import needs_promtool, promtool

ETC = Path(__file__).parents[2] / "etc"
RULES = ETC / "prometheus" / "nessus-sched.rules.yml"
RULE_TESTS = ETC / "prometheus" / "nessus-sched.rules.test.yml"
DASHBOARD = ETC / "grafana" / "nessus-sched.json"
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_count"),
    "gauge": ("",),
    "info": ("_info",),
}
FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
"""Of Prometheus itself and of the node exporter."""
NAME = re.compile(r"(?<![\w:\"$])((?:nessus|process|node)_[a-z_:]+|up)\b(?=[{\[\s)]|$)")


def metrics() -> Metrics:
    made = Metrics("1.2.3")
    made.gauges.snapshot = reading(scanner("one"))
    return made


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The names of all series that the daemon may ever show."""
    return {
        family.name + suffix
        for family in metrics().registry.collect()
        for suffix in SUFFIXES[family.type]
    }


def yaml(file: Path) -> Any:
    return YAML(typ="safe").load(file)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml(RULES)["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Title and expression of every query of the dashboard."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), \w+\)", variable.get("definition", ""))
        if found is not None:
            yield variable["name"], found[1]


def named(expression: str) -> set[str]:
    names = set(NAME.findall(expression))
    assert names, expression
    return names


def test_alerts_name_metrics_that_exist(known: set[str]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert named(rule["expr"]) <= known | recorded | FOREIGN


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    fired = {
        case["alertname"]
        for test in yaml(RULE_TESTS)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == set(alerts)
    for rule in alerts.values():
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_dashboard_asks_for_metrics_that_exist(known: set[str]) -> None:
    asked = {name for _, expression in queries() for name in named(expression)}
    assert asked <= known
    assert {name for name in asked if name.startswith("nessus_")} >= {
        "nessus_scans_total", "nessus_api_requests_total", "nessus_active_scans",
        "nessus_scanner_instances", "nessus_queue_depth", "nessus_dlq_size",
        "nessus_task_duration_seconds_bucket", "nessus_ttl_deletions_total",
    }  # fmt: skip


def test_grafana_can_take_in_the_dashboard() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 36  # from there on data sources are named by uid
    assert dashboard["title"]
    assert len(dashboard["uid"]) <= 40
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in dashboard["panels"]:
        targets = panel.get("targets", [])
        assert bool(targets) == (panel["type"] != "row"), panel["title"]
        assert len({target["refId"] for target in targets}) == len(targets), panel["title"]
        for each in [*targets, panel] if targets else ():
            assert each["datasource"] == source, panel["title"]
        used = {name for target in targets for name in re.findall(r"\$(\w+)", target["expr"])}
        assert used <= {*variables, "__rate_interval", "__range"}, panel["title"]


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@needs_promtool
def test_promtool_likes_the_metrics() -> None:
    made = metrics()
    made.observe_call("submit_scan", "ok", 0.1)
    made.observe_scanner_request("one", 0.1, "server_error")
    made.observe_deletions("exports", 3)
    assert promtool("check", "metrics", text=generate_latest(made.registry).decode()) == ""


@pytest.mark.slow
@needs_promtool
def test_promtool_likes_the_alerts_and_their_tests_pass() -> None:
    assert promtool("check", "rules", str(RULES)) == ""
    assert promtool("test", "rules", str(RULE_TESTS)) == ""


@needs_promtool
def test_promtool_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    wrapped = [
        {"record": f"query:{number}", "expr": _filled_in(expression)}
        for number, (_, expression) in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": wrapped}]}))
    assert promtool("check", "rules", str(file)) == ""


def _filled_in(expression: str) -> str:
    """With values for Grafana's variables."""
    filled = expression.replace("$__rate_interval", "5m")
    return re.sub(r"\$\w+", ".*", filled)
