"""Sanitizes text that scanned hosts can write.

Names, banners and outputs in a report come from the network under test. Before they are shown,
characters that control terminals and bidirectional rendering are removed, and long texts are
truncated.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SUSPICIOUS: Final = re.compile("[^\n\t -~\u00a1-\u00ac\u00ae-\u02ff]")
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi marks, zero width, tags), surrogates, private and unassigned
characters, line and paragraph separators."""
ELLIPSIS: Final = "…"


def clean(text: str, limit: int | None = None, *, lines: bool = True) -> str:
    """`text` without control, bidi and invisible characters, truncated to `limit` characters.

    Line breaks and tabs are kept if `lines`, otherwise they become spaces. A truncated text ends
    with an ellipsis, which is part of the limit.
    """
    if limit is not None and len(text) > 2 * limit + 64:
        text = text[: 2 * limit + 64]  # so that the cost follows the limit, not the text
        cut = True
    else:
        cut = False
    text = _SUSPICIOUS.sub(_escape, text.replace("\r\n", "\n"))
    if not lines:
        text = " ".join(text.split())
    if limit is not None and (cut or len(text) > limit):
        return text[: max(limit - 1, 0)] + ELLIPSIS
    return text


def clean_line(text: str, limit: int = 200) -> str:
    """`clean` on one line, for names and titles."""
    return clean(text, limit, lines=False)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):
        return "\n"
    return "" if category in _DROPPED else character
