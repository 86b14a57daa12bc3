from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.pool.overlap import TargetClaims
from nessus_sched.core.pool.spans import Spans
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.ranges import Ranges, difference, merged, overlap
from nessus_sched.core.targets.targets import TargetSet, parse_targets
from support.pools import WatchedPool, entry, spec

GUARDED = PoolSettings(overlap_guard=True)
NAMES = ("www.example.com", "mail.example.com")
TEXTS = st.one_of(
    st.builds("192.0.2.{}".format, st.integers(0, 30)),
    st.builds("192.0.2.{}-192.0.2.{}".format, st.integers(0, 9), st.integers(10, 30)),
    st.builds("2001:db8::{:x}".format, st.integers(0, 30)),
    st.sampled_from(NAMES),
)
SETS = st.lists(TEXTS, min_size=1, max_size=4).map(parse_targets)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 6), SETS)), SETS)
def test_claims_find_exactly_those_that_overlap(
    steps: list[tuple[int, TargetSet]], asked: TargetSet
) -> None:
    claims, held = TargetClaims(), dict[str, TargetSet]()
    for number, targets in steps:
        task_id = f"t{number}"
        if task_id in held:
            claims.discard(task_id)
            del held[task_id]
        else:
            claims.add(task_id, pack(targets))
            held[task_id] = targets
        expected = {each for each, other in held.items() if other.overlaps(asked)}
        assert set(claims.holders(pack(asked))) == expected
        assert set(claims) == set(held)


def test_targets_of_many_ranges_are_found_too() -> None:
    claims = TargetClaims()
    many = pack(parse_targets([f"192.0.2.{2 * n}" for n in range(64)]))
    claims.add("many", many)
    claims.add("one", pack(parse_targets("192.0.2.7")))
    assert list(claims.holders(pack(parse_targets("192.0.2.7-192.0.2.8")))) == ["one", "many"]
    assert set(claims.holders(many)) == {"many"}
    claims.discard("many")
    assert list(claims.holders(many)) == []


def pool(*specs: tuple[str, int]) -> WatchedPool:
    return WatchedPool([spec(name, limit) for name, limit in specs], GUARDED)


def test_a_later_task_waits_names_the_other_and_holds_up_nobody() -> None:
    scanners = pool(("a", 3))
    for order, targets in enumerate(["192.0.2.0/24", "192.0.2.77", "198.51.100.1"]):
        scanners.place(entry(order, targets), 0.0)
    assert scanners.take_all("a", 0.0) == ["t0", "t2"]
    reason = scanners.wait_reason("t1", 0.0)
    assert (reason.code, reason.blocker) == ("overlap", "t0")
    assert "t0" in reason.text
    scanners.woken.clear()
    scanners.release("t0", 5.0)
    assert set(scanners.woken) == {"a"}
    assert scanners.take_all("a", 5.0) == ["t1"]


def test_it_holds_across_scanners_and_ip_versions() -> None:
    scanners = pool(("a", 2), ("b", 2))
    scanners.place(entry(0, "2001:db8::/64", pinned="a"), 0.0)
    scanners.place(entry(1, "2001:db8::7", pinned="b"), 0.0)
    assert scanners.take_all("a", 0.0) == ["t0"]
    assert scanners.take_all("b", 0.0) == []


def test_a_freed_entry_comes_back_to_its_old_place() -> None:
    scanners = pool(("a", 2))
    scanners.place(entry(0, "192.0.2.1", pinned="a"), 0.0)
    scanners.place(entry(1, "192.0.2.1", pinned="a"), 0.0)
    for order in range(2, 5):
        scanners.place(entry(order, pinned="a"), 0.0)
    assert scanners.take_all("a", 0.0) == ["t0", "t2"]
    scanners.release("t0", 1.0)
    assert scanners.take_all("a", 1.0) == ["t1"]


def test_a_wide_scan_is_not_starved_by_small_ones() -> None:
    """One small scan of the same network comes in at every step, and takes three."""
    scanners = pool(("a", 9))
    begun = dict[str, int]()
    for step in range(1, 20):
        now = float(step)
        scanners.place(entry(step, "192.0.2.0/24" if step == 4 else f"192.0.2.{step}"), now)
        for task_id in [each for each, at in begun.items() if at == step - 3]:
            scanners.release(task_id, now)
        begun.update(dict.fromkeys(scanners.take_all("a", now), step))
        if "t4" in begun:
            # It let pass who came while it waited the first time, and nobody after.
            assert step <= 10
            return
    raise AssertionError("the wide scan never ran")


def test_whoever_waits_for_a_claim_goes_on_when_the_claimant_leaves() -> None:
    scanners = pool(("a", 2))
    scanners.place(entry(0, "192.0.2.1"), 0.0)
    scanners.place(entry(1, "192.0.2.2"), 0.0)
    scanners.take_all("a", 0.0)
    scanners.place(entry(2, "192.0.2.1-192.0.2.9", pinned="a"), 0.0)
    scanners.place(entry(3, "192.0.2.9", pinned="a"), 0.0)
    scanners.release("t1", 1.0)  # t2 is looked at, and blocked by t0; t3 runs.
    assert scanners.take_all("a", 1.0) == ["t3"]
    scanners.release("t0", 2.0)  # t2 is blocked again, by t3, and claims its targets.
    assert scanners.take_all("a", 2.0) == []
    scanners.place(entry(4, "192.0.2.5", pinned="a"), 2.0)
    assert scanners.take_all("a", 2.0) == []
    assert scanners.wait_reason("t4", 2.0).blocker == "t2"
    scanners.woken.clear()
    assert scanners.withdraw("t2", 3.0) is not None
    assert set(scanners.woken) == {"a"}
    assert scanners.take_all("a", 3.0) == ["t4"]


def test_an_entry_that_cannot_run_claims_nothing() -> None:
    scanners = pool(("a", 2), ("b", 2))
    scanners.place(entry(0, "192.0.2.1", pinned="b"), 0.0)
    scanners.take_all("b", 0.0)
    scanners.place(entry(1, "192.0.2.1-192.0.2.9", pinned="a"), 0.0)
    scanners.take_all("a", 0.0)
    scanners.place(entry(2, "192.0.2.2", pinned="b"), 0.0)
    scanners.take_all("b", 0.0)
    scanners.release("t0", 1.0)
    scanners.take_all("a", 1.0)
    scanners.place(entry(3, "192.0.2.9", pinned="b"), 1.0)
    assert scanners.take_all("b", 1.0) == []
    scanners.woken.clear()
    scanners.set_draining("a", True, 2.0)
    assert scanners.woken == ["b"]
    assert scanners.take_all("b", 2.0) == ["t3"]


def test_a_claim_counts_for_nothing_while_its_scanner_is_down() -> None:
    scanners = pool(("a", 1), ("b", 1))
    for order in (0, 2):
        scanners.place(entry(order, "192.0.2.1", pinned="b"), 0.0)
    scanners.take_all("b", 0.0)
    scanners.place(entry(1, "192.0.2.1-192.0.2.9", accepted_at=0.0, pinned="a"), 0.0)
    scanners.take_all("a", 0.0)
    scanners.release("t0", 1.0)
    assert scanners.take_all("b", 1.0) == ["t2"]
    assert scanners.take_all("a", 1.0) == []  # t1 is blocked again, and claims.
    scanners.release("t2", 2.0)
    scanners.failed("a", 2.0, "refused", trip=True)
    scanners.place(entry(3, "192.0.2.9", pinned="b"), 2.0)
    assert scanners.take_all("b", 2.0) == ["t3"]


@pytest.mark.slow
def test_thousands_with_the_same_target_are_looked_at_one_by_one() -> None:
    """Only the first of them moves when the one before has ended."""
    scanners = pool(("a", 3))
    for order in range(2000):
        scanners.place(entry(order, "192.0.2.1", pinned="a"), 0.0)
    done = scanners.take_all("a", 0.0)
    for step in range(30):
        scanners.release(done[-1], float(step))
        assert scanners.statistics(0.0).scanners[0].queue.parked >= 1900
        (taken,) = scanners.take_all("a", float(step))
        done.append(taken)
    assert done == [f"t{order}" for order in range(31)]


@pytest.mark.slow
def test_a_long_look_at_blocked_tasks_is_taken_in_turns() -> None:
    """The daemon does other things in between."""
    scanners = pool(("a", 2))
    common = "192.0.2.1"
    for order in range(12):
        own = [f"10.{order}.{n // 64}.{2 * (n % 64)}" for n in range(4096)]
        scanners.place(entry(order, " ".join([*own, common]), pinned="a"), 0.0)
    scanners.place(entry(12, "198.51.100.1", pinned="a"), 0.0)
    first = scanners.take("a", 0.0)
    assert first is not None
    looks = 1
    scanners.woken.clear()
    while (found := scanners.take("a", 0.0)) is None:
        assert scanners.woken == ["a"]
        scanners.woken.clear()
        looks += 1
    assert (first.task_id, found.task_id) == ("t0", "t12")
    assert looks >= 3
    assert scanners.statistics(0.0).scanners[0].queue.parked == 11


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=8).map(
        lambda pairs: merged((first, first + more) for first, more in pairs)
    ),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=8).map(
        lambda pairs: merged((first, first + more) for first, more in pairs)
    ),
)
def test_ranges_of_holders_come_and_go(one: Ranges, other: Ranges) -> None:
    """Of two disjoint sets in every order, each is found where it is, until it goes."""
    other = difference(other, tuple((first - 1, last + 1) for first, last in one))
    sets = {"one": one, "other": other}
    spans: Spans[int] = Spans()
    for name, ranges in sets.items():
        spans.add([first for first, _ in ranges], [last for _, last in ranges], name)
    for name, ranges in sets.items():
        for address in range(45):
            expected = [each for each, has in sets.items() if overlap(has, ((address, address),))]
            assert list(spans.holders([address], [address])) == expected
            expected = [each for each, has in sets.items() if overlap(has, ((address, 50),))]
            assert set(spans.holders([address], [50])) == set(expected)
        spans.remove([first for first, _ in ranges], [last for _, last in ranges])
        sets = {**sets, name: ()}


def test_the_guard_can_be_switched_off_and_on_again() -> None:
    scanners = pool(("a", 4))
    for order in range(3):
        scanners.place(entry(order, "192.0.2.1", pinned="a"), 0.0)
    assert scanners.take_all("a", 0.0) == ["t0"]
    scanners.configure([spec("a", 4)], PoolSettings(overlap_guard=False), 1.0)
    assert scanners.take_all("a", 1.0) == ["t1", "t2"]
    scanners.configure([spec("a", 4)], GUARDED, 2.0)
    scanners.place(entry(3, "192.0.2.1", pinned="a"), 2.0)
    for task_id in ("t0", "t2", "t1"):
        assert scanners.take_all("a", 2.0) == []
        scanners.release(task_id, 2.0)
    assert scanners.take_all("a", 2.0) == ["t3"]
