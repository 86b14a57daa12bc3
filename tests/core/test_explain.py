from __future__ import annotations

import pytest

from nessus_sched.core.pool.wait_reasons import WaitCode
from support.pools import WatchedPool, entry, spec


def full(**limits: int) -> WatchedPool:
    """Every scanner runs all it may."""
    scanners = WatchedPool([spec(name, limit) for name, limit in limits.items()])
    order = 1000
    for name, limit in limits.items():
        for _ in range(limit):
            order += 1
            scanners.place(entry(order, accepted_at=0.0, pinned=name), 0.0)
        scanners.take_all(name, 0.0)
    return scanners


def reason(scanners: WatchedPool, task_id: str, now: float = 0.0) -> tuple[str, str]:
    found = scanners.wait_reason(task_id, now)
    return found.code.value, found.text


def test_behind_others_in_a_queue() -> None:
    scanners = full(a=1)
    for order in (1, 2, 3):
        scanners.place(entry(order, pinned="a"), 0.0)
    assert reason(scanners, "t1") == (
        "scanner_full",
        "next in the queue of a; scanner a runs 1 of 1 scan",
    )
    assert reason(scanners, "t2")[1].startswith("behind 1 other in the queue of a; ")
    assert reason(scanners, "t3")[1].startswith("behind 2 others in the queue of a; ")


def test_behind_others_in_the_overflow_queue() -> None:
    scanners = full(a=1, b=2)
    for order in (1, 2):
        scanners.place(entry(order), 0.0)
    assert reason(scanners, "t1")[1] == (
        "next in the overflow queue; its 2 scanners run 3 of 3 scans"
    )
    assert reason(scanners, "t2")[0] == "behind"


def test_others_in_the_overflow_queue_that_wait_for_other_scanners() -> None:
    scanners = WatchedPool([spec("a", 1, "192.0.2.0/24"), spec("b", 1, "198.51.100.0/24")])
    for order in range(1, 7):
        network = "192.0.2" if order % 2 else "198.51.100"
        scanners.place(entry(order, f"{network}.{order}"), 0.0)
        scanners.take_all("a", 0.0)
        scanners.take_all("b", 0.0)
    assert [scanners.position(f"t{order}") for order in (3, 4, 5, 6)] == [1, 2, 3, 4]
    code, text = reason(scanners, "t4")
    assert code == "scanner_full"
    assert text == (
        "next in the overflow queue (those before it are for other scanners); "
        "scanner b runs 1 of 1 scan"
    )
    assert reason(scanners, "t5")[1].startswith(
        "behind 1 other in the overflow queue (1 more for other scanners); "
    )


def test_more_scans_than_allowed_are_told_as_such() -> None:
    scanners = full(a=3)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.report("a", 0.0, max_scans=1, foreign=0)
    text = reason(scanners, "t1")[1]
    assert text.endswith("scanner a runs 3 scans, more than the 1 allowed now")
    scanners.report("a", 0.0, max_scans=4, foreign=1)
    assert reason(scanners, "t1")[1].endswith("runs 3 of 3 scans (1 scan of others runs there)")


def test_a_free_slot_is_no_reason_to_wait() -> None:
    scanners = WatchedPool([spec("a", 2)])
    for order in (1, 2, 3):
        scanners.place(entry(order, pinned="a"), 0.0)
    codes = [reason(scanners, f"t{order}")[0] for order in (1, 2, 3)]
    assert codes == ["starting", "starting", "behind"]


def test_everything_is_paused() -> None:
    scanners = full(a=1)
    scanners.place(entry(1), 0.0)
    scanners.set_paused(True, 0.0)
    assert reason(scanners, "t1")[0] == "paused_all"


def test_a_scanner_that_is_down_says_why_and_when_it_is_tried_again() -> None:
    scanners = full(a=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    for _ in range(5):
        scanners.failed("a", 100.0, "connection refused")
    assert reason(scanners, "t1", 105.0) == (
        "scanner_down",
        "scanner a is down (connection refused); next try in 25 s",
    )
    scanners.begin_probe("a", 130.0)
    assert reason(scanners, "t1", 130.0)[1].endswith("retrying now")


def test_a_held_scanner_says_for_how_long() -> None:
    scanners = full(a=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.hold("a", 60.0, "it is loading plugins", 0.0)
    code, text = reason(scanners, "t1", 20.0)
    assert code == "scanner_held"
    assert text == (
        "next in the queue of a; scanner a starts no scans for now (it is loading plugins); "
        "retrying within 40 s"
    )
    scanners.hold("a", 60.0, "it is loading plugins", 0.0, at_latest=True)
    assert reason(scanners, "t1", 20.0)[1] == (
        "next in the queue of a; scanner a starts no scans for now (it is loading plugins); "
        "retrying until that is over"
    )


def test_none_of_several_scanners_is_usable() -> None:
    scanners = full(a=1, b=1, c=1, d=1, e=1)
    scanners.place(entry(1), 0.0)
    for name in "abcde":
        scanners.set_draining(name, True, 0.0)
    code, text = reason(scanners, "t1")
    assert code == "no_scanner_usable"
    assert text.startswith("none of the 5 scanners that could run it is usable: scanner a is")
    assert text.endswith("and 2 more")


def test_the_pool_has_lost_its_scanners() -> None:
    scanners = full(a=1)
    scanners.place(entry(1, pool="other"), 0.0)
    assert reason(scanners, "t1") == (
        "no_scanner",
        "pool other has no scanner; pools with scanners: nessus",
    )


@pytest.mark.parametrize(
    ("targets", "pinned", "group", "code"),
    [
        ("192.0.2.1", None, "nessus", None),
        ("192.0.2.1", "inside", "nessus", None),
        ("192.0.2.1", "inside", "whatever", None),
        ("203.0.113.1", None, "nessus", WaitCode.UNREACHABLE),
        ("192.0.2.1, 198.51.100.1", None, "nessus", WaitCode.UNREACHABLE),
        ("198.51.100.1", "inside", "nessus", WaitCode.UNREACHABLE),
        ("www.example.com", None, "nessus", None),
        ("192.0.2.1", "nowhere", "nessus", WaitCode.SCANNER_REMOVED),
        ("192.0.2.1", None, "empty", WaitCode.NO_SCANNER),
    ],
)
def test_what_could_never_run_is_refused_with_the_reason(
    targets: str, pinned: str | None, group: str, code: WaitCode | None
) -> None:
    scanners = WatchedPool([spec("inside", 1, "192.0.2.0/24"), spec("dmz", 1, "198.51.100.0/24")])
    found = scanners.refusal(entry(1, targets, pinned=pinned, pool=group))
    assert (found and found.code) == code


def test_a_refusal_says_what_there_is() -> None:
    scanners = WatchedPool([spec(f"s{number}", 1) for number in range(5)])
    found = scanners.refusal(entry(1, pinned="nowhere"))
    assert str(found) == "no scanner nowhere; known: s0, s1, s2 and 2 more"
    nothing = WatchedPool([]).refusal(entry(1))
    assert str(nothing) == "pool nessus has no scanner; pools with scanners: none"


def test_trouble_that_is_temporary_is_no_refusal() -> None:
    scanners = full(a=1)
    scanners.set_enabled("a", False, 0.0)
    assert scanners.refusal(entry(1, pinned="a")) is None
    assert scanners.refusal(entry(2)) is None
