"""A host is called clean only where it is known to be."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nessus_sched.results.ledger.questions import Clean, Host, is_clean

DAY = 86_400
NOW = 1_700_000_000
AT = NOW - DAY
SEEN = Host(
    name="192.0.2.1", ip=None, fqdn=None, netbios=None, first_seen=AT, tried_at=AT,
    reported_at=AT, answered_at=AT, whole_at=AT, login_at=AT, login="full", logins=(),
    scanner="east", open={"critical": 0, "info": 7},
)  # fmt: skip


def test_a_host_without_open_findings_is_clean_after_a_good_scan() -> None:
    assert is_clean(SEEN, now=NOW, recent=30 * DAY)[0] is Clean.YES


@pytest.mark.parametrize(
    ("changes", "clean", "said"),
    [
        ({"open": {"low": 1, "info": 7}}, Clean.NO, "open findings: 1 low"),
        ({"open": {"unknown": 1}}, Clean.NO, "1 unknown"),
        ({"whole_at": None}, Clean.UNKNOWN, "never scanned to the end"),
        ({"tried_at": NOW}, Clean.UNKNOWN, "did not reach it or did not finish"),
        ({"login_at": None, "login": "none"}, Clean.UNKNOWN, "never scanned with a login"),
        ({"login_at": AT - 1}, Clean.UNKNOWN, "did not log in fully"),
        ({"login": "partial"}, Clean.UNKNOWN, "did not log in fully"),
        (
            dict.fromkeys(
                ("tried_at", "reported_at", "answered_at", "whole_at", "login_at"), NOW - 31 * DAY
            ),
            Clean.UNKNOWN,
            "31 days ago",
        ),
    ],
)
def test_a_doubt_is_named(changes: dict[str, Any], clean: Clean, said: str) -> None:
    found, why = is_clean(attrs.evolve(SEEN, **changes), now=NOW, recent=30 * DAY)
    assert found is clean
    assert said in why
