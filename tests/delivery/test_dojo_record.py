"""What a test in DefectDojo remembers, and that it closes nothing that was not looked at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.core.targets.targets import TargetSet, parse_targets
from nessus_sched.delivery.dojo.record import MARK, decide
from nessus_sched.delivery.kept_scans import KeptScan

TARGETS = ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.7", "web.example.com", "2001:db8::/64")
targets = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=4).map(tuple)
scans = st.builds(
    KeptScan,
    task_id=st.just("t-1"),
    title=st.just("weekly"),
    way=st.sampled_from(["basic", "quick"]),
    targets=targets,
    ended=st.just(0.0),
    reports=st.just(()),
    doubt=st.sampled_from([None, None, None, "logins failed"]),
)
notes = st.sampled_from(["", "Ours.", "Ours.\nDo not touch."])


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(scans, min_size=1, max_size=6), notes, st.booleans())
def test_only_what_saw_everything_closes(history: list[KeptScan], note: str, ours: bool) -> None:
    description, before = note, list[KeptScan]()
    for number, scan in enumerate(history):
        first = ours and number == 0
        decision = decide(scan, scan.way, description, ours=ours, first=first)
        if decision.close:
            assert ours
            assert scan.doubt is None
            assert before
            assert all(earlier.way == scan.way for earlier in before)
            assert all(within(earlier, scan) for earlier in before)
        elif number > 0 and ours and scan.doubt is None:
            assert any(each.way != scan.way or not within(each, scan) for each in before)
        description = decision.description
        kept = [line for line in description.splitlines() if not line.startswith(MARK)]
        assert kept == note.splitlines()
        assert sum(line.startswith(f"{MARK}note: ") for line in description.splitlines()) <= 1
        before.append(scan)


def within(part: KeptScan, whole: KeptScan) -> bool:
    """Whether all its targets are among those of the other; small enough to count them."""
    one, other = parse_targets(part.targets), parse_targets(whole.targets)
    both = parse_targets((*part.targets, *whole.targets))
    return size(both) == size(other) and set(one.names) <= set(other.names)


def size(found: TargetSet) -> int:
    return found.address_count


@given(st.text(max_size=200), scans)
def test_descriptions_that_people_have_changed(description: str, scan: KeptScan) -> None:
    for mark in ("", f"{MARK}targets: ", f"{MARK}scans: basic\n{MARK}targets: "):
        decision = decide(scan, scan.way, mark + description, ours=True, first=False)
        again = decide(scan, scan.way, decision.description, ours=True, first=False)
        assert again.description.count(f"{MARK}targets: ") == 1
