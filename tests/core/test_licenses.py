"""Licenses that limit how many hosts a scanner scans, in routing and refusal."""

from __future__ import annotations

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind

NOW = 1_800_000_000.0


def pool_of(**licensed: int | None) -> Pool:
    pool = Pool(PoolSettings())
    specs = [
        ScannerSpec(scanner_id=n, limit=1, licensed_hosts=most) for n, most in licensed.items()
    ]
    pool.configure(specs, PoolSettings(), NOW)
    return pool


def queue_entry(targets: str, number: int = 1, **changes: object) -> QueueEntry:
    values: dict[str, object] = {"kind": ScanKind.BASIC, **changes}
    return QueueEntry(
        task_id=f"t{number}",
        order=number,
        accepted_at=NOW,
        targets=parse_targets(targets),
        **values,  # type: ignore[arg-type] # the test's own keywords
    )


def test_a_scan_goes_only_where_the_license_has_room_for_it() -> None:
    pool = pool_of(small=16, large=None)
    for number in (1, 2, 3):
        pool.place(queue_entry(f"192.0.{number}.0/27", number), NOW)
    assert pool.take("small", NOW) is None
    assert pool.take("large", NOW) is not None
    pool.place(queue_entry("198.51.100.0/28", 4), NOW)
    taken = pool.take("small", NOW)
    assert taken is not None
    assert taken.task_id == "t4"


def test_what_no_license_has_room_for_is_refused_with_the_largest() -> None:
    reason = pool_of(small=16, medium=32).refusal(queue_entry("192.0.2.0/24"))
    assert reason is not None
    assert reason.code is WaitCode.LICENSE_LIMIT
    assert "scanner medium allows 32" in reason.text


def test_a_named_scanner_is_judged_by_its_own_license() -> None:
    pool = pool_of(small=16, large=None)
    reason = pool.refusal(queue_entry("192.0.2.0/27", pinned="small"))
    assert reason is not None
    assert reason.code is WaitCode.LICENSE_LIMIT
    assert pool.refusal(queue_entry("192.0.2.0/28", pinned="small")) is None


def test_host_discovery_does_not_use_up_a_license() -> None:
    assert pool_of(small=16).refusal(queue_entry("192.0.2.0/24", kind=ScanKind.QUICK)) is None


def test_names_and_their_addresses_count_once() -> None:
    pool = pool_of(small=2)
    found = parse_targets("a.example.com b.example.com").resolved(
        {"a.example.com": ["192.0.2.1"], "b.example.com": ["192.0.2.9"]}
    )
    entry = QueueEntry(task_id="t1", order=1, accepted_at=NOW, kind=ScanKind.BASIC, targets=found)
    assert pool.refusal(entry) is None
