"""Health: the worst component counts, and each remembers since when."""

from __future__ import annotations

from nessus_sched.telemetry.health import Component, Health, HealthRecord, Observation, Status


def test_it_is_as_bad_as_its_worst_component() -> None:
    record = HealthRecord()
    ok, degraded, failed = (Observation(status, "") for status in Status)
    assert Health(components={}).status is Status.OK
    assert record.update({"a": ok}, 1.0).status is Status.OK
    assert record.update({"a": ok, "b": degraded}, 1.0).status is Status.DEGRADED
    assert record.update({"a": failed, "b": degraded}, 1.0).status is Status.FAILED


def test_since_changes_with_the_status_only() -> None:
    record = HealthRecord()
    record.update({"a": Observation(Status.OK, "fine")}, 10.0)
    later = record.update(
        {"a": Observation(Status.OK, "still fine"), "b": Observation(Status.OK, "")}, 20.0
    )
    assert later.components["a"] == Component(status=Status.OK, reason="still fine", since=10.0)
    assert later.components["b"].since == 20.0
    worse = record.update({"a": Observation(Status.FAILED, "full")}, 30.0)
    assert worse.components == {"a": Component(status=Status.FAILED, reason="full", since=30.0)}


def test_a_turn_is_told_by_its_own_time_not_by_that_of_the_look() -> None:
    record = HealthRecord()

    def since(status: Status, changed_at: float, now: float) -> float:
        return (
            record.update({"a": Observation(status, "", changed_at=changed_at)}, now)
            .components["a"]
            .since
        )

    assert since(Status.OK, 7.0, now=10.0) == 7.0
    assert since(Status.OK, 7.0, now=20.0) == 7.0
    assert since(Status.OK, 24.0, now=25.0) == 24.0  # it was otherwise between two looks
    assert since(Status.DEGRADED, 24.0, now=30.0) == 30.0  # for another reason than that turn
    assert since(Status.OK, 24.0, now=40.0) == 40.0
