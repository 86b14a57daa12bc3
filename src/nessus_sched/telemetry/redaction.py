"""Cleans log lines: no secrets, no control characters, no oversized values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import MASK

MAX_TEXT: Final = 2000
MAX_TRACEBACK: Final = 20_000
_MAX_DEPTH: Final = 4
_MAX_ITEMS: Final = 50

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)|secret|token|api.?key|access.?key|private.?key|authorization|cookie"
    r"|community",
    re.IGNORECASE,
)
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class Redactor:
    """A structlog processor. Masks the secrets known to `masker` anywhere in a text, and all
    `Secret`s and values whose key sounds secret."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def __call__(self, _logger: Any, _method: str, event_dict: Any) -> Any:
        traceback = event_dict.pop("exception", None)
        clean = {
            self._text(str(key)): self._field(str(key), value) for key, value in event_dict.items()
        }
        if traceback is not None:
            clean["exception"] = self._traceback(str(traceback))
        return clean

    def _field(self, key: str, value: Any, depth: int = 0) -> Any:
        if _SECRET_KEY.search(key) and not isinstance(value, bool | int | float | None):
            return MASK
        return self._value(value, depth)

    def _value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Enum):
            return self._text(str(value.value))
        if isinstance(value, str):
            return self._text(value)
        if depth < _MAX_DEPTH and isinstance(value, Mapping):
            items = list(value.items())[:_MAX_ITEMS]
            return {
                self._text(str(key)): self._field(str(key), inner, depth + 1)
                for key, inner in items
            }
        if depth < _MAX_DEPTH and isinstance(value, Sequence | set | frozenset):
            return [self._value(inner, depth + 1) for inner in list(value)[:_MAX_ITEMS]]
        return self._text(str(value))

    def _text(self, text: str) -> str:
        return escaped(self._masked(text, MAX_TEXT))

    def _traceback(self, text: str) -> str:
        """Indents each line, so that none can pass for a log line."""
        lines = self._masked(text, MAX_TRACEBACK).splitlines()
        return "\n".join(f"  {escaped(line)}" for line in lines)

    def _masked(self, text: str, most: int) -> str:
        # Mask before truncating, or part of a secret at the cut would remain.
        shown = self._masker(text[: 4 * most])
        return shown if len(text) <= most else f"{shown[:most]}... ({len(text)} characters)"


def escaped(text: str) -> str:
    """`text` with control, bidirectional and invisible characters spelled out."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
