"""Which labels hosts have, and which targets have some labels, against a slow look at each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.targets.labels import LABELS, Labelled, LabelRule, Labels
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.core.targets.targets import TargetSet

NAMES = ("a.example.com", "b.example.com", "a.lab.example.com", "other.example.net")
PATTERNS = ("*.example.com", "*.lab.example.com", "*")
WORDS = ("web", "Web", "lab")


def address(number: int) -> str:
    return f"192.0.2.{number}"


@st.composite
def rules(draw: st.DrawFn) -> LabelRule:
    first = draw(st.integers(0, 30))
    texts = draw(st.lists(st.sampled_from((*NAMES, *PATTERNS)), max_size=2))
    if draw(st.booleans()) or not texts:
        texts.append(f"{address(first)}-{address(draw(st.integers(first, 31)))}")
    labels = draw(
        st.dictionaries(st.sampled_from(LABELS), st.sampled_from(WORDS), min_size=1, max_size=2)
    )
    return LabelRule(parse_rules(texts), labels)


def slow_labels(all_rules: list[LabelRule], number: int | None, names: list[str]) -> dict[str, str]:
    """Every rule in turn; the last one that matches wins."""
    found: dict[str, str] = {}
    for rule in all_rules:
        ranges = rule.hosts.networks
        inside = number is not None and any(first <= number <= last for first, last in ranges)
        if inside or any(map(rule.hosts.match_name, names)):
            found |= rule.labels
    return found


@given(
    all_rules=st.lists(rules(), max_size=6),
    number=st.none() | st.integers(0, 40),
    names=st.lists(st.sampled_from(NAMES), max_size=2),
)
def test_labels_are_those_of_the_last_rule(
    all_rules: list[LabelRule], number: int | None, names: list[str]
) -> None:
    where = None if number is None else parse_rules([address(number)]).networks[0][0]
    found = Labels(all_rules).of(where, names)
    assert found == slow_labels(all_rules, where, names)


@given(
    all_rules=st.lists(rules(), max_size=6),
    wanted=st.dictionaries(st.sampled_from(LABELS), st.sampled_from(WORDS), min_size=1),
    first=st.integers(0, 40),
    size=st.integers(0, 10),
    names=st.lists(st.sampled_from(NAMES), max_size=2),
)
def test_targets_have_labels_if_one_of_them_has(
    all_rules: list[LabelRule], wanted: dict[str, str], first: int, size: int, names: list[str]
) -> None:
    ranges = parse_rules([f"{address(first)}-{address(first + size)}"]).networks
    labelled = Labelled(Labels(all_rules), wanted)
    each: list[tuple[int | None, list[str]]] = [
        (number, []) for begin, end in ranges for number in range(begin, end + 1)
    ]
    hosts = [*each, *((None, [name]) for name in names)]

    def has(number: int | None, host_names: list[str]) -> bool:
        found = slow_labels(all_rules, number, host_names)
        return all(
            found.get(label, "\n").casefold() == word.casefold() for label, word in wanted.items()
        )

    expected = any(has(number, host_names) for number, host_names in hosts)
    assert labelled.has_some(TargetSet(ranges=ranges, names=tuple(names))) == expected


@pytest.mark.parametrize("count", [1000])
def test_many_rules_are_looked_up_at_once(count: int) -> None:
    all_rules = [
        LabelRule(parse_rules([f"10.{number // 256}.{number % 256}.0/24"]), {"owner": f"o{number}"})
        for number in range(count)
    ]
    labels = Labels(all_rules)
    (where, _) = parse_rules(["10.3.1.7"]).networks[0]
    assert labels.of(where) == {"owner": "o769"}
    assert len(list(labels.points(parse_rules(["10.0.0.0/8"]).networks[0]))) <= 2 * count + 1
