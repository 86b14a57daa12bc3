"""New, fixed and persisting findings, against a straightforward oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.compare import FindingKey, compare, finding_key, fixed_by_host
from support.nessus_xml import document, element, findings_of, host, item, read

HOSTS = st.sampled_from(["a", "b", "c", "d"])
KEYS = st.builds(
    FindingKey,
    host=HOSTS,
    port=st.sampled_from([None, 0, 22, 443]),
    protocol=st.sampled_from([None, "tcp", "udp"]),
    plugin_id=st.sampled_from([None, 1, 2]),
    check=st.sampled_from(["", "x"]),
)


@given(st.lists(KEYS), st.lists(KEYS), st.sets(HOSTS), st.sets(HOSTS))
def test_every_finding_has_one_place(
    before: list[FindingKey], after: list[FindingKey], idle: set[str], idle_after: set[str]
) -> None:
    hosts_before = idle | {key.host for key in before}
    hosts_after = idle_after | {key.host for key in after}
    found = compare(before, after, hosts_before=hosts_before, hosts_after=hosts_after)

    places = {}
    for key in {*before, *after}:
        if key.host not in hosts_before or key.host not in hosts_after:
            continue
        place = "persisting" if key in before and key in after else "new"
        places[key] = "fixed" if key not in after else place
    for place in ("new", "fixed", "persisting"):
        assert set(getattr(found, place)) == {key for key, at in places.items() if at == place}
        assert len(getattr(found, place)) == len(set(getattr(found, place)))
    assert set(found.only_before) == hosts_before - hosts_after
    assert set(found.only_after) == hosts_after - hosts_before
    assert sum(fixed_by_host(found).values()) == len(found.fixed)


def test_a_host_that_was_not_seen_has_nothing_fixed() -> None:
    gone = FindingKey("a", 22, "tcp", 1)
    found = compare([gone], [], hosts_before=["a"], hosts_after=["b"])
    assert found.fixed == ()
    assert found.only_before == ("a",)
    assert found.not_compared == (1, 0)

    seen = compare([gone], [], hosts_before=["a"], hosts_after=["a"])
    assert seen.fixed == (gone,)


def test_checks_of_an_audit_are_told_apart() -> None:
    checks = [item(21157, element("cm:compliance-check-name", name)) for name in ("x", "y")]
    named = item(21157, element("cm:compliance-check-id", "77"))
    events, _ = read(document(host("a", *checks, named, item(21157))))
    keys = [finding_key(finding) for finding in findings_of(events)]
    assert len(set(keys)) == 4
    assert keys[2].check == "77"
    assert keys[3].check == ""
