"""The log: one safe line an event, whatever is put into it."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from nessus_sched.config.schema import LogSettings
from nessus_sched.config.types import LogFormat, LogLevel
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.telemetry.logging import Log, configure
from nessus_sched.telemetry.redaction import Redactor

NOW = 1.8e9
JSON = LogSettings(format=LogFormat.JSON, level=LogLevel.DEBUG)
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    """What `configure` changes for the whole process."""
    root, level, before = logging.getLogger(), logging.getLogger().level, structlog.get_config()
    handlers = root.handlers
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.configure(**before)


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def set_up(settings: LogSettings = JSON) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return configure(settings, stream=stream, now=lambda: NOW), stream


def test_a_line_has_time_level_component_event_and_context() -> None:
    _log, stream = set_up()
    with structlog.contextvars.bound_contextvars(task_id="t1", trace_id="abc"):
        structlog.get_logger("scheduler").info("task_launched", attempt=1)
    assert logged(stream) == [
        {
            "timestamp": "2027-01-15T08:00:00.000+00:00",
            "level": "info",
            "component": "scheduler",
            "event": "task_launched",
            "task_id": "t1",
            "trace_id": "abc",
            "attempt": 1,
        }
    ]


def test_levels_are_per_component_and_change_while_running() -> None:
    settings = LogSettings(
        format=LogFormat.JSON, level=LogLevel.WARNING, components={"nessus": LogLevel.DEBUG}
    )
    log, stream = set_up(settings)
    nessus, mcp = structlog.get_logger("nessus"), structlog.get_logger("mcp")
    nessus.debug("a")
    mcp.info("b")
    mcp.warning("c")
    log.set_level(LogLevel.DEBUG)
    mcp.debug("d")
    assert log.set_level(LogLevel.ERROR, "mcp") == (
        LogLevel.DEBUG,
        {"nessus": LogLevel.DEBUG, "mcp": LogLevel.ERROR},
    )
    mcp.warning("e")
    mcp.error("f")
    log.apply(settings)
    mcp.warning("g")
    assert [line["event"] for line in logged(stream)] == ["a", "c", "d", "f", "g"]


def test_a_terminal_gets_colors_and_no_local_variables() -> None:
    stream = Terminal()
    configure(LogSettings(), stream=stream, now=lambda: NOW)
    hidden = "hunter2-in-a-local-variable"
    try:
        raise ValueError(f"a message of {len(hidden)}")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "\x1b[" in stream.getvalue()
    assert "a message of 27" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_secrets_are_masked_by_type_by_name_and_by_value() -> None:
    log, stream = set_up()
    log.mask([Secret("correct horse"), Secret("abc")])
    structlog.get_logger("x").info(
        "correct horse in the event",
        held=Secret("hunter2-a"),
        password="hunter2-b",
        nested={"api_key": "hunter2-c", "deep": [{"Authorization": "hunter2-d"}]},
        url="https://example.com/?q=correct horse",
        abc="abcdef",
    )
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "correct horse" not in text
    assert logged(stream)[0]["url"] == "https://example.com/?q=***"
    assert logged(stream)[0]["abc"] == "abcdef"  # too short to be searched for


def test_secrets_are_masked_in_tracebacks() -> None:
    log, stream = set_up()
    log.mask([Secret("correct horse")])
    try:
        raise ValueError("wrong: correct horse")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "ValueError: wrong: ***" in logged(stream)[0]["exception"]
    assert "horse" not in stream.getvalue().replace('raise ValueError("wrong: correct horse")', "")


@example(text="", key="0", known="00000 ")  # long enough with its space only
@given(text=st.text(), key=st.text(min_size=1), known=st.text(min_size=6))
def test_whatever_is_logged_is_one_safe_line(text: str, key: str, known: str) -> None:
    redactor = Redactor(Masker([Secret(known)]))
    clean = redactor(
        None, "info", {"event": text, key: text, "in": f"a{known}b", "list": [text, {key: text}]}
    )
    line = json.dumps(clean, ensure_ascii=False)
    assert not UNSAFE.search(line)
    assert "\n" not in line
    assert known not in clean["in"]


def test_an_injected_line_stays_inside_its_field() -> None:
    _log, stream = set_up()
    structlog.get_logger("x").info("a", name='x"}\n{"event": "forged"}\r\x1b[2J\u202e')
    (line,) = logged(stream)
    assert line["name"] == 'x"}\\n{"event": "forged"}\\r\\x1b[2J\\u202e'


def test_an_injected_line_in_a_traceback_is_indented_on_a_terminal() -> None:
    stream = io.StringIO()
    settings = LogSettings(format=LogFormat.CONSOLE)
    configure(settings, stream=stream, now=lambda: NOW)
    try:
        raise ValueError("x\n2027-01-15 [info] forged")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if "forged" in line]
    assert not [line for line in lines if line.startswith("2027-01-15 [info]")]


def test_huge_values_are_cut() -> None:
    _log, stream = set_up()
    structlog.get_logger("x").info(
        "a", big="x" * 10**6, many=list(range(10**5)), deep=[[[[[[1]]]]]]
    )
    assert len(stream.getvalue()) < 6000


def test_libraries_and_warnings_speak_through_our_log() -> None:
    settings = LogSettings(format=LogFormat.JSON, components={"talkative": LogLevel.DEBUG})
    _log, stream = set_up(settings)
    logging.getLogger("quiet.part").info("no")
    logging.getLogger("quiet.part").warning("yes %s", 1)
    logging.getLogger("talkative").debug("yes 2")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("yes 3", UserWarning, stacklevel=1)
    lines = logged(stream)
    assert [(line["component"], line["level"]) for line in lines] == [
        ("quiet", "warning"),
        ("talkative", "debug"),
        ("py", "warning"),
    ]
    assert lines[0]["message"] == "yes 1"
    assert "yes 3" in lines[2]["message"]


def test_libraries_that_would_log_keys_and_cookies_never_do() -> None:
    components = dict.fromkeys(("httpx", "httpcore", "hpack"), LogLevel.DEBUG)
    _log, stream = set_up(LogSettings(format=LogFormat.JSON, components=components))
    for name in ("httpcore.http11", "hpack.hpack", "httpx"):
        logging.getLogger(name).debug("Set-Cookie")
    assert [line["component"] for line in logged(stream)] == ["httpx"]


def test_a_stream_that_nobody_reads_any_more_is_no_error() -> None:
    log, stream = set_up()
    stream.close()
    structlog.get_logger("x").info("a")
    assert log.level is LogLevel.DEBUG
