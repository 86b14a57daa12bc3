"""Messages as text: what people read, bounds, and hostile names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.delivery.message import MessageKind
from nessus_sched.delivery.text import LONGEST, harmless, plain_text
from support.counterparts import full_document, message

ALL = """\
From 2026-09-20 05:00 UTC to 2026-09-21 05:00 UTC.

New, to be fixed (5 critical):
* Upgrade to 2.4.1.
  - critical, exploited: Example Server < 2.4.1 Remote Code Execution (plugin 12345) on 192.0.2.7, \
web.example.com and 3 more, first seen 20 d ago

Fixed (5 medium):
* Upgrade to 2.4.1.
  - medium: Example Server < 2.4.1 Remote Code Execution (plugin 7) on 192.0.2.7, web.example.com \
and 3 more, first seen 20 d ago

Tasks:
* weekly DMZ (t-1) did not complete: the window closed; 6 not reached; logins failed on 2 hosts

Events:
* 2026-09-21 13:00 UTC scanner east cannot be used: no answer

First scan of 12 hosts, with 3 high.

Not listed: 3 more findings, 4 more tasks, 2 more events."""


def test_everything_that_a_message_may_contain() -> None:
    assert plain_text(message(full_document())) == ALL


def test_what_has_one_solution_is_listed_below_it() -> None:
    group = full_document()["groups"][0] | {"where": ["a"], "hosts": 1, "cisa_kev": False}
    groups = [
        group | {"plugin_name": "First", "solution": "Upgrade."},
        group | {"plugin_name": "Other", "solution": "", "where": [], "hosts": 4},
        group
        | {"plugin_name": "Second", "solution": "Upgrade.", "first_seen": "2026-09-21T10:00:00Z"},
    ]
    assert plain_text(message({"groups": groups})).splitlines() == [
        "New, to be fixed:",
        "* Upgrade.",
        "  - critical: First (plugin 12345) on a, first seen 20 d ago",
        "  - critical: Second (plugin 12345) on a",
        "* critical: Other (plugin 12345) on 4 hosts, first seen 20 d ago",
    ]


def test_audit_checks_have_a_heading_of_their_own() -> None:
    """The solution and severity of their plugin say nothing about them."""
    group = full_document()["groups"][0] | {"where": ["a"], "hosts": 1, "solution": "n/a"}
    groups = [group | {"compliance_check_name": name} for name in ("1.1 Passwords", "1.2 Firewall")]
    assert plain_text(message({"groups": groups})).splitlines() == [
        "New, to be fixed:",
        "* Compliance checks",
        "  - 1.1 Passwords on a, first seen 20 d ago",
        "  - 1.2 Firewall on a, first seen 20 d ago",
    ]


def test_no_changes_need_no_text() -> None:
    assert plain_text(message(title="Nothing has changed")) == ""
    period = {"period": full_document()["period"]}
    assert plain_text(message(period, kind=MessageKind.DIGEST)) == ""


def test_a_sample_says_so() -> None:
    assert plain_text(message(kind=MessageKind.SAMPLE)).startswith("This is a sample")


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("<!channel> <@U123>", "< !channel> < @ U123>"),
        ("@everyone @here x@example.com", "@ everyone @ here x@example.com"),
        ("[click](https://evil.example.com)", "[click] (https://evil.example.com)"),
        ("[click][1]", "[click] [1]"),
        ("![x](y)", "![x] (y)"),
        ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
        ("<https://evil.example.com|bank>", "< https://evil.example.com|bank>"),
        ("`rm -rf`", "'rm -rf'"),
        ("a\x1b[31m\u202eb\nc\r\n# d", "a[31mb c # d"),
        ("Apache < 2.4.1 & others", "Apache < 2.4.1 & others"),
    ],
)
def test_hostile_names(hostile: str, shown: str) -> None:
    assert harmless(hostile) == shown


odd = st.text(max_size=60) | st.text("<>@[]()!`*_ab\n\u202e", max_size=60)
MARKUP = re.compile(r"<[!@#/?a-zA-Z]|\][(\[]|`|[\x00-\x09\x0b-\x1f\u202e]|(^|\W)@\w")


@given(name=odd, solution=odd, host=odd, why=odd, limit=st.integers(50, 2000))
def test_texts_are_bounded_and_harmless(
    name: str, solution: str, host: str, why: str, limit: int
) -> None:
    document: dict[str, Any] = full_document([host])
    document["groups"][0] |= {"plugin_name": name, "solution": solution}
    document["tasks"][0] |= {"name": name, "partial": why}
    document["events"][0] |= {"text": name}
    text = plain_text(message(document), limit)
    assert len(text) <= limit
    for line in text.splitlines():
        assert not MARKUP.search(line.removeprefix("* ").strip("* -")), line


def test_a_long_message_says_how_much_is_missing() -> None:
    group = full_document()["groups"][0]
    groups = [group | {"solution": f"Upgrade {n}."} for n in range(1000)]
    text = plain_text(message({"groups": groups}))
    assert len(text) <= LONGEST
    *lines, last = text.splitlines()
    assert last == f"\N{HORIZONTAL ELLIPSIS} {2001 - len(lines)} more lines"


@pytest.mark.parametrize("value", [None, "", "?", 7, "2026-13-01"])
def test_times_that_are_none(value: object) -> None:
    document = full_document()
    document["groups"][0]["first_seen"] = value
    document["events"][0]["at"] = value
    assert "* ? scanner east" in plain_text(message(document))
