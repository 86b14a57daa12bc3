"""What was probably meant by a wrong word, and what certainly was not."""

from __future__ import annotations

import pytest

from nessus_sched.core.text import did_you_mean

TOOLS = ("submit_scan", "submit_trusted_scan", "cancel_scan", "pause_scan", "get_scan_status")


@pytest.mark.parametrize(
    ("given", "known", "hint"),
    [
        ("submit_scans", TOOLS, " (did you mean 'submit_scan' or 'submit_trusted_scan'?)"),
        ("cancle_scan", TOOLS, " (did you mean 'cancel_scan'?)"),
        ("get_status", TOOLS, " (did you mean 'get_scan_status'?)"),
        ("schedule_scan", TOOLS, ""),
        ("delete_scan", TOOLS, ""),
        ("start_scan", TOOLS, ""),
        ("eest", ("east", "west"), " (did you mean 'west' or 'east'?)"),
    ],
)
def test_a_hint_is_near_what_was_given(given: str, known: tuple[str, ...], hint: str) -> None:
    assert did_you_mean(given, known) == hint
