"""The suspension of a scanner: who may try, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.breaker import BreakerSettings
from nessus_sched.core.suspension import DOUBTS, Suspension

SETTINGS = BreakerSettings(probe=30.0, probe_max=900.0)
KIND = ErrorKind.LICENSE_EXPIRED


def suspended(task_id: str = "t1", now: float = 0.0) -> Suspension:
    made = Suspension(SETTINGS)
    assert made.suspend(now, KIND, "expired", task_id=task_id)
    return made


def test_the_waits_grow_up_to_the_longest() -> None:
    one, now, waits = suspended(), 0.0, []
    for number in range(7):
        at = one.probe_at
        assert at is not None
        waits.append(at - now)
        now = at
        one.begin(f"t{number}")
        assert one.suspend(now, KIND, "expired", task_id=f"t{number}")
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0]


def test_refusals_of_scans_that_were_under_way_do_not_lengthen_the_wait() -> None:
    one = suspended()
    for number in range(5):
        assert one.suspend(1.0, KIND, "expired", task_id=f"other{number}")
    assert one.probe_at == 30.0


def test_a_try_without_result_lets_the_next_one_try_at_once() -> None:
    one = suspended()
    one.begin("t2")
    assert not one.due(1000.0)
    one.end("t1", 40.0)  # not the one that tries
    assert not one.due(1000.0)
    one.end("t2", 40.0)
    assert one.due(40.0)
    assert one.tried == {"t1", "t2"}


def test_when_all_have_tried_a_new_round_begins() -> None:
    one = suspended()
    one.begin("t1")
    assert one.tried == set()


def test_to_look_again_makes_a_try_due_and_forgets_the_long_wait() -> None:
    one = suspended()
    for number in range(6):
        one.begin(f"t{number}")
        one.suspend(1000.0, KIND, "expired", task_id=f"t{number}")
    one.look_again(1001.0)
    assert one.due(1001.0)
    one.begin("t9")
    one.suspend(1001.0, KIND, "expired", task_id="t9")
    assert one.probe_at == 1061.0


def test_doubts_about_one_task_are_not_doubts_about_the_scanner() -> None:
    one = Suspension(SETTINGS)
    for _ in range(10):
        assert not one.suspend(0.0, KIND, "why?", task_id="t1", sure=False)
    assert not one.active


@given(st.lists(st.sampled_from(["accepted", *(f"t{number}" for number in range(5))])))
def test_it_takes_several_tasks_in_a_row(happened: list[str]) -> None:
    one, row = Suspension(SETTINGS), set[str]()
    for what in happened:
        if what == "accepted":
            one.accepted()
            row = set()
            continue
        row.add(what)
        assert one.suspend(0.0, KIND, "why?", task_id=what, sure=False) is (len(row) >= DOUBTS)
    assert one.active is (len(row) >= DOUBTS)
    assert one.active is (one.statistics() is not None)
