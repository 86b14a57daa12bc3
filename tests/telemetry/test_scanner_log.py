"""The log hears of each change of a scanner's standing once."""

from __future__ import annotations

import structlog

from nessus_sched.core.pool.breaker import Breaker, BreakerSettings
from nessus_sched.core.scanner import LoginRefused, NotReady, ScannerInfo, Unreachable
from nessus_sched.telemetry.scanner_log import ScannerLog


def loud(lines: list[structlog.typing.EventDict]) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] != "debug"]


def test_down_loading_and_ready_are_told_once_each() -> None:
    with structlog.testing.capture_logs() as lines:
        scanner_log = ScannerLog(structlog.get_logger())
        scanner_log.usable(ScannerInfo(ready=True, plugin_set_at=1.8e9), 0.1)
        for _ in range(3):
            scanner_log.unusable(Unreachable("refused"), 5.0)
        for percent in (10, 20, 30):
            scanner_log.unusable(NotReady(f"loading ({percent} %)"), 5.0)
        scanner_log.usable(None, 5.0)
        scanner_log.unusable(LoginRefused("wrong keys"), 5.0)
        scanner_log.usable(None, 5.0)
    assert loud(lines) == [
        "scanner_ready",
        "scanner_down",
        "scanner_up",
        "scanner_loading",
        "scanner_ready",
        "scanner_down",
        "scanner_up",
        "scanner_ready",
    ]
    assert lines[0]["plugin_set"] == "2027-01-15T08:00:00+00:00"


def test_a_breaker_that_keeps_opening_is_told_once() -> None:
    breaker = Breaker(BreakerSettings(threshold=1, probe=1.0))
    with structlog.testing.capture_logs() as lines:
        scanner_log = ScannerLog(structlog.get_logger())
        for now in (0.0, 10.0, 20.0):
            breaker.begin_probe(now)
            scanner_log.breaker(breaker.statistics())
            breaker.failure(now, "refused")
            scanner_log.breaker(breaker.statistics())
        breaker.success()
        scanner_log.breaker(breaker.statistics())
        scanner_log.breaker(breaker.statistics())
    assert loud(lines) == ["breaker_open", "breaker_closed"]
    assert [line["event"] for line in lines].count("breaker_half_open") == 2
