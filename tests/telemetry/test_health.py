"""Health: the worst component counts, and each remembers since when."""

from __future__ import annotations

from nessus_sched.telemetry.health import Component, Found, Health, HealthRecord, Status


def test_it_is_as_bad_as_its_worst_component() -> None:
    record = HealthRecord()
    ok, degraded, failed = (Found(status, "") for status in Status)
    assert Health(components={}).status is Status.OK
    assert record.update({"a": ok}, 1.0).status is Status.OK
    assert record.update({"a": ok, "b": degraded}, 1.0).status is Status.DEGRADED
    assert record.update({"a": failed, "b": degraded}, 1.0).status is Status.FAILED


def test_since_changes_with_the_status_only() -> None:
    record = HealthRecord()
    record.update({"a": Found(Status.OK, "fine")}, 10.0)
    later = record.update({"a": Found(Status.OK, "still fine"), "b": Found(Status.OK, "")}, 20.0)
    assert later.components["a"] == Component(status=Status.OK, reason="still fine", since=10.0)
    assert later.components["b"].since == 20.0
    worse = record.update({"a": Found(Status.FAILED, "full")}, 30.0)
    assert worse.components == {"a": Component(status=Status.FAILED, reason="full", since=30.0)}
