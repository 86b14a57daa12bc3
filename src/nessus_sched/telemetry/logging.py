"""The log: one line per event on stderr, JSON unless stderr is a terminal.

Use `structlog.get_logger("COMPONENT")` to get a logger. Components are our packages
(`scheduler`, `nessus`, `mcp` ...) and, for messages of libraries, the libraries' names.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog

from nessus_sched.config.schema import LogSettings
from nessus_sched.config.types import LogFormat, LogLevel
from nessus_sched.core.clock import Now, system_now
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.telemetry import events
from nessus_sched.telemetry.redaction import Redactor

_RANKS: Final = {level: rank for rank, level in enumerate(LogLevel)}
_METHODS: Final = {
    "debug": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "warning": LogLevel.WARNING,
    "warn": LogLevel.WARNING,
    "error": LogLevel.ERROR,
    "exception": LogLevel.ERROR,
    "critical": LogLevel.ERROR,
}


class Log:
    """The log of the process; its levels can be changed at run time. `masker` removes secrets
    from every line."""

    def __init__(self, settings: LogSettings, *, stream: TextIO, now: Now) -> None:
        self.level = settings.level
        self.components: dict[str, LogLevel] = dict(settings.components)
        self._stream = stream
        self._now = now
        self.masker = Masker()
        self._redactor = Redactor(self.masker)
        self._render = _renderer(settings.format, stream)

    def apply(self, settings: LogSettings) -> None:
        """Applies the levels of a new configuration."""
        self.level = settings.level
        self.components = dict(settings.components)
        _quiet_libraries(self.components)

    def set_level(
        self, level: LogLevel, component: str | None = None
    ) -> tuple[LogLevel, Mapping[str, LogLevel]]:
        """Changes the level of a component, or the default level, until the next `apply`;
        returns the levels now in effect."""
        if component is None:
            self.level = level
        else:
            self.components[component] = level
            _quiet_libraries(self.components)
        return self.level, self.components

    def mask(self, secrets: Iterable[Secret]) -> None:
        """Masks these secrets wherever they appear from now on."""
        self.masker.know(secrets)

    def processors(self) -> list[Any]:
        return [
            self._filter,
            structlog.contextvars.merge_contextvars,
            self._stamp,
            structlog.processors.format_exc_info,
            self._redactor,
            self._render,
        ]

    def line(self, component: str = "main") -> _Line:
        return _Line(component, self._stream)

    def _filter(self, logger: Any, method: str, event_dict: Any) -> Any:
        level = self.components.get(logger.component, self.level)
        if _RANKS[_METHODS.get(method, LogLevel.INFO)] < _RANKS[level]:
            raise structlog.DropEvent
        return event_dict

    def _stamp(self, logger: Any, method: str, event_dict: Any) -> Any:
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        return {
            "timestamp": at,
            "level": _METHODS.get(method, LogLevel.INFO).value,
            "component": logger.component,
            **event_dict,
        }


class _Line:
    """Writes the lines of one component."""

    def __init__(self, component: str, stream: TextIO) -> None:
        self.component = component
        self._stream = stream

    def _write(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # stderr is closed, which is no reason to stop scanning

    debug = info = warning = warn = error = exception = critical = log = msg = _write


class _Forward(logging.Handler):
    """Forwards messages of libraries to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name.partition(".")[0])
        method = "debug" if record.levelno < logging.INFO else record.levelname.lower()
        write = getattr(logger, method if method in _METHODS else "info")
        write(
            events.LIBRARY,
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def configure(settings: LogSettings, *, stream: TextIO | None = None, now: Now = system_now) -> Log:
    """Sets up the log of the process, including that of libraries and Python warnings."""
    log = Log(settings, stream=stream or sys.stderr, now=now)
    structlog.configure(
        processors=log.processors(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=log.line,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(logging.WARNING)
    _quiet_libraries(log.components)
    logging.captureWarnings(capture=True)
    return log


def _quiet_libraries(components: dict[str, LogLevel]) -> None:
    """Libraries log warnings and worse unless the configuration sets another level for them.
    `hpack` and `httpcore` always do: below that they log headers, and so keys and cookies."""
    for name, level in components.items():
        logging.getLogger(name).setLevel(level.upper())
    for name in ("hpack", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(wanted: LogFormat, stream: TextIO) -> Any:
    if wanted is LogFormat.CONSOLE or (wanted is LogFormat.AUTO and stream.isatty()):
        # The default traceback of structlog's console shows local variables.
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)
