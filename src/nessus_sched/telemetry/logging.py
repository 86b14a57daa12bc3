"""The log: one line an event on stderr, JSON unless a person is looking.

`structlog.get_logger("COMPONENT")` gives a logger everywhere in the program; components
are the rooms (`scheduler`, `nessus`, `mcp` ...) and, for lines of libraries, their names.
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
    """The log of the process; its levels can be changed while it runs. `masker` knows the
    secrets that no line may show."""

    def __init__(self, settings: LogSettings, *, stream: TextIO, now: Now) -> None:
        self.level = settings.level
        self.components: dict[str, LogLevel] = dict(settings.components)
        self._stream = stream
        self._now = now
        self.masker = Masker()
        self._redactor = Redactor(self.masker)
        self._render = _renderer(settings.format, stream)

    def apply(self, settings: LogSettings) -> None:
        """Takes over the levels of a new configuration."""
        self.level = settings.level
        self.components = dict(settings.components)
        _quiet_libraries(self.components)

    def set_level(
        self, level: LogLevel, component: str | None = None
    ) -> tuple[LogLevel, Mapping[str, LogLevel]]:
        """Changes the level of a component, or of all that have none of their own; returns
        what is in force now, until the next `apply`."""
        if component is None:
            self.level = level
        else:
            self.components[component] = level
            _quiet_libraries(self.components)
        return self.level, self.components

    def know(self, secrets: Iterable[Secret]) -> None:
        """Masks these secrets in whatever text they turn up."""
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
            return  # nobody reads stderr any more; that is no reason to stop scanning

    debug = info = warning = warn = error = exception = critical = log = msg = _write


class _Forward(logging.Handler):
    """Lines of libraries, into our log."""

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
    """Sets up the log of the process, that of libraries and warnings included."""
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
    """Libraries speak from warnings upwards unless the configuration names one of them.
    `hpack` and `httpcore` never do: they would log headers, and so keys and cookies."""
    for name, level in components.items():
        logging.getLogger(name).setLevel(level.upper())
    for name in ("hpack", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(wanted: LogFormat, stream: TextIO) -> Any:
    if wanted is LogFormat.CONSOLE or (wanted is LogFormat.AUTO and stream.isatty()):
        # The default traceback of structlog's console would show local variables.
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)
